"""Signed addresses of blobs end with the right by which they were given, not only with their day."""

import http.client
import uuid
from urllib.parse import urlsplit

from entrepot.testing.live import wait_until
from tests.identity.conftest import PROVIDER, House

REGISTRY = f"{PROVIDER}/registries/contoso"
REGISTRY_USER = "1823dd4f-9b8c-4ab6-ab4e-7397a3684615"


def put(house: House, signed: str) -> int:
    """Write a blob below a signed container's address and return the status."""
    place = urlsplit(signed)
    connection = http.client.HTTPConnection(urlsplit(house.server.file.blob_url).netloc, timeout=60)
    try:
        connection.request("PUT", f"{place.path}/a.txt?{place.query}", b"x", {"x-ms-blob-type": "BlockBlob"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_signature_ends_with_its_holders_last_role_and_with_the_account(house: House) -> None:
    server, made = house.server, house.application("signed")
    assignment = f"{REGISTRY}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
    role = f"/providers/Microsoft.Authorization/roleDefinitions/{REGISTRY_USER}"
    given = {"roleDefinitionId": role, "principalId": made.principal_id, "principalType": "ServicePrincipal"}
    assert server.call("PUT", assignment, {"properties": given}).status == 201
    token = house.by_secret(made.app_id, made.secret).json["access_token"]
    started = server.call("POST", f"{REGISTRY}/models/signed/versions/1/startPendingUpload", {}, token=token)
    signed = started.json["blobReferenceForConsumption"]["credential"]["sasUri"]
    assert put(house, signed) == 201

    def becomes(status: int) -> None:
        wait_until(lambda: put(house, signed) == status, timeout_s=60, what=f"status {status}")

    assert server.call("DELETE", assignment).status == 200
    becomes(403)
    assert server.call("PUT", assignment, {"properties": given}).status == 201
    becomes(201)
    off = {"accountEnabled": False}
    assert server.call("PATCH", f"/v1.0/servicePrincipals/{made.principal_id}", off).status == 204
    becomes(403)
    assert server.call("PATCH", f"/v1.0/servicePrincipals/{made.principal_id}", {"accountEnabled": True}).status == 204
    becomes(201)
    assert server.call("DELETE", f"/v1.0/servicePrincipals/{made.principal_id}").status == 204
    becomes(403)
