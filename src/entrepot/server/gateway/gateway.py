"""The gateway of a server: Envoy kept running while there are endpoints, and told of every change of theirs.

Before the first endpoint there is no process and nothing is polled but one document. It ends with the server; when
the server is killed it goes on, and the next server takes it over.
"""

import logging
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from entrepot.core.digests import digest_of
from entrepot.core.errors import EntrepotError
from entrepot.domain.endpoints import routing
from entrepot.domain.endpoints.announcements import EPOCH_KEY
from entrepot.domain.endpoints.tallies import Tally
from entrepot.domain.hub import Hub
from entrepot.server.gateway import process, statistics
from entrepot.server.gateway.bootstrap import PROBE, bootstrap
from entrepot.server.gateway.files import WatchedFolder
from entrepot.server.gateway.process import Running
from entrepot.server.gateway.rendering import Files, render
from entrepot.server.keys import load_token
from entrepot.server.tls import TlsFiles

_GLANCE_S = 0.02
_IDLE_GLANCE_S = 0.1
_CHECK_S = 0.5
_FOLLOW_S = 5.0
_PROBE_S = 0.001
_DRAIN_S = 5.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0

log = logging.getLogger("entrepot.gateway")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a gateway is: its folder in the home, hosts and ports (plain, TLS), and the server it asks."""

    folder: Path
    hosts: tuple[str, str]
    ports: tuple[int, int]
    server: str
    tls: TlsFiles
    secret: str


class Gateway:
    """Follows a hub's endpoints in a thread of its own. `held`: sockets that keep the ports until Envoy has them."""

    def __init__(self, hub: Hub, place: Place, held: tuple[socket.socket, ...] = ()) -> None:
        self._hub = hub
        self._place = place
        self._held = held
        self._config = place.folder / "config"
        self._files = WatchedFolder(self._config)
        self._bootstrap = bootstrap(
            folder=str(self._config), hosts=place.hosts, ports=place.ports, tls=place.tls, secret=place.secret
        )
        self._digest = digest_of(self._bootstrap)
        self._running: Running | None = None
        self._epoch = -1
        self._mark = time.time_ns()
        self._followed = threading.Condition()
        self._wake = threading.Event()
        self._failures = 0
        self._not_before = 0.0
        self._checked = 0.0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def ports(self) -> tuple[int, int]:
        """The plain and the TLS port, also before Envoy listens there."""
        return self._place.ports

    @property
    def secret(self) -> str:
        """What the gateway shows when it asks the server."""
        return self._place.secret

    @property
    def folder(self) -> Path:
        """Where the admin socket is."""
        return self._place.folder

    @property
    def is_running(self) -> bool:
        """Say whether Envoy runs."""
        return self._running is not None and self._running.is_alive

    def start(self) -> None:
        """Begin to follow."""
        self._thread = threading.Thread(target=self._loop, name="gateway", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Follow no more, and end Envoy once it has answered what it was asked; idempotent."""
        self._stopping.set()
        self._wake.set()
        with self._followed:
            self._followed.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._running is not None:
            process.drain(self._place.folder, timeout_s=_DRAIN_S)
            process.stop(self._running)
            self._running = None
        for held in self._held:
            held.close()

    def _loop(self) -> None:
        while not self._stopping.is_set():
            try:
                self._step()
            except Exception as error:
                told = error.message if isinstance(error, EntrepotError) else repr(error)
                log.error("the gateway could not be brought up to date: %s", told)
                self._stopping.wait(_CHECK_S)
            self._wake.wait(_GLANCE_S if self._running else _IDLE_GLANCE_S)
            self._wake.clear()

    def follow(self, timeout_s: float = _FOLLOW_S) -> bool:
        """Return True when Envoy does what is committed by now, False at the timeout."""
        wanted = self._committed()
        if self._epoch >= wanted:
            return True
        self._wake.set()
        with self._followed:
            return self._followed.wait_for(lambda: self._epoch >= wanted or self._stopping.is_set(), timeout_s)

    def tally(self, slug: str, deployment: str) -> Tally:
        """Return what a deployment answered since Envoy began."""
        return statistics.tally_of(self._place.folder, slug, deployment)

    def tallies(self) -> Mapping[str, Tally]:
        """Return the same of all deployments, by the name of their cluster."""
        return statistics.read(self._place.folder)

    def _committed(self) -> int:
        document = self._hub.documents.get(EPOCH_KEY)
        return document.revision if document is not None else 0

    def _step(self) -> None:
        epoch = self._committed()
        now = time.monotonic()
        is_changed = epoch != self._epoch
        if not is_changed and (self._running is None or now - self._checked < _CHECK_S):
            return
        if is_changed or not self._files.is_settled:
            endpoints = routing.read_all(self._hub)
            self._write(render(endpoints, server=self._place.server))
            if self._running is None and endpoints:
                self._running = self._adopted()
        self._checked = now
        if self._running is not None and not self._running.is_alive:
            self._restart(now)
        if is_changed:
            self._await_read()
            with self._followed:
                self._epoch = epoch
                self._followed.notify_all()

    def _write(self, rendered: Files) -> None:
        """Have Envoy read the clusters before the routes that need them."""
        if self._files.write_clusters(rendered):
            self._await_read()
        if self._files.write_routes(rendered):
            self._await_read()

    def _await_read(self) -> None:
        """Return when Envoy has read a new mark, and with it all that was written before the mark before.

        It learns of its files one by one and in no order, so the mark itself may be read before what was written just
        before it; but what it knew of by the last mark it has done by this one. All of it takes milliseconds.
        """
        self._mark += 1
        self._files.mark(str(self._mark))
        end = time.monotonic() + _FOLLOW_S
        while self._running is not None and not self._stopping.is_set():
            try:
                if process.ask(self._place.folder, "/", at=PROBE)[1].decode() == str(self._mark):
                    return
            except OSError:
                return  # it died, and reads everything when it is started again
            if time.monotonic() > end:
                log.warning("the gateway has not read its configuration yet; its log is in %s", self._place.folder)
                return
            time.sleep(_PROBE_S)

    def _adopted(self) -> Running:
        """Return the Envoy that an earlier server left, if it was told the same; else a new one."""
        known = process.remembered(self._place.folder)
        if known is not None and known.is_alive:
            if known.bootstrap == self._digest and process.is_ready(self._place.folder):
                log.info("the gateway of an earlier server goes on as process %d", known.pid)
                return known
            process.stop(known)
        return self._started()

    def _started(self) -> Running:
        running = process.start(self._place.folder, self._bootstrap, digest=self._digest, ports=self._place.ports)
        log.info("the gateway listens on ports %d and %d as process %d", *self._place.ports, running.pid)
        return running

    def _restart(self, now: float) -> None:
        if now < self._not_before:
            return
        assert self._running is not None
        process.reap(self._running)
        self._failures += 1
        self._not_before = now + min(_FIRST_PAUSE_S * 2 ** (self._failures - 1), _LONGEST_PAUSE_S)
        log.warning("the gateway died and is started again")
        self._running = self._started()
        self._failures = 0


def open_gateway(hub: Hub, folder: Path, *, server: str, tls: TlsFiles) -> Gateway:
    """Return the gateway of a server whose API answers at `server`; its ports are settled, nothing runs yet.

    They are those of an Envoy that still runs, else the API's and the next but one, else free ones. Sockets that are
    bound but do not listen hold them, so that nobody else is given them.
    """
    settings = hub.settings
    hosts = (settings.plain_host, settings.host)
    known = process.remembered(folder)
    ports: list[int] = list(known.ports) if known is not None and known.is_alive else []
    held: tuple[socket.socket, ...] = ()
    if not ports:
        before = known.ports if known is not None else (0, 0)
        wishes = [
            port + 2 if port else old for port, old in zip((settings.port, settings.https_port), before, strict=True)
        ]
        held = tuple(_hold(host, wish) for host, wish in zip(hosts, wishes, strict=True))
        ports = [found.getsockname()[1] for found in held]
    api = server.partition("://")[2]
    secret = load_token(settings.home / "keys" / "gateway.key")
    place = Place(folder, hosts, (ports[0], ports[1]), api, tls, secret)
    return Gateway(hub, place, held)


def _hold(host: str, port: int) -> socket.socket:
    for wish in dict.fromkeys((port, 0)):
        held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # Envoy sets it too, and so may bind beside us
        try:
            held.bind((host, wish))
        except OSError:
            held.close()
            continue
        return held
    raise OSError(f"{host} has no free port for the gateway")
