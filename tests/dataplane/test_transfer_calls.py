"""Our own transfer calls: have, blob, pack, snapshot."""

import json
import os

import pytest

from entrepot.core.digests import Digest, digest_of
from entrepot.store import paths, snapshots
from entrepot.store.snapshots import FileEntry, Manifest
from entrepot.testing.planes import Plane, Reply


def pack(*contents: bytes, index: object = None) -> bytes:
    """A pack of contents, with an index of one's own if a test wants one."""
    rows = [[digest_of(data), len(data)] for data in contents] if index is None else index
    encoded = json.dumps(rows).encode()
    return len(encoded).to_bytes(4, "big") + encoded + b"".join(contents)


def unpack(body: bytes) -> dict[str, bytes]:
    size = int.from_bytes(body[:4], "big")
    place, found = 4 + size, {}
    for digest, length in json.loads(body[4:place]):
        found[digest] = body[place : place + length]
        place += length
    assert place == len(body)
    return found


def manifest(*files: tuple[str, bytes]) -> Manifest:
    return Manifest(tuple(FileEntry(path, digest_of(data), len(data)) for path, data in files))


def have(plane: Plane, **body: object) -> Reply:
    return plane.ask("POST", "/container", "comp=have", json.dumps(body).encode())


def is_stored(plane: Plane, data: bytes) -> bool:
    return plane.east.stat(paths.content(digest_of(data))) is not None


def test_what_is_missing_is_told(plane: Plane) -> None:
    plane.ask("PUT", "/container", "comp=blob", b"known")
    digests = [digest_of(b"known"), digest_of(b"unknown")]
    answer = have(plane, digests=digests).json
    assert answer["missing"] == [digest_of(b"unknown")]
    assert answer["room"] > 0


def test_sizes_of_big_contents_are_told_and_of_small_ones_are_not(plane: Plane) -> None:
    plane.ask("PUT", "/container", "comp=blob", b"x" * paths.BIG_BYTES)
    plane.ask("PUT", "/container", "comp=blob", b"small")
    assert have(plane, sizes=[paths.BIG_BYTES, paths.BIG_BYTES + 1, 5]).json["sizes"] == [paths.BIG_BYTES]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"digests": "x"}',
        b'{"digests": ["x"]}',
        b'{"digests": [1]}',
        b'{"sizes": ["1"]}',
        b'{"sizes": [-1]}',
    ],
)
def test_a_question_that_makes_no_sense_is_refused(plane: Plane, body: bytes) -> None:
    reply = plane.ask("POST", "/container", "comp=have", body)
    assert reply.status == 400
    assert reply.json["error"]["message"]


def test_a_blob_is_named_by_the_server(plane: Plane) -> None:
    data = os.urandom(3 << 20)
    reply = plane.ask("PUT", "/container", "comp=blob", data)
    assert (reply.status, reply.json) == (201, {"digest": digest_of(data), "size": len(data)})
    assert is_stored(plane, data)


def test_a_blob_that_is_not_the_announced_one_is_refused(plane: Plane) -> None:
    reply = plane.ask("PUT", "/container", "comp=blob", b"other", x_entrepot_digest=digest_of(b"announced"))
    assert reply.status == 400
    assert not is_stored(plane, b"other")
    assert plane.ask("PUT", "/container", "comp=blob", b"x", x_entrepot_digest=digest_of(b"x")).status == 201


def test_a_pack_brings_many(plane: Plane) -> None:
    contents = [os.urandom(n * 1000) for n in range(50)]
    reply = plane.ask("PUT", "/container", "comp=pack", pack(*contents))
    assert (reply.status, reply.json) == (201, {"count": 50})
    assert all(is_stored(plane, data) for data in contents)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\x00",
        b"\xff\xff\xff\xff",
        pack(b"abc")[:-1],
        pack(b"abc") + b"d",
        pack(b"abc", index=[[digest_of(b"abd"), 3]]),
        pack(b"abc", index=[["../../etc/passwd", 3]]),
        pack(b"abc", index=[[digest_of(b"abc"), -3]]),
        pack(b"abc", index=[[digest_of(b"abc"), 1 << 40]]),
        pack(b"abc", index=[[digest_of(b"abc")]]),
        pack(b"abc", index={"a": 1}),
        pack(b"abc", index=[1]),
    ],
)
def test_a_bad_pack_is_refused(plane: Plane, body: bytes) -> None:
    reply = plane.ask("PUT", "/container", "comp=pack", body)
    assert reply.status == 400, reply.body
    assert reply.json["error"]["message"]


