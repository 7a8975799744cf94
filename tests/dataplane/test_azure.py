"""The Azure Blob subset, as azure-storage-blob sends it."""

import base64
import hashlib
import os
from xml.etree import ElementTree

import pytest

from entrepot.core.digests import digest_of
from entrepot.core.ids import Region
from entrepot.store import snapshots
from entrepot.store.containers import snapshot_container
from entrepot.testing.planes import EAST, WEST, Launcher, Plane

BLOB = "/container/folder/blob.txt"
BATCH = "restype=container&comp=batch"


def put(plane: Plane, path: str = BLOB, body: bytes = b"hello", **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    reply = plane.ask("PUT", path, body=body, named={"x-ms-blob-type": "BlockBlob", **named})
    assert reply.status == 201, reply.body
    return reply.headers["etag"]


def listed(body: bytes) -> tuple[list[str], list[str], str]:
    """The blobs, the prefixes and the next marker of a list."""
    root = ElementTree.fromstring(body)
    blobs = [found.findtext("Name") or "" for found in root.iter("Blob")]
    return blobs, [found.findtext("Name") or "" for found in root.iter("BlobPrefix")], root.findtext("NextMarker") or ""


def test_a_blob_comes_back_with_its_properties(plane: Plane) -> None:
    tag = put(plane, x_ms_meta_name="taxi", x_ms_blob_content_type="text/plain", x_ms_blob_content_md5="bWQ1")
    got = plane.ask("GET", BLOB)
    assert (got.status, got.body) == (200, b"hello")
    head = plane.ask("HEAD", BLOB)
    assert (head.status, head.headers["content-length"]) == (200, "5")
    for reply in (got, head):
        assert reply.headers["etag"] == tag
        assert reply.headers["content-type"] == "text/plain"
        assert reply.headers["content-md5"] == "bWQ1"
        assert reply.headers["x-ms-blob-type"] == "BlockBlob"
        assert reply.headers["x-ms-meta-name"] == "taxi"
        assert reply.headers["last-modified"] == "Fri, 15 Jan 2027 08:00:00 GMT"
        assert reply.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize(
    "path", ["/container/none", "/container/folder", "/container/folder/", "/container/folder/blob.txt/"]
)
def test_what_is_no_blob_is_not_found(plane: Plane, path: str) -> None:
    put(plane)
    for method in ("HEAD", "GET"):
        reply = plane.ask(method, path)
        assert (reply.status, reply.code) == (404, "BlobNotFound")


@pytest.mark.parametrize(
    ("wanted", "status", "body", "content_range"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=8-100", 206, b"89", "bytes 8-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=10-", 416, None, None),
        ("bytes=3-1", 200, b"0123456789", None),
        ("bytes=a-b", 200, b"0123456789", None),
        ("items=0-3", 200, b"0123456789", None),
    ],
)
@pytest.mark.parametrize("header", ["Range", "x-ms-range"])
def test_ranges(
    plane: Plane, header: str, wanted: str, status: int, body: bytes | None, content_range: str | None
) -> None:
    put(plane, body=b"0123456789")
    reply = plane.ask("GET", BLOB, named={header: wanted})
    assert reply.status == status
    assert reply.headers.get("content-range") == content_range
    if body is None:
        assert reply.code == "InvalidRange"
    else:
        assert reply.body == body


def test_a_range_of_an_empty_blob_is_refused_and_the_whole_of_it_is_not(plane: Plane) -> None:
    put(plane, body=b"")
    assert plane.ask("GET", BLOB, x_ms_range="bytes=0-33554431").code == "InvalidRange"
    assert (plane.ask("GET", BLOB).status, plane.ask("GET", BLOB).body) == (200, b"")


def test_a_big_blob_comes_back_whole_from_disk_and_from_memory(plane: Plane) -> None:
    data = os.urandom(1 << 20) * 40 + b"tail"
    put(plane, body=data)
    for _ in range(6):  # at first past the page cache, then through it
        assert plane.ask("GET", BLOB).body == data
    assert plane.ask("GET", BLOB, Range=f"bytes=12345-{39 << 20}").body == data[12345 : (39 << 20) + 1]


def test_a_name_that_is_to_be_free_is_not_overwritten(plane: Plane) -> None:
    put(plane, If_None_Match="*")
    reply = plane.ask("PUT", BLOB, body=b"other", If_None_Match="*")
    assert (reply.status, reply.code) == (409, "BlobAlreadyExists")
    assert plane.ask("GET", BLOB).body == b"hello"


def test_conditions_on_reads(plane: Plane) -> None:
    tag = put(plane)
    assert plane.ask("GET", BLOB, If_Match=tag).status == 200
    assert plane.ask("GET", BLOB, If_Match='"0xOTHER"').code == "ConditionNotMet"
    assert plane.ask("GET", BLOB, If_None_Match=tag).status == 304
    assert plane.ask("GET", BLOB, If_None_Match="*").body == b""
    assert plane.ask("GET", BLOB, If_None_Match='"0xOTHER"').status == 200
    assert plane.ask("GET", BLOB, If_Modified_Since="Fri, 15 Jan 2027 08:00:00 GMT").status == 304
    assert plane.ask("GET", BLOB, If_Modified_Since="Fri, 15 Jan 2027 07:59:59 GMT").status == 200
    assert plane.ask("GET", BLOB, If_Unmodified_Since="Fri, 15 Jan 2027 07:59:59 GMT").status == 412
    assert plane.ask("GET", BLOB, If_Modified_Since="no date").status == 200


def test_conditions_on_writes(plane: Plane) -> None:
    tag = put(plane)
    for method, query in (("PUT", ""), ("PUT", "comp=metadata"), ("DELETE", "")):
        assert plane.ask(method, BLOB, query, If_Match='"0xOTHER"').code == "ConditionNotMet"
    assert plane.ask("PUT", BLOB, body=b"new", If_Match=tag).status == 201
    assert plane.ask("DELETE", BLOB, If_Match=tag).status == 412


def test_a_body_that_is_not_the_announced_one_is_refused(plane: Plane) -> None:
    right = base64.b64encode(hashlib.md5(b"hello").digest()).decode()
    assert plane.ask("PUT", BLOB, body=b"hellO", Content_MD5=right).status == 400
    assert plane.ask("GET", BLOB).status == 404
    put(plane, Content_MD5=right)
    assert plane.ask("HEAD", BLOB).headers["content-md5"] == right


def test_metadata_is_replaced_and_told(plane: Plane) -> None:
    before = put(plane, x_ms_meta_old="1")
    said = {"x-ms-meta-upload_status": "completed", "x-ms-meta-name": "n"}
    reply = plane.ask("PUT", BLOB, "comp=metadata", named=said)
    assert reply.status == 200
    assert reply.headers["etag"] != before
    found = plane.ask("GET", BLOB, "comp=metadata").headers
    assert {name: value for name, value in found.items() if name.startswith("x-ms-meta-")} == said
    assert plane.ask("PUT", BLOB, "comp=metadata", named={"x-ms-meta-a-b": "1"}).status == 400
    assert plane.ask("PUT", "/container/none", "comp=metadata").code == "BlobNotFound"


def test_blocks_come_in_any_order_and_become_a_blob(plane: Plane) -> None:
    blocks = {base64.b64encode(f"block{n:03}".encode()).decode(): os.urandom(1 << 20) for n in range(5)}
    for block_id, data in reversed(blocks.items()):
        reply = plane.ask("PUT", BLOB, f"comp=block&blockid={block_id.replace('=', '%3D')}", data)
        assert reply.status == 201
    assert plane.ask("GET", BLOB).status == 404
    waiting = plane.ask("GET", BLOB, "comp=blocklist&blocklisttype=uncommitted").body.decode()
    assert [f"<Name>{block_id}</Name>" in waiting for block_id in blocks] == [True] * 5
    names = "".join(f"<Latest>{block_id}</Latest>" for block_id in blocks)
    body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{names}</BlockList>'.encode()
    reply = plane.ask("PUT", BLOB, "comp=blocklist", body, x_ms_meta_k="v", x_ms_blob_content_type="a/b")
    assert reply.status == 201
    got = plane.ask("GET", BLOB)
    assert got.body == b"".join(blocks.values())
    assert (got.headers["x-ms-meta-k"], got.headers["content-type"]) == ("v", "a/b")
    assert plane.ask("GET", BLOB, "comp=blocklist&blocklisttype=uncommitted").body.count(b"<Block>") == 0
    assert plane.ask("GET", BLOB, "comp=blocklist").body.count(b"<Block>") == 5


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<BlockList><Latest>bm9uZQ==</Latest></BlockList>", "InvalidBlockList"),
        (b"<BlockList><Committed>bm9uZQ==</Committed></BlockList>", "InvalidBlockList"),
        (b"<BlockList><Strange>bm9uZQ==</Strange></BlockList>", "InvalidInput"),
        (b"<Other/>", "InvalidInput"),
        (b"<BlockList>", "InvalidInput"),
        (b'<!DOCTYPE b [<!ENTITY a "aaaa">]><BlockList><Latest>&a;</Latest></BlockList>', "InvalidInput"),
    ],
)
def test_a_bad_block_list_is_refused(plane: Plane, body: bytes, code: str) -> None:
    reply = plane.ask("PUT", BLOB, "comp=blocklist", body)
    assert (reply.status, reply.code) == (400, code)


