"""Uploads and downloads against a real data plane: what is sent, what is not, and what never leaves its folder."""

import json
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.client.failures import FileFailure, NoServer, ServiceFailure
from entrepot.client.transfers import sink
from entrepot.client.transfers.downloads import download, is_proving
from entrepot.client.transfers.hashes import HashCache, snapshot_digest
from entrepot.client.transfers.ignore import local_files
from entrepot.client.transfers.transfer import BIG_BYTES, Channel
from entrepot.client.transfers.uploads import upload
from entrepot.core.digests import digest_of
from entrepot.store import paths
from entrepot.testing.planes import Launcher, Plane, data_planes


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launcher]:
    with data_planes(tmp_path / "home") as launcher:
        yield launcher


@pytest.fixture
def plane(launch: Launcher) -> Plane:
    return launch()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def make_tree(root: Path) -> Path:
    """A tree of small files, a twin, an executable, and two big files."""
    for n in range(40):
        file = root / f"d{n % 4}" / f"f{n}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(n * 100))
    (root / "twin").write_bytes((root / "d3/f39").read_bytes())
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "big").write_bytes(os.urandom(1 << 20) * 9 + b"tail")
    (root / "huge").write_bytes(os.urandom(1 << 20) * 33 + b"tail")
    return root


def contents(root: Path) -> dict[str, tuple[bytes, bool]]:
    return {
        str(file.relative_to(root)): (file.read_bytes(), os.access(file, os.X_OK))
        for file in root.rglob("*")
        if file.is_file()
    }


def size_of(root: Path) -> int:
    return sum(len(data) for data in {data for data, _ in contents(root).values()})


def test_a_tree_comes_down_as_it_went_up(plane: Plane, tmp_path: Path, cache: Path) -> None:
    source = make_tree(tmp_path / "source")
    sent = upload(source, plane.url(), at="model", cache_folder=cache)
    assert (sent["files"], sent["sent"]) == (44, size_of(source))
    assert sent["digest"] == plane.containers.tree("container", "model").digest == snapshot_digest(source)
    got = download(plane.url(), "model", tmp_path / "out")
    assert (got["digest"], got["files"], got["received"]) == (sent["digest"], 44, size_of(source))
    assert contents(tmp_path / "out") == contents(source)


@pytest.mark.parametrize("way", ["hashed", "spliced", "spliced while memory was cheap", "no splice here"])
def test_big_files_come_whole_by_every_way(
    plane: Plane, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "spliced while memory was cheap":
        monkeypatch.setattr(sink, "_CHEAP_BYTES_PER_S", 1 << 60)
    if way == "no splice here":
        monkeypatch.delattr(os, "splice")
    source = make_tree(tmp_path / "source")
    upload(source, plane.url(), at="model", cache_folder=cache)
    download(plane.url(), "model", tmp_path / "out", proves=way == "hashed")
    assert contents(tmp_path / "out") == contents(source)


@pytest.mark.parametrize("proves", [True, False])
def test_a_file_that_cannot_be_written_is_told(plane: Plane, tmp_path: Path, cache: Path, proves: bool) -> None:
    source = make_tree(tmp_path / "source")
    upload(source, plane.url(), at="model", cache_folder=cache)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5 << 20, before[1]))
    try:
        with pytest.raises(FileFailure, match=r"cannot be written: .*File too large"):
            download(plane.url(), "model/big", tmp_path / "out", proves=proves)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "out/big").exists()


def test_a_known_tree_is_not_sent_again(plane: Plane, tmp_path: Path, cache: Path) -> None:
    source = make_tree(tmp_path / "source")
    first = upload(source, plane.url(), at="one", cache_folder=cache)
    for folder in (cache, tmp_path / "empty cache"):
        again = upload(source, plane.url(), at="two", cache_folder=folder)
        assert (again["sent"], again["digest"]) == (0, first["digest"])
    assert plane.containers.tree("container", "two").digest == first["digest"]


def test_only_what_changed_is_sent(plane: Plane, tmp_path: Path, cache: Path) -> None:
    source = make_tree(tmp_path / "source")
    upload(source, plane.url(), at="model", cache_folder=cache)
    (source / "d1/f1").write_bytes(b"changed")
    (source / "big").write_bytes(b"n" * (9 << 20))
    assert upload(source, plane.url(), at="model", cache_folder=cache)["sent"] == 7 + (9 << 20)


