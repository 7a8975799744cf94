"""Asset routes: one handler set for five kinds in two scopes, uploads by signed address, lists, imports, shares."""

import http.client
import json
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from entrepot.testing.live import LiveServer, Reply

Json = Any

WEB = "https://example.com/data.csv"


def _upload(server: LiveServer, provider: str, scope: str, *, plural: str, name: str) -> str:
    """Upload one small file as a genuine client does; return the address of its folder."""
    if scope.startswith("registries"):
        body = {"assetId": f"azureml://registries/contoso/{plural}/{name}/versions/1"}
        reply = server.call("PUT", f"{provider}/{scope}/tempdatarefs/{name}/versions/1", body, secure=True)
    else:
        reply = server.call(
            "POST", f"{provider}/{scope}/{plural}/{name}/versions/1/startPendingUpload", {}, secure=True
        )
    assert reply.status == 200, reply.body
    reference = reply.json["blobReferenceForConsumption"]
    sas = urlsplit(reference["credential"]["sasUri"])
    context = ssl.create_default_context(cafile=server.file.authority)
    connection = http.client.HTTPSConnection(sas.netloc, context=context, timeout=30)
    connection.request("PUT", f"{sas.path}/model/weights.bin?{sas.query}", b"weights", {"x-ms-blob-type": "BlockBlob"})
    assert connection.getresponse().status == 201
    connection.close()
    assert reference["transferUri"].startswith(server.file.blob_url)
    return f"{reference['blobUri']}/model"


def _put_data(server: LiveServer, path: str, **properties: Json) -> Reply:
    return server.call("PUT", path, {"properties": {"dataType": "uri_file", "dataUri": WEB, **properties}})


@pytest.mark.parametrize("scope", ["registries/contoso", "workspaces/dev"])
def test_a_model_is_uploaded_put_read_and_downloaded(server: LiveServer, provider: str, scope: str) -> None:
    folder = _upload(server, provider, scope, plural="models", name="m1")
    version = f"{provider}/{scope}/models/m1/versions/1"
    body = {
        "properties": {"modelType": "custom_model", "modelUri": folder, "system_metadata": None, "tags": {"a": "b"}}
    }
    made = server.call("PUT", version, body, secure=True)
    assert made.status == 201, made.body
    assert made.json["properties"]["flavors"] == {} and made.json["properties"]["tags"] == {"a": "b"}
    assert server.call("PUT", version, body, secure=True).status == 200
    got = server.call("GET", version, secure=True)
    assert got.json["id"] == made.json["id"] and b"entrepot.invalid" not in got.body
    reading = server.call("POST", f"{version}/datarefs", {}).json["blobReferenceForConsumption"]
    listing = urlsplit(reading["transferUri"])
    connection = http.client.HTTPConnection(listing.netloc, timeout=30)
    connection.request("GET", f"{listing.path}/{reading['prefix']}/weights.bin?{listing.query}")
    assert connection.getresponse().read() == b"weights"
    connection.close()


def test_other_bytes_under_the_same_version_are_a_conflict(server: LiveServer, provider: str) -> None:
    version = f"{provider}/workspaces/dev/data/fixed/versions/1"
    assert _put_data(server, version).status == 201
    clash = _put_data(server, version, dataUri=WEB + "x")
    assert clash.status == 409 and "path is '" in clash.json["error"]["message"]
    changed = _put_data(server, version, description="new")
    assert changed.status == 200 and changed.json["properties"]["description"] == "new"