@pytest.mark.parametrize("block_id", ["", "not-base64!", "QQ" * 60])
def test_a_bad_block_id_is_refused(plane: Plane, block_id: str) -> None:
    assert plane.ask("PUT", BLOB, f"comp=block&blockid={block_id}", b"x").status == 400


def test_an_empty_block_list_is_an_empty_blob(plane: Plane) -> None:
    assert plane.ask("PUT", BLOB, "comp=blocklist", b"<BlockList/>").status == 201
    assert plane.ask("GET", BLOB).body == b""


def test_a_deleted_blob_is_gone(plane: Plane) -> None:
    put(plane)
    assert plane.ask("DELETE", BLOB).status == 202
    assert plane.ask("DELETE", BLOB).code == "BlobNotFound"
    assert plane.ask("GET", BLOB).status == 404


def test_a_list_is_xml_with_prefixes_and_pages(plane: Plane) -> None:
    for name in ("a", "b/1", "b/2", "c & <d>"):
        put(plane, "/container/" + name.replace(" ", "%20").replace("&", "%26"), x_ms_meta_k="<v>")
    everything = plane.ask("GET", "/container", "restype=container&comp=list")
    assert everything.headers["content-type"] == "application/xml"
    assert listed(everything.body) == (["a", "b/1", "b/2", "c & <d>"], [], "")
    folders = plane.ask("GET", "/container", "restype=container&comp=list&delimiter=/")
    assert listed(folders.body) == (["a", "c & <d>"], ["b/"], "")
    below = plane.ask("GET", "/container", "restype=container&comp=list&prefix=b/")
    assert listed(below.body)[0] == ["b/1", "b/2"]
    found: list[str] = []
    marker = ""
    for _ in range(4):
        page = plane.ask("GET", "/container", f"restype=container&comp=list&maxresults=1&marker={marker}")
        names, _, marker = listed(page.body)
        marker = marker.replace("=", "%3D")
        found += names
    assert (found, marker) == (["a", "b/1", "b/2", "c & <d>"], "")


