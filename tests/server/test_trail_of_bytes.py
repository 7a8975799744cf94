"""Bytes that are written by a signature or a token lead to a principal; what is refused leaves a trace too."""

import base64
import http.client
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from entrepot.server.dataplane.sas import SasSigner
from entrepot.server.keys import load_key
from entrepot.testing.live import LiveServer, wait_until
from tests.identity.conftest import House

Json = Any
BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"


def send(url: str, method: str, body: bytes | None = None, **headers: str) -> int:
    """Send a request to the data plane and return the status."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.netloc, timeout=30)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, f"{place.path}?{place.query}", body, {"x-ms-blob-type": "BlockBlob", **named})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.fixture
def upload(server: LiveServer, provider: str) -> Callable[[str], tuple[str, str]]:
    """A function that starts an upload into the workspace and returns its signed container and the request's id."""

    def started(name: str) -> tuple[str, str]:
        reply = server.call("POST", f"{provider}/workspaces/dev/models/{name}/versions/1/startPendingUpload", {})
        assert reply.status == 200, reply.body
        place = urlsplit(reply.json["blobReferenceForConsumption"]["credential"]["sasUri"])
        return f"{server.file.blob_url}{place.path}?{place.query}", reply.headers["x-ms-request-id"]

    return started


def at(uri: str, name: str, **more: str) -> str:
    """Return the address of a blob in a signed container."""
    place = urlsplit(uri)
    return f"http://{place.netloc}{place.path}/{name}?{place.query}{'&' + urlencode(more) if more else ''}"


def entries(server: LiveServer, **query: str) -> list[Json]:
    """Return the entries of the trail that fit."""
    found: list[Json] = server.call("GET", f"/audit/v1.0/entries?{urlencode({'$top': '500', **query})}").json["value"]
    return found


def of_blob(server: LiveServer, uri: str, name: str) -> list[Json]:
    """Return the entries of one blob, oldest first."""
    blob = f"{urlsplit(uri).path.strip('/')}/{name}"
    found = [one for one in entries(server) if (one.get("details") or {}).get("blob") == blob]
    return found[::-1]


def test_each_commit_of_bytes_names_who_was_given_the_signature_and_in_which_request(
    server: LiveServer, upload: Callable[[str], tuple[str, str]]
) -> None:
    uri, request = upload("traced")
    assert send(at(uri, "whole"), "PUT", b"x") == 201
    block = base64.b64encode(b"1").decode()
    assert send(at(uri, "parts", comp="block", blockid=block), "PUT", b"y") == 201
    assert of_blob(server, uri, "parts") == []  # nothing is there yet
    listed = f"<BlockList><Latest>{block}</Latest></BlockList>".encode()
    assert send(at(uri, "parts", comp="blocklist"), "PUT", listed) == 201
    assert send(at(uri, "whole", comp="metadata"), "PUT", x_ms_meta_a="b") == 200
    assert send(at(uri, "whole"), "DELETE") == 202
    assert [one["action"] for one in of_blob(server, uri, "whole")] == [
        f"{BLOBS}/{verb}" for verb in ("write", "write", "delete")
    ]
    (made,) = of_blob(server, uri, "parts")
    (given,) = [one for one in entries(server, requestId=request) if one["action"].endswith("models/versions/write")]
    assert made["principal"]["id"] == given["principal"]["id"] and made["principal"]["name"]
    assert made["details"]["signatureOf"] == request and made["target"].endswith("/workspaces/dev")
    assert server.call("POST", "/audit/v1.0/verify").json["isIntact"]


def test_a_signature_for_somebody_else_is_none(server: LiveServer, upload: Callable[[str], tuple[str, str]]) -> None:
    uri, _ = upload("forged")
    place = urlsplit(uri)
    for fields in ({"saoid": READER}, {"scid": "another"}):
        changed = dict(pair.split("=", 1) for pair in place.query.split("&")) | fields
        assert (
            send(f"http://{place.netloc}{place.path}/x?{'&'.join(f'{k}={v}' for k, v in changed.items())}", "PUT", b"x")
            == 401
        )


def test_a_snapshot_of_our_own_client_is_traced(server: LiveServer, upload: Callable[[str], tuple[str, str]]) -> None:
    uri, request = upload("packed")
    manifest = json.dumps({"files": []}).encode()
    assert send(at(uri, "folder", comp="snapshot"), "PUT", manifest) == 201
    (made,) = of_blob(server, uri, "folder")
    assert made["details"]["signatureOf"] == request


def test_an_artifact_of_mlflow_is_traced(server: LiveServer, provider: str) -> None:
    tracking = f"/mlflow/v2.0{provider}/workspaces/dev/api/2.0"
    experiment = server.call("POST", f"{tracking}/mlflow/experiments/create", {"name": "traced"}).json["experiment_id"]
    run = server.call("POST", f"{tracking}/mlflow/runs/create", {"experiment_id": experiment}).json["run"]["info"][
        "run_id"
    ]
    place = f"{tracking}/mlflow-artifacts/artifacts/{run}/artifacts/a.txt"
    put = server.call("PUT", place, b"x")
    assert put.status == 200 and server.call("DELETE", place).status == 200
    written = [
        one for one in entries(server, requestId=put.headers["x-ms-request-id"]) if "blob" in one.get("details", {})
    ]
    assert written[0]["details"]["blob"].endswith(f"{run}/a.txt")
    both = [one for one in entries(server) if (one.get("details") or {}).get("blob", "").endswith(f"{run}/a.txt")]
    assert len(both) == 2


def test_what_the_data_plane_refuses_leaves_a_trace(
    server: LiveServer, upload: Callable[[str], tuple[str, str]]
) -> None:
    uri, _ = upload("refused")
    container, house = urlsplit(uri).path.strip("/"), House(server)
    made = house.application("trespasser")
    token = house.by_secret(made.app_id, made.secret).json["access_token"]
    origin = f"http://{urlsplit(uri).netloc}/{container}"
    assert send(f"{origin}/x", "PUT", b"x", Authorization=f"Bearer {token}") == 403
    signer = SasSigner(load_key(Path(server.home) / "keys" / "sas.key"))
    reading = signer.sign(container, "r", None, 4e9, holder=made.principal_id, request="r-1")
    assert send(f"{origin}/x?{reading}", "DELETE") == 403
    assert send(f"{origin}/x?sig=guess", "GET") == 401

    def refused() -> set[tuple[str, str]]:
        found = {(one["principal"]["id"], one["action"]) for one in entries(server, outcome="denied")}
        return found | {(one["principal"]["id"], one["action"]) for one in entries(server, outcome="unauthenticated")}

    expected = {(made.principal_id, f"{BLOBS}/write"), (made.principal_id, f"{BLOBS}/delete"), ("", f"{BLOBS}/read")}
    wait_until(lambda: refused() >= expected, timeout_s=60, what="three traces")
    assert {one["target"] for one in entries(server, outcome="unauthenticated", action=f"{BLOBS}/read")} == {"/"}