def test_versions_are_listed_in_pages_newest_first_and_by_view(server: LiveServer, provider: str) -> None:
    base = f"{provider}/workspaces/dev/data/listed"
    for number in range(1, 6):
        assert _put_data(server, f"{base}/versions/{number}").status == 201
    assert (
        server.call(
            "PUT", f"{base}/versions/2", {"properties": {"dataType": "uri_file", "dataUri": WEB, "isArchived": True}}
        ).status
        == 200
    )

    def pages(query: str) -> list[list[str]]:
        found, link = [], f"{base}/versions?{query}"
        for _ in range(9):
            page = server.call("GET", link).json
            found.append([version["name"] for version in page["value"]])
            if "nextLink" not in page:
                return found
            parts = urlsplit(page["nextLink"])
            link = f"{parts.path}?{parts.query}"
        raise AssertionError("the list does not end")

    assert pages("$top=2") == [["5", "4"], ["3", "1"]]
    assert pages("listViewType=ListViewType.ARCHIVED_ONLY") == [["2"]]
    assert pages("listViewType=All&$orderBy=createdtime%20asc") == [["1", "2", "3", "4", "5"]]
    assert pages("%24orderBy=createdtime+desc&%24top=1")[0] == ["5"]


def test_a_container_tells_latest_and_next_and_labels_resolve(server: LiveServer, provider: str) -> None:
    base = f"{provider}/workspaces/dev/data/counted"
    assert server.call("GET", base).status == 404
    for number in ("1", "2"):
        _put_data(server, f"{base}/versions/{number}")
    container = server.call("GET", base).json["properties"]
    assert (container["latestVersion"], container["nextVersion"], container["isArchived"]) == ("2", "3", False)
    assert server.call("GET", f"{base}/labels/latest").json["name"] == "2"
    archived = server.call("PATCH", base, {"properties": {"isArchived": True}})
    assert archived.json["properties"]["isArchived"] is True
    names = [found["name"] for found in server.call("GET", f"{provider}/workspaces/dev/data").json["value"]]
    assert "counted" not in names


def test_a_component_without_version_is_its_newest(server: LiveServer, provider: str) -> None:
    base = f"{provider}/registries/contoso"
    environment = {"properties": {"image": "docker.io/python"}}
    assert server.call("PUT", f"{base}/environments/e/versions/1", environment).status == 201
    spec = {"name": "c", "version": "7", "type": "command", "command": "echo hi"}
    spec["environment"] = "azureml://registries/contoso/environments/e/versions/1"
    made = server.call("PUT", f"{base}/components/c/versions/7", {"properties": {"componentSpec": spec}})
    assert made.status == 201, made.body
    assert server.call("GET", f"{base}/components/c/versions/azureml_default").json["name"] == "7"


def test_code_is_found_by_its_hash_under_any_name(server: LiveServer, provider: str) -> None:
    base = f"{provider}/workspaces/dev/codes"
    folder = _upload(server, provider, "workspaces/dev", plural="codes", name="5e0d")
    properties = {
        "codeUri": folder,
        "isAnonymous": True,
        "properties": {"hash_sha256": "ab" * 32, "hash_version": 202208},
    }
    assert server.call("PUT", f"{base}/5e0d/versions/1", {"properties": properties}, secure=True).status == 201
    hit = server.call("GET", f"{base}/{'0' * 8}/versions?hash={'ab' * 32}&hashVersion=202208").json["value"]
    assert [found["id"].rpartition("/codes/")[2] for found in hit] == ["5e0d/versions/1"]
    assert server.call("GET", f"{base}/0/versions?hash={'cd' * 32}&hashVersion=202208").json == {"value": []}


def test_an_import_ends_without_a_body(server: LiveServer, provider: str) -> None:
    _put_environment = {"properties": {"image": "docker.io/python"}}
    assert (
        server.call("PUT", f"{provider}/workspaces/dev/environments/shared/versions/1", _put_environment).status == 201
    )
    guid = server.call("GET", f"{provider}/workspaces/dev").json["properties"]["workspaceId"]
    source = f"azureml://locations/eastus/workspaces/{guid}/environments/shared/versions/1"
    body = {
        "properties": {
            "referenceType": "Id",
            "sourceAssetId": source,
            "destinationName": "s",
            "destinationVersion": "5",
        }
    }
    started = server.call("POST", f"/mferp/managementfrontend{provider}/registries/contoso/import", body)
    assert started.status == 202 and started.body == b"" and started.headers["retry-after"] == "1"
    ended = server.call("GET", urlsplit(started.headers["location"]).path)
    assert (ended.status, ended.body) == (204, b"")
    found = server.call("GET", f"{provider}/registries/contoso/environments/s/versions/5")
    assert found.json["id"] == "azureml://registries/contoso/environments/s/versions/5"