def test_a_list_tells_metadata_when_it_is_asked_for(plane: Plane) -> None:
    put(plane, x_ms_meta_k="<v>")
    plain = plane.ask("GET", "/container", "restype=container&comp=list").body
    full = plane.ask("GET", "/container", "restype=container&comp=list&include=metadata").body
    assert b"<Metadata>" not in plain
    assert ElementTree.fromstring(full).findtext("Blobs/Blob/Metadata/k") == "<v>"
    properties = ElementTree.fromstring(full).find("Blobs/Blob/Properties")
    assert properties is not None and properties.findtext("Content-Length") == "5"


@pytest.mark.parametrize("query", ["maxresults=0", "maxresults=x", "marker=nonsense"])
def test_a_list_that_asks_for_nonsense_is_refused(plane: Plane, query: str) -> None:
    assert plane.ask("GET", "/container", f"restype=container&comp=list&{query}").status == 400


def test_a_copy_inside_the_server_has_the_same_bytes(plane: Plane) -> None:
    put(plane, x_ms_meta_k="v")
    source = f"http://127.0.0.1:{plane.port}{BLOB}?{plane.sas()}"
    reply = plane.ask("PUT", "/container/copy", x_ms_copy_source=source)
    assert (reply.status, reply.headers["x-ms-copy-status"]) == (202, "success")
    got = plane.ask("GET", "/container/copy")
    assert (got.body, got.headers["x-ms-meta-k"]) == (b"hello", "v")
    assert plane.ask("PUT", "/container/copy2", x_ms_copy_source=source, x_ms_blob_type="BlockBlob").status == 201


