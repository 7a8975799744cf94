"""A gateway in a process of its own: `entrepot gateway up`. It follows a server and serves on while that is down.

Its folder is like a home: `run/` by which it is found, `tls/`, `config.toml` if there is one, and Envoy's files in
`gateway/`. When it ends Envoy ends; when it is killed Envoy goes on, and the next one takes it over.
"""

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from entrepot.core.clock import SystemClock
from entrepot.core.errors import InvalidRequest, StateConflict
from entrepot.core.settings import Settings, is_loopback
from entrepot.server import runfiles
from entrepot.server.gateway.following import Followed, found_in
from entrepot.server.gateway.gateway import Gateway, Place, settled_ports
from entrepot.server.gateway.sources import Api, read_url
from entrepot.server.identity import exposure
from entrepot.server.keys import private_folder, write_private
from entrepot.server.tls import TlsFiles, bundle_file

_GLANCE_S = 0.02

log = logging.getLogger("entrepot.gateway")


@dataclass(frozen=True, slots=True)
class Leader:
    """Whom a gateway follows: the server of `home`, or the one at `url`, with its key and, for HTTPS, its authority."""

    home: Path
    url: str = ""
    key_file: Path | None = None
    authority: Path | None = None

    def finder(self) -> Callable[[], Api]:
        """Return what finds the server. Raises InvalidRequest, StateConflict."""
        if not self.url:
            find = found_in(self.home)
            try:
                find()
            except (OSError, ValueError) as error:
                raise StateConflict(
                    f"No server has run with the home {self.home} yet",
                    hint="entrepot up starts it; --server, --key-file and --authority name one elsewhere",
                ) from error
            return find
        api = read_url(self.url)
        if self.url.startswith("http://") and not is_loopback(api.host):
            raise InvalidRequest(
                f"{self.url} is plain HTTP to another machine, and what gateways are told is secret",
                hint="give the https:// address of the server, and its tls/ca.pem as --authority",
            )
        if self.url.startswith("https://"):
            authority = self.authority or bundle_file()
            if authority is None or not authority.is_file():
                raise InvalidRequest(
                    f"There is no file {authority} of authorities to check {self.url} by",
                    hint="give tls/ca.pem of the server's home, or the file of who signed its certificate",
                )
            api = replace(api, authority=str(authority))
        return lambda: api

    def secret(self) -> str:
        """Return the key by which gateways prove themselves. Raises InvalidRequest."""
        file = self.key_file or self.home / "keys" / "gateway.key"
        try:
            return file.read_text().strip()
        except OSError as error:
            raise InvalidRequest(
                f"The key {file} cannot be read: {error.strerror}",
                hint="copy keys/gateway.key of the server's home, readable by you alone, and give it as --key-file",
            ) from error


def serve(settings: Settings, leader: Leader) -> None:
    """Keep a gateway running until SIGTERM or SIGINT, printing `ready URL` when it answers.

    Raises StateConflict when the folder or a port is taken, InvalidRequest, Unauthenticated for a wrong key.
    """
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    exposure.require_name(settings)
    find, secret = leader.finder(), leader.secret()
    private_folder(settings.home)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: stop.set())
    with runfiles.lock(settings.home):
        tls = exposure.certificate(settings, now=SystemClock().now())
        followed = Followed(find, secret, settings.home)
        gateway = _opened(settings, followed, tls, secret)
        gateway.start()
        followed.start(lambda: (gateway.name, gateway.tallies()))
        try:
            _attend(settings, gateway, followed, stop)
        finally:
            gateway.drain()
            followed.stop()
            gateway.stop()
            (settings.home / "run" / "gateway.json").unlink(missing_ok=True)
        log.info("stopped")


def _opened(settings: Settings, followed: Followed, tls: TlsFiles, secret: str) -> Gateway:
    folder, hosts = settings.home / "gateway", (settings.plain_host, settings.host)
    try:
        ports, held = settled_ports(folder, hosts, (settings.port, settings.https_port), insists=True)
    except OSError as error:
        raise StateConflict(
            str(error), hint="choose others with --port and --https-port; without them, any free ones"
        ) from error
    return Gateway(followed, Place(folder, hosts, ports, tls, secret), held, is_eager=True)


def _attend(settings: Settings, gateway: Gateway, followed: Followed, stop: threading.Event) -> None:
    while not gateway.is_running and not stop.wait(_GLANCE_S):
        if followed.refusal is not None:
            raise followed.refusal
    if gateway.is_running:
        _announce(settings, gateway)
    while not stop.wait(1):
        pass


def _announce(settings: Settings, gateway: Gateway) -> None:
    plain, secure = exposure.urls(settings, gateway.ports)
    told = {"pid": os.getpid(), "url": plain, "https_url": secure, "since": time.time()}
    write_private(settings.home / "run" / "gateway.json", json.dumps(told, indent=1))
    sys.stdout.write(f"ready {plain}\n")
    sys.stdout.flush()