def test_a_share_answers_the_registrys_version(server: LiveServer, provider: str) -> None:
    made = server.call(
        "PUT", f"{provider}/workspaces/dev/environments/mine/versions/1", {"properties": {"image": "python"}}
    )
    assert made.status == 201
    share = f"{provider}/workspaces/dev/environments/mine/versions/1/share"
    reply = server.call("POST", share, {"registryName": "contoso", "destinationVersion": "9"})
    assert reply.status == 201 and reply.json["id"].endswith("registries/contoso/environments/mine/versions/9")
    assert server.call("POST", share, {}).status == 400


@pytest.mark.parametrize(
    ("body", "word"),
    [(b"", "properties"), (b"[]", "object"), (b'{"properties": []}', "properties"), (b"{", "line 1")],
)
def test_a_put_without_properties_is_told_what_is_missing(
    server: LiveServer, provider: str, body: bytes, word: str
) -> None:
    reply = server.call("PUT", f"{provider}/workspaces/dev/models/bad/versions/1", body)
    assert reply.status == 400 and word in reply.json["error"]["message"]


def test_a_missing_version_names_itself_and_the_registry(server: LiveServer, provider: str) -> None:
    reply = server.call("GET", f"{provider}/registries/contoso/models/none/versions/3")
    assert reply.status == 404
    assert "none:3" in reply.json["error"]["message"] and "contoso" in reply.json["error"]["message"]


def test_what_is_stored_names_no_address_of_this_server(server: LiveServer) -> None:
    data = b"".join(path.read_bytes() for path in server.home.glob("entrepot.db*"))
    for address in (server.file.url, server.file.https_url, server.file.blob_url, server.file.https_blob_url):
        assert json.dumps(address)[1:-1].encode() not in data


def test_creates_that_come_at_once_are_answered_each_on_its_own(server: LiveServer, provider: str) -> None:
    """They share commits (domain/concurrency/gathering.py), and no caller notices the others."""
    group = f"{provider}/workspaces/dev/data"

    def put(number: int) -> Reply:
        if number % 5 == 4:
            return server.call("PUT", f"{group}/atonce/versions/bad{number}", {"properties": {"dataType": "nothing"}})
        if number % 5 == 3:
            return _put_data(server, f"{group}/atonce-x/versions/same", description="said")
        return _put_data(server, f"{group}/atonce-{number % 3}/versions/{number}", description=f"n{number}")

    with ThreadPoolExecutor(10) as pool:
        replies = list(pool.map(put, range(50)))
    for number, reply in enumerate(replies):
        if number % 5 == 4:
            assert reply.status == 400, reply.body
        elif number % 5 == 3:
            assert reply.status in (200, 201) and reply.json["name"] == "same"
        else:
            assert reply.status == 201 and reply.json["properties"]["description"] == f"n{number}"
            assert server.call("GET", f"{group}/atonce-{number % 3}/versions/{number}").json == reply.json
    assert [reply.status for number, reply in enumerate(replies) if number % 5 == 3].count(201) == 1
    listed = server.call("GET", f"{group}/atonce-0/versions").json["value"]
    assert {entry["name"] for entry in listed} == {str(n) for n in range(0, 50, 3) if n % 5 not in (3, 4)}
    assert server.call("PUT", f"{group}/nobody/versions/1", {"properties": {}}, token="wrong").status == 401