def test_a_copy_from_another_region_brings_the_bytes(plane: Plane) -> None:
    plane.containers.create("west", region=WEST, owner="o")
    put(plane, "/west/a", b"from the west")
    source = f"http://127.0.0.1:{plane.port}/west/a?{plane.sas('west', 'r')}"
    assert plane.ask("PUT", "/container/a", x_ms_copy_source=source).status == 202
    assert plane.ask("GET", "/container/a").body == b"from the west"
    assert plane.depots.of(EAST).stat(f"sha256/{digest_of(b'from the west')[:2]}/{digest_of(b'from the west')[2:]}")


def test_a_copy_needs_leave_to_read_its_source(plane: Plane) -> None:
    plane.containers.create("west", region=WEST, owner="o")
    put(plane, "/west/a", b"secret")
    base = f"http://127.0.0.1:{plane.port}/west/a"
    for signature in ("", f"?{plane.sas()}"):
        assert plane.ask("PUT", "/container/a", x_ms_copy_source=base + signature).status == 401
    assert plane.ask("PUT", "/container/a", x_ms_copy_source=f"{base}?{plane.sas('west', 'l')}").status == 403
    foreign = f"http://example.invalid/west/a?{plane.sas('west')}"
    assert plane.ask("PUT", "/container/a", x_ms_copy_source=foreign).code == "CannotVerifyCopySource"
    missing = f"http://127.0.0.1:{plane.port}/west/none?{plane.sas('west')}"
    assert plane.ask("PUT", "/container/a", x_ms_copy_source=missing).status == 404


def test_a_block_is_staged_from_a_range_of_another_blob(plane: Plane) -> None:
    put(plane, body=b"0123456789")
    source = f"http://127.0.0.1:{plane.port}{BLOB}?{plane.sas()}"
    id = base64.b64encode(b"b").decode()
    query = f"comp=block&blockid={id.replace('=', '%3D')}"
    ranged = {"x-ms-copy-source": source, "x-ms-source-range": "bytes=2-4"}
    assert plane.ask("PUT", "/container/part", query, named=ranged).status == 201
    late = {**ranged, "x-ms-source-range": "bytes=10-"}
    assert plane.ask("PUT", "/container/part", query, named=late).status == 416
    blocks = f"<BlockList><Latest>{id}</Latest></BlockList>".encode()
    assert plane.ask("PUT", "/container/part", "comp=blocklist", blocks).status == 201
    assert plane.ask("GET", "/container/part").body == b"234"


def test_a_copy_holds_its_sources_conditions(plane: Plane) -> None:
    tag = put(plane)
    asked = {"x-ms-copy-source": f"http://127.0.0.1:{plane.port}{BLOB}?{plane.sas()}"}
    reply = plane.ask("PUT", "/container/copy", named={**asked, "x-ms-source-if-match": '"0x0"'})
    assert reply.status == 412
    reply = plane.ask("PUT", "/container/copy", named={**asked, "x-ms-source-if-none-match": tag})
    assert (reply.status, reply.code) == (412, "SourceConditionNotMet")
    assert plane.ask("PUT", "/container/copy", named={**asked, "x-ms-source-if-match": tag}).status == 202


def batch(*lines: str) -> tuple[bytes, dict[str, str]]:
    head = "--b\r\nContent-Type: application/http\r\nContent-ID: {}\r\n\r\n{} HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
    body = "".join(head.format(number, line) for number, line in enumerate(lines)) + "--b--\r\n"
    return body.encode(), {"Content-Type": "multipart/mixed; boundary=b"}


def test_a_batch_deletes_each_blob_by_itself(plane: Plane) -> None:
    for name in ("a", "b", "c d"):
        put(plane, f"/container/{name.replace(' ', '%20')}")
    body, kind = batch("DELETE /container/a", "DELETE /container/none", "DELETE /container/c%20d?x=y")
    reply = plane.ask("POST", "/container", BATCH, body, named=kind)
    told = [line for line in reply.body.decode().splitlines() if line.startswith("HTTP/1.1")]
    assert (reply.status, told) == (202, ["HTTP/1.1 202 Accepted", "HTTP/1.1 404 Not Found", "HTTP/1.1 202 Accepted"])
    assert listed(plane.ask("GET", "/container", "restype=container&comp=list").body)[0] == ["b"]