def test_a_snapshot_appears_at_its_path_when_all_its_blobs_are_there(plane: Plane) -> None:
    wanted = manifest(("a", b"1"), ("sub/b", b"2"))
    reply = plane.ask("PUT", "/container/model", "comp=snapshot", wanted.encode())
    assert reply.status == 409
    assert sorted(reply.json["missing"]) == sorted([digest_of(b"1"), digest_of(b"2")])
    plane.ask("PUT", "/container", "comp=pack", pack(b"1", b"2"))
    reply = plane.ask("PUT", "/container/model", "comp=snapshot", wanted.encode())
    assert (reply.status, reply.json) == (201, {"digest": wanted.digest, "size": 2, "files": 2})
    assert plane.ask("GET", "/container/model/sub/b").body == b"2"
    got = plane.ask("GET", "/container/model", "comp=snapshot")
    assert Manifest.decode(got.body) == wanted
    assert got.headers["x-entrepot-digest"] == wanted.digest
    assert Manifest.decode(plane.ask("GET", "/container/model/sub", "comp=snapshot").body).paths == ["b"]


@pytest.mark.parametrize("path", ["../out", "/etc/passwd", "a//b", "a/../../b", "a\\b", ""])
def test_a_manifest_that_would_leave_its_folder_is_refused(plane: Plane, path: str) -> None:
    plane.ask("PUT", "/container", "comp=pack", pack(b"x"))
    body = json.dumps({"files": [{"path": path, "digest": digest_of(b"x"), "size": 1}]}).encode()
    reply = plane.ask("PUT", "/container/model", "comp=snapshot", body)
    assert reply.status == 400
    assert "cannot be a file's path" in reply.json["error"]["message"]
    assert plane.ask("GET", "/container/model", "comp=snapshot").status == 404


def test_a_manifest_that_lies_about_a_size_is_refused(plane: Plane) -> None:
    plane.ask("PUT", "/container", "comp=pack", pack(b"x"))
    wanted = Manifest((FileEntry("a", digest_of(b"x"), 2),))
    assert plane.ask("PUT", "/container/model", "comp=snapshot", wanted.encode()).status == 400


def test_a_snapshot_at_an_unsafe_path_is_refused(plane: Plane) -> None:
    assert plane.ask("PUT", "/container/%2e%2e/x", "comp=snapshot", manifest().encode()).status == 400


def test_a_pack_is_given_of_what_the_tree_holds_and_of_nothing_else(plane: Plane) -> None:
    snapshots.keep(plane.east, b"of another tree")
    plane.ask("PUT", "/container", "comp=pack", pack(b"1", b"2", b"3"))
    plane.ask("PUT", "/container/m", "comp=snapshot", manifest(("a", b"1"), ("b", b"2")).encode())
    plane.ask("PUT", "/container/n", "comp=snapshot", manifest(("c", b"3")).encode())

    def ask(path: str, *contents: bytes) -> Reply:
        body = json.dumps({"digests": [digest_of(data) for data in contents]}).encode()
        return plane.ask("POST", path, "comp=pack", body)

    assert list(unpack(ask("/container/m", b"2", b"1").body).values()) == [b"2", b"1"]
    assert set(unpack(ask("/container", b"3", b"1").body).values()) == {b"1", b"3"}
    assert ask("/container/m", b"3").status == 404
    assert ask("/container", b"of another tree").status == 404
    assert ask("/container", b"unknown").status == 404


def test_a_blob_is_given_by_digest_only_to_who_may_see_its_tree(plane: Plane) -> None:
    data = os.urandom(2 << 20)
    plane.ask("PUT", "/container", "comp=blob", data)
    digest = digest_of(data)
    assert plane.ask("GET", "/container", f"comp=blob&digest={digest}").status == 404
    plane.ask("PUT", "/container/m", "comp=snapshot", manifest(("a", data)).encode())
    assert plane.ask("GET", "/container/m", f"comp=blob&digest={digest}").body == data
    part = plane.ask("GET", "/container/m", f"comp=blob&digest={digest}", Range="bytes=1000000-")
    assert (part.status, part.body) == (206, data[1000000:])
    assert plane.ask("GET", "/container", "comp=blob&digest=../../x").status == 404


def test_blobs_of_azure_clients_are_seen_as_a_tree(plane: Plane) -> None:
    plane.ask("PUT", "/container/model/a", body=b"1")
    plane.ask("PUT", "/container/model/b/c", body=b"2")
    found = Manifest.decode(plane.ask("GET", "/container/model", "comp=snapshot").body)
    assert found == manifest(("a", b"1"), ("b/c", b"2"))
    body = json.dumps({"digests": [digest_of(b"2")]}).encode()
    assert unpack(plane.ask("POST", "/container/model", "comp=pack", body).body) == {digest_of(b"2"): b"2"}


def test_digests_are_taken_as_text_only(plane: Plane) -> None:
    assert plane.ask("POST", "/container", "comp=pack", b'{"digests": [1]}').status == 400
    assert Digest("") not in manifest().sizes
