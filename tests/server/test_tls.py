"""The local certificate authority: made once, good for real handshakes, renewed in time."""

import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

from entrepot.server.tls import TlsFiles, ensure_certificate

HOSTS = ("127.0.0.1", "localhost")
DAY_S = 86400


def _shake_hands(files: TlsFiles, name: str) -> str:
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(files.certificate, files.key)
    client_context = ssl.create_default_context(cafile=str(files.authority))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = threading.Thread(
            target=lambda: server_context.wrap_socket(listener.accept()[0], server_side=True).close()
        )
        peer.start()
        with (
            socket.create_connection(listener.getsockname(), timeout=10) as plain,
            client_context.wrap_socket(plain, server_hostname=name) as wrapped,
        ):
            version = wrapped.version() or ""
        peer.join(10)
    return version


def test_a_client_that_trusts_the_authority_accepts_every_local_name(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path / "tls", hosts=HOSTS, now=time.time())
    assert [_shake_hands(files, name) for name in HOSTS] == ["TLSv1.3", "TLSv1.3"]


def test_private_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    ensure_certificate(tmp_path / "tls", hosts=HOSTS, now=time.time())
    modes = {name: stat.S_IMODE((tmp_path / "tls" / name).stat().st_mode) for name in ("ca.key", "server.key")}
    assert modes == {"ca.key": 0o600, "server.key": 0o600}


def test_a_good_certificate_is_kept_without_importing_cryptography(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path, hosts=HOSTS, now=time.time())
    before = files.certificate.read_bytes()
    program = (
        "import sys, time, pathlib; from entrepot.server.tls import ensure_certificate;"
        "ensure_certificate(pathlib.Path(sys.argv[1]), hosts=('127.0.0.1', 'localhost'), now=time.time());"
        "print('cryptography' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert files.certificate.read_bytes() == before


def test_a_certificate_near_its_end_is_renewed_under_the_same_authority(tmp_path: Path) -> None:
    now = time.time()
    files = ensure_certificate(tmp_path, hosts=HOSTS, now=now - 380 * DAY_S)
    old, authority = files.certificate.read_bytes(), files.authority.read_bytes()
    ensure_certificate(tmp_path, hosts=HOSTS, now=now)
    assert files.certificate.read_bytes() != old
    assert files.authority.read_bytes() == authority
    assert _shake_hands(files, "localhost") == "TLSv1.3"


def test_another_host_name_makes_another_certificate(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path, hosts=HOSTS, now=time.time())
    ensure_certificate(tmp_path, hosts=(*HOSTS, "models.test"), now=time.time())
    assert _shake_hands(files, "models.test") == "TLSv1.3"