@pytest.mark.parametrize("line", ["PUT /container/a", "DELETE /other/a", "DELETE /container", "nonsense"])
def test_a_batch_does_nothing_else(plane: Plane, line: str) -> None:
    put(plane, "/container/a")
    body, kind = batch(line)
    assert plane.ask("POST", "/container", BATCH, body, named=kind).status == 400
    assert plane.ask("POST", "/container", BATCH, b"x").status == 400
    reading = plane.sas("container", "r")
    body, kind = batch("DELETE /container/a")
    reply = plane.ask("POST", "/container", BATCH, body, sas=reading, named=kind)
    assert b"403" in reply.body and plane.ask("GET", "/container/a").status == 200


@pytest.mark.parametrize("path", ["/container/../x", "/container/a//b", "/container/a/", "/container/%2e%2e/x"])
def test_a_name_that_would_leave_its_container_is_not_written(plane: Plane, path: str) -> None:
    assert plane.ask("PUT", path, body=b"x").status == 400
    assert plane.ask("GET", path).status == 404


def test_kinds_of_blobs_that_are_not_kept_are_told(plane: Plane) -> None:
    reply = plane.ask("PUT", BLOB, x_ms_blob_type="AppendBlob")
    assert reply.status == 501
    assert b"use BlockBlob" in reply.body


def test_a_container_has_properties(plane: Plane) -> None:
    assert plane.ask("HEAD", "/container", "restype=container").status == 200
    assert plane.ask("GET", "/container", "restype=container").headers["etag"]


def test_a_snapshots_container_is_read_and_never_written(plane: Plane) -> None:
    west = plane.depots.of(WEST)
    digest = snapshots.keep(west, b"hello")
    manifest = snapshots.Manifest((snapshots.FileEntry("m/a", digest, 5),))
    name = snapshot_container(snapshots.write(west, manifest))
    assert plane.ask("GET", f"/{name}/m/a").body == b"hello"
    assert listed(plane.ask("GET", f"/{name}", "restype=container&comp=list").body)[0] == ["m/a"]
    assert plane.ask("PUT", f"/{name}/m/b", body=b"x").status == 409
    regional = plane.sas(name, "r", region=Region("westus"))
    assert plane.ask("GET", f"/{name}/m/a", sas=regional).status == 200


def test_errors_are_azures_xml(plane: Plane) -> None:
    root = ElementTree.fromstring(plane.ask("GET", "/container/none").body)
    assert root.findtext("Code") == "BlobNotFound"
    assert "none" in (root.findtext("Message") or "")


def test_a_failure_of_ours_tells_only_where_to_look(launch: Launcher, caplog: pytest.LogCaptureFixture) -> None:
    def failing(_: str, __: str) -> None:
        raise RuntimeError("a secret of the server")

    plane = launch(bearer=failing)
    reply = plane.ask("GET", BLOB, sas="", Authorization="Bearer x")
    assert (reply.status, reply.code) == (500, "InternalError")
    assert b"secret" not in reply.body
    assert reply.headers["x-ms-request-id"] in caplog.text and reply.headers["x-ms-request-id"].encode() in reply.body


def test_headers_that_a_blob_is_to_have_are_answered_until_others_are_set(plane: Plane) -> None:
    put(plane, x_ms_blob_content_encoding="gzip", x_ms_blob_cache_control="no-cache", x_ms_blob_content_language="de")
    for method in ("GET", "HEAD"):
        headers = plane.ask(method, BLOB).headers
        assert (headers["content-encoding"], headers["cache-control"]) == ("gzip", "no-cache")
        assert headers["content-language"] == "de" and "content-disposition" not in headers
    assert b"<Content-Encoding>gzip</Content-Encoding>" in plane.ask("GET", "/container", "comp=list").body
    plane.ask("PUT", BLOB, "comp=properties", named={"x-ms-blob-content-disposition": "inline"})
    headers = plane.ask("HEAD", BLOB).headers
    assert headers["content-disposition"] == "inline" and "content-encoding" not in headers
    blocks = b"<BlockList><Latest>YQ==</Latest></BlockList>"
    assert plane.ask("PUT", BLOB, "comp=block&blockid=YQ==", b"one").status == 201
    named = {"x-ms-blob-cache-control": "max-age=1"}
    assert plane.ask("PUT", BLOB, "comp=blocklist", blocks, named=named).status == 201
    headers = plane.ask("HEAD", BLOB).headers
    assert headers["cache-control"] == "max-age=1" and "content-disposition" not in headers