def test_a_big_file_of_a_known_size_is_hashed_before_it_is_sent(plane: Plane, tmp_path: Path, cache: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"1" * BIG_BYTES)
    two.write_bytes(b"2" * BIG_BYTES)
    assert upload(one, plane.url(), at="one", cache_folder=cache)["sent"] == BIG_BYTES
    assert upload(two, plane.url(), at="two", cache_folder=cache)["sent"] == BIG_BYTES
    same = tmp_path / "same"
    same.write_bytes(b"1" * BIG_BYTES)
    assert upload(same, plane.url(), at="same", cache_folder=cache)["sent"] == 0


def test_a_file_appears_under_its_own_name(plane: Plane, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"model")
    upload(tmp_path / "model.pkl", plane.url(), at="LocalUpload/x/renamed.pkl", cache_folder=cache)
    item = plane.containers.stat("container", "LocalUpload/x/renamed.pkl")
    assert item is not None and item.digest == digest_of(b"model")
    download(plane.url(), "LocalUpload/x/renamed.pkl", tmp_path / "out")
    assert contents(tmp_path / "out") == {"renamed.pkl": (b"model", False)}


def test_ignored_files_stay_here(plane: Plane, tmp_path: Path, cache: Path) -> None:
    source = make_tree(tmp_path / "source")
    (source / ".amlignore").write_text("d*\nbig\nhuge\n")
    upload(source, plane.url(), at="code", cache_folder=cache)
    assert plane.containers.tree("container", "code").paths == [".amlignore", "run.sh", "twin"]
    (source / ".amlignore").write_text("*\n")
    with pytest.raises(FileFailure, match="no files to upload"):
        upload(source, plane.url(), at="code", cache_folder=cache)


def test_progress_goes_from_nothing_to_all(plane: Plane, tmp_path: Path, cache: Path) -> None:
    source = make_tree(tmp_path / "source")
    total = sum(len(data) for data, _ in contents(source).values())
    told: list[tuple[int, int]] = []
    for _ in range(2):
        told.clear()
        upload(source, plane.url(), at="m", cache_folder=cache, progress=lambda *counts: told.append(counts))
        assert told[-1] == (total, total)
        assert [done for done, _ in told] == sorted(done for done, _ in told)
    told.clear()
    download(plane.url(), "m", tmp_path / "out", progress=lambda *counts: told.append(counts))
    assert told[-1] == (total, total)
    assert len(told) > 10


