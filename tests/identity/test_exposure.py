"""A server that other machines may reach: only with a name, TLS and somebody who can sign in."""

import subprocess
import sys
from pathlib import Path

import pytest

from entrepot.core.errors import InvalidRequest, StateConflict, Unauthenticated
from entrepot.core.settings import Settings, is_loopback
from entrepot.domain.identity import directory
from entrepot.server.identity import exposure
from entrepot.testing.hub import OWNER, close_hub, make_hub
from entrepot.testing.live import live
from tests.identity.conftest import House
from tests.server.test_authentication import Desk, desk  # noqa: F401 - a fixture

EVERYWHERE = "0.0.0.0"


def _listening(port: int) -> str:
    """Return the address on which this machine listens at a port, as the kernel writes it."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        address, _, found = local.partition(":")
        if state == "0A" and int(found, 16) == port:
            return ".".join(str(int(address[i : i + 2], 16)) for i in (6, 4, 2, 0))
    return ""


@pytest.mark.parametrize("address", ["127.0.0.1", "127.3.2.1", "::1", "localhost", "::ffff:127.0.0.1"])
def test_loopback_is_known_however_it_is_written(address: str) -> None:
    assert is_loopback(address) and not Settings(Path("/x"), host=address).is_exposed


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((), ("Listening on 0.0.0.0 lets other machines in", "--hostname")),
        (("--hostname", "localhost"), ("nobody could sign in", "az ad user create", "oidc_providers")),
    ],
)
def test_a_server_that_would_let_others_in_unprepared_says_what_to_do(
    tmp_path: Path, given: tuple[str, ...], told: tuple[str, ...]
) -> None:
    line = ["up", "--home", str(tmp_path / "home"), "--host", EVERYWHERE, "--port", "0", "--https-port", "0", *given]
    command = [sys.executable, "-m", "entrepot.cli.main", *line]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 1 and "Traceback" not in run.stderr, run.stderr
    assert all(text in run.stderr for text in told), run.stderr


def test_an_outside_provider_or_a_user_or_a_service_is_somebody(tmp_path: Path) -> None:
    hub = make_hub(tmp_path, host=EVERYWHERE)
    try:
        directory.ensure_owner(hub, OWNER)
        with pytest.raises(StateConflict, match="directory is empty"):
            exposure.require_people(hub)
        directory.create(hub, OWNER, directory.APPLICATION, {"displayName": "ci"})
        exposure.require_people(hub)
    finally:
        close_hub(hub)


def test_a_server_for_others_speaks_tls_outside_and_plain_http_at_home_only(tmp_path: Path) -> None:
    with live(tmp_path / "home") as first:
        House(first).user("ada", "a long enough password")
    with live(tmp_path / "home", host=EVERYWHERE, hostname="localhost") as server:
        assert server.file.https_url.startswith("https://localhost:")
        assert server.call("GET", "/subscriptions", secure=True).status == 200
        assert server.call("GET", "/subscriptions").status == 200
        ports = {url: int(url.rpartition(":")[2]) for url in (server.file.url, server.file.blob_url)}
        assert {_listening(port) for port in ports.values()} == {"127.0.0.1"}
        secure = [int(url.rpartition(":")[2]) for url in (server.file.https_url, server.file.https_blob_url)]
        assert {_listening(port) for port in secure} == {EVERYWHERE}


def test_the_homes_secrets_are_worth_nothing_from_afar(desk: Desk) -> None:  # noqa: F811
    headers = {b"authorization": b"Bearer secret-token"}
    assert desk.authenticator.caller("GET", headers, address="127.0.0.1").id == "owner-id"
    with pytest.raises(Unauthenticated, match="own machine only"):
        desk.authenticator.caller("GET", headers, address="203.0.113.9")
    token = {b"authorization": b"Bearer " + desk.token().encode()}
    assert desk.authenticator.caller("GET", token, address="203.0.113.9").id == desk.user


def test_a_certificate_of_ones_own_is_used_or_the_trouble_with_it_told(tmp_path: Path) -> None:
    made = exposure.certificate(Settings(tmp_path, hostname="ml.contoso.test"), now=1_790_000_000.0)
    own = Settings(tmp_path, tls_certificate=str(made.certificate), tls_key=str(made.key))
    assert exposure.certificate(own, now=0).certificate == made.certificate
    with pytest.raises(InvalidRequest, match="belong together"):
        exposure.certificate(Settings(tmp_path, tls_certificate=str(made.certificate)), now=0)
    wrong = Settings(tmp_path, tls_certificate=str(made.certificate), tls_key=str(tmp_path / "none.pem"))
    with pytest.raises(InvalidRequest, match="cannot be used"):
        exposure.certificate(wrong, now=0)
