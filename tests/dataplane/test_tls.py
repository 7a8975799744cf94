"""The data plane over TLS: the same bytes, without sendfile."""

import contextlib
import os
import time
from pathlib import Path

import pytest

from entrepot.client.failures import NoServer
from entrepot.client.transfers.downloads import download
from entrepot.client.transfers.uploads import upload
from entrepot.server.tls import ensure_certificate, server_context
from entrepot.testing.planes import Launcher, Talk


def test_a_tree_goes_up_and_comes_down_over_tls(
    launch: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = ensure_certificate(tmp_path / "tls", hosts=["127.0.0.1"], now=time.time())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(files.authority))
    plane = launch(ssl_context=server_context(files))
    source = tmp_path / "source"
    source.mkdir()
    (source / "small").write_bytes(b"small")
    (source / "big").write_bytes(os.urandom(1 << 20) * 40 + b"tail")
    url = plane.url().replace("http://", "https://")
    upload(source, url, at="m", cache_folder=tmp_path / "cache")
    download(url, "m", tmp_path / "out")
    for name in ("small", "big"):
        assert (tmp_path / "out" / name).read_bytes() == (source / name).read_bytes()


def test_who_does_not_speak_tls_is_sent_away_and_others_are_served(
    launch: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = ensure_certificate(tmp_path / "tls", hosts=["127.0.0.1"], now=time.time())
    plane = launch(ssl_context=server_context(files))
    with Talk(plane.port) as talk:
        talk.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"HTTP" not in talk.socket.recv(100)
    (tmp_path / "file").write_text("x")
    url = plane.url().replace("http://", "https://")
    monkeypatch.setattr("entrepot.client.transfers.transfer._PAUSES_S", ())
    with pytest.raises(NoServer, match="certificate"):
        upload(tmp_path / "file", url, at="file", cache_folder=tmp_path / "cache")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(files.authority))
    assert upload(tmp_path / "file", url, at="file", cache_folder=tmp_path / "cache")["files"] == 1