def test_without_room_nothing_is_sent(launch: Launcher, tmp_path: Path, cache: Path) -> None:
    plane = launch(reserve_bytes=1 << 62)
    (tmp_path / "file").write_bytes(b"x" * 1000)
    with pytest.raises(ServiceFailure, match="no room for 1000 bytes") as caught:
        upload(tmp_path / "file", plane.url(), at="file", cache_folder=cache)
    assert (caught.value.status, caught.value.code) == (507, "InsufficientStorage")
    with (tmp_path / "ten gigabytes").open("wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(ServiceFailure, match=f"no room for {10 << 30} bytes"):
        upload(tmp_path / "ten gigabytes", plane.url(), at="file", cache_folder=cache)


def test_a_refusal_is_told_in_the_servers_words(plane: Plane, tmp_path: Path, cache: Path) -> None:
    source = make_tree(tmp_path / "source")
    with pytest.raises(ServiceFailure, match="needs the permission") as caught:
        upload(source, plane.url(permissions="r"), at="m", cache_folder=cache)
    assert caught.value.status == 403
    with pytest.raises(ServiceFailure, match="there is nothing at"):
        download(plane.url(), "none", tmp_path / "out")
    plane.containers.seal("container")
    with pytest.raises(ServiceFailure, match="sealed"):
        upload(source, plane.url(), at="m", cache_folder=cache)


def test_a_refusal_in_the_middle_of_a_big_body_is_told_too(launch: Launcher, tmp_path: Path, cache: Path) -> None:
    plane = launch(upload_limit_bytes=1 << 20)
    (tmp_path / "big").write_bytes(b"x" * (64 << 20))
    with pytest.raises(ServiceFailure, match="at most 1048576 bytes") as caught:
        upload(tmp_path / "big", plane.url(), at="big", cache_folder=cache)
    assert caught.value.status == 413


def test_no_server_is_told_as_such(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrepot.client.transfers.transfer._PAUSES_S", (0.0,))
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    (tmp_path / "file").write_text("x")
    with pytest.raises(NoServer, match=f"127.0.0.1:{port}"):
        upload(tmp_path / "file", f"http://127.0.0.1:{port}/container?sig=x", at="m", cache_folder=cache)


def test_a_file_that_changed_since_it_was_hashed_is_hashed_again(plane: Plane, tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"1" * BIG_BYTES)
    os.utime(file, (1_000_000_000, 1_000_000_000))
    upload(file, plane.url(), at="a", cache_folder=cache)
    file.write_bytes(b"2" * BIG_BYTES)
    os.utime(file, (1_000_000_000, 1_000_000_000))
    upload(file, plane.url(), at="b", cache_folder=cache)
    item = plane.containers.stat("container", "b")
    assert item is not None and item.digest == digest_of(b"2" * BIG_BYTES)


def test_a_broken_cache_costs_only_time(plane: Plane, tmp_path: Path, cache: Path) -> None:
    cache.mkdir()
    (cache / "hashes.sqlite").write_text("not a database, but long enough to be taken for one" * 100)
    file = tmp_path / "file"
    file.write_bytes(b"1" * BIG_BYTES)
    for _ in range(2):
        assert upload(file, plane.url(), at="file", cache_folder=cache)["digest"] == snapshot_digest(file)


def test_the_cache_remembers_a_settled_file_only_as_it_is(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"1" * BIG_BYTES)
    (file,) = local_files(path)
    young = HashCache(cache, now_ns=lambda: file.mtime_ns + 1_000_000)
    young.put(file, digest_of(b"x"))
    assert young.get(file) is None  # it could change within the same tick of the clock
    young.close()
    known = HashCache(cache, now_ns=lambda: file.mtime_ns + 1_000_000_000)
    known.put(file, digest_of(b"x"))
    assert known.get(file) == digest_of(b"x")
    os.utime(path, ns=(file.mtime_ns, file.mtime_ns + 1))
    (touched,) = local_files(path)
    assert known.get(touched) is None
    known.close()


def test_a_broken_download_goes_on_where_it_stopped(plane: Plane, tmp_path: Path, cache: Path) -> None:
    source = make_tree(tmp_path / "source")
    upload(source, plane.url(), at="m", cache_folder=cache)
    out = tmp_path / "out"
    download(plane.url(), "m", out)
    (out / "d1/f1").unlink()
    (out / "run.sh").chmod(0o644)
    data = (source / "huge").read_bytes()
    (out / "huge").unlink()
    (out / f".{digest_of(data)[:20]}-4.part").write_bytes(data[: (20 << 20) + 77])
    got = download(plane.url(), "m", out)
    script = (source / "run.sh").read_bytes()
    assert got["received"] == len(data) - (20 << 20) + len((source / "d1/f1").read_bytes()) + len(script)
    assert contents(out) == contents(source)


def test_a_spoiled_half_is_noticed_and_fetched_anew(plane: Plane, tmp_path: Path, cache: Path) -> None:
    data = os.urandom(1 << 20) * 12
    (tmp_path / "big").write_bytes(data)
    upload(tmp_path / "big", plane.url(), at="big", cache_folder=cache)
    out = tmp_path / "out"
    out.mkdir()
    (out / f".{digest_of(data)[:20]}-3.part").write_bytes(b"x" * (5 << 20))
    with pytest.raises(ServiceFailure, match="try again"):
        download(plane.url(), "big", out)
    assert contents(out) == {}
    download(plane.url(), "big", out)
    assert contents(out) == {"big": (data, False)}


def test_bytes_that_rotted_on_the_server_are_noticed(plane: Plane, tmp_path: Path, cache: Path) -> None:
    source = make_tree(tmp_path / "source")
    upload(source, plane.url(), at="m", cache_folder=cache)
    for name in ("twin", "big"):
        data = (source / name).read_bytes()
        stored = plane.east.local_path(paths.content(digest_of(data)))
        assert stored is not None
        stored.chmod(0o644)
        stored.write_bytes(b"x" * len(data))
        with pytest.raises(ServiceFailure, match="should have the digest"):
            download(plane.url(), f"m/{name}", tmp_path / "out", proves=True)
        assert not (tmp_path / "out" / name).exists()


def test_what_comes_from_another_machine_is_always_proved() -> None:
    assert is_proving(Channel("https://storage.example.invalid/container?sig=x"))
    assert Channel("http://127.0.0.1:7421/container?sig=x").is_loopback
    assert Channel("http://[::1]:7421/container?sig=x").is_loopback
    assert not Channel("https://127.example.invalid/container?sig=x").is_loopback


class FalseServer:
    """Answers every request with one manifest, as a server that means ill would."""

    def __init__(self, *files: dict[str, object]) -> None:
        self._body = json.dumps({"files": list(files)}).encode()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/container?sig=x"
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        with self._listener, self._listener.accept()[0] as sock:
            sock.recv(65536)
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(self._body)}\r\n\r\n"
            sock.sendall(head.encode() + self._body)
            sock.recv(65536)


@pytest.mark.parametrize("path", ["../escaped", "/tmp/escaped", "a/../../escaped", "..", "a//b", "a\\..\\b", ""])
def test_a_manifest_that_leaves_its_folder_is_not_followed(tmp_path: Path, path: str) -> None:
    server = FalseServer({"path": path, "digest": digest_of(b""), "size": 0})
    with pytest.raises(ServiceFailure, match="not safe"):
        download(server.url, "m", tmp_path / "out")
    assert not (tmp_path / "escaped").exists()
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_a_download_does_not_follow_links_that_lie_in_its_way(plane: Plane, tmp_path: Path, cache: Path) -> None:
    source = make_tree(tmp_path / "source")
    upload(source, plane.url(), at="m", cache_folder=cache)
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    out.mkdir()
    (out / "d1").symlink_to(outside)
    with pytest.raises(FileFailure, match="is not a folder"):
        download(plane.url(), "m", out)
    (out / "d1").unlink()
    (outside / "victim").write_text("untouched")
    (out / "twin").symlink_to(outside / "victim")
    (out / f".{digest_of((source / 'big').read_bytes())[:20]}-3.part").symlink_to(outside / "victim")
    download(plane.url(), "m", out)
    assert contents(outside) == {"victim": (b"untouched", False)}
    assert contents(out) == contents(source)


def test_a_folder_where_a_file_should_be_is_told(plane: Plane, tmp_path: Path, cache: Path) -> None:
    upload(make_tree(tmp_path / "source"), plane.url(), at="m", cache_folder=cache)
    (tmp_path / "out/twin").mkdir(parents=True)
    with pytest.raises(FileFailure, match="is a folder"):
        download(plane.url(), "m", tmp_path / "out")


def test_an_upload_brings_back_what_the_server_lost_meanwhile(plane: Plane, tmp_path: Path, cache: Path) -> None:
    source = make_tree(tmp_path / "source")
    lost = (source / "big").read_bytes()
    upload(source, plane.url(), at="m", cache_folder=cache)
    plane.east.delete(paths.content(digest_of(lost)))
    assert upload(source, plane.url(), at="m", cache_folder=cache)["sent"] == len(lost)


def test_many_uploads_of_one_tree_at_once_all_succeed(plane: Plane, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source")
    digests: list[str] = []

    def work(n: int) -> None:
        digests.append(upload(source, plane.url(), at=f"m{n}", cache_folder=tmp_path / f"c{n}")["digest"])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert digests == [snapshot_digest(source)] * 4


def test_the_transfer_client_starts_light() -> None:
    script = (
        "import sys, entrepot.client.transfers.uploads, entrepot.client.transfers.downloads\n"
        "heavy = {'http.client', 'ssl', 'sqlite3', 'email', 'asyncio', 'urllib.request', 'httpx', 'obstore'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