def test_tags_come_with_a_blob_or_later_and_are_told(plane: Plane) -> None:
    put(plane, x_ms_tags="team=vision&stage=dev%20one")
    assert b"<Tag><Key>stage</Key><Value>dev one</Value></Tag>" in plane.ask("GET", BLOB, "comp=tags").body
    assert plane.ask("HEAD", BLOB).headers["x-ms-tag-count"] == "2"
    new = b"<Tags><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tags>"
    assert plane.ask("PUT", BLOB, "comp=tags", new).status == 204
    assert plane.ask("GET", BLOB, "comp=tags").body.endswith(b"?>" + new)
    assert new in plane.ask("GET", "/container", "comp=list&include=tags").body
    assert b"<Tags>" not in plane.ask("GET", "/container", "comp=list").body
    assert plane.ask("GET", BLOB).body == b"hello"
    read_only = plane.sas(permissions="rl")
    assert plane.ask("PUT", BLOB, "comp=tags", new, sas=read_only).status == 403
    assert plane.ask("GET", "/container/none", "comp=tags").code == "BlobNotFound"


@pytest.mark.parametrize(
    "sent", ["a" * 129 + "=b", "a=" + "b" * 257, "=b", "a=%3C", "&".join(f"{n}=x" for n in range(11))]
)
def test_tags_that_azure_would_not_take_are_refused(plane: Plane, sent: str) -> None:
    reply = plane.ask("PUT", BLOB, body=b"x", named={"x-ms-blob-type": "BlockBlob", "x-ms-tags": sent})
    assert reply.status == 400 and b"tag" in reply.body, reply.body
    assert plane.ask("HEAD", BLOB).status == 404


@pytest.mark.parametrize("body", [b"<Tags", b"<!DOCTYPE x><Tags/>"])
def test_tags_that_are_no_xml_are_refused(plane: Plane, body: bytes) -> None:
    put(plane)
    assert plane.ask("PUT", BLOB, "comp=tags", body).status == 400


def test_a_copy_tells_where_it_is_from_without_the_signature(plane: Plane) -> None:
    put(plane, x_ms_blob_content_encoding="gzip")
    source = f"http://127.0.0.1:{plane.port}{BLOB}?{plane.sas()}"
    made = plane.ask("PUT", "/container/copy", named={"x-ms-copy-source": source})
    told = plane.ask("HEAD", "/container/copy").headers
    assert made.status == 202 and told["x-ms-copy-id"] == made.headers["x-ms-copy-id"]
    assert (told["x-ms-copy-status"], told["x-ms-copy-progress"]) == ("success", "5/5")
    assert told["x-ms-copy-source"] == source.partition("?")[0]
    assert told["content-encoding"] == "gzip"
    listed = plane.ask("GET", "/container", "comp=list&include=copy").body
    assert f"<CopyId>{told['x-ms-copy-id']}</CopyId>".encode() in listed and b"<CopyCompletionTime>" in listed
    put(plane, "/container/copy")
    assert "x-ms-copy-id" not in plane.ask("HEAD", "/container/copy").headers


@pytest.mark.parametrize(
    ("start", "names"), [("b", ["b", "b/1", "c"]), ("b/", ["b/1", "c"]), ("a~", ["b", "b/1", "c"]), ("d", [])]
)
def test_a_list_begins_where_it_is_told_to(plane: Plane, start: str, names: list[str]) -> None:
    for name in ("a", "b", "b/1", "c"):
        put(plane, f"/container/{name}")
    found, _, marker = listed(plane.ask("GET", "/container", f"comp=list&maxresults=2&startFrom={start}").body)
    if marker:
        found += listed(plane.ask("GET", "/container", f"comp=list&startFrom={start}&marker={marker}").body)[0]
    assert found == names
