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
from entrepot.domain.endpoints.tallies import Tally
from entrepot.domain.hub import Hub
from entrepot.server.gateway import process, statistics
from entrepot.server.gateway.bootstrap import PROBE, bootstrap
from entrepot.server.gateway.files import WatchedFolder
from entrepot.server.gateway.process import Running
from entrepot.server.gateway.rendering import Files, render
from entrepot.server.gateway.sources import NOTHING_KNOWN, OwnHub, Source, read_url
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
    """Where a gateway is: its folder, hosts and ports (plain, TLS), and what it shows the server that it asks."""

    folder: Path
    hosts: tuple[str, str]
    ports: tuple[int, int]
    tls: TlsFiles
    secret: str


class Gateway:
    """Follows endpoints in a thread of its own. `held`: sockets that keep the ports until Envoy has them.

    `is_eager`: Envoy runs as soon as anything is known, also while there are no endpoints.
    """

    def __init__(
        self, source: Source, place: Place, held: tuple[socket.socket, ...] = (), *, is_eager: bool = False
    ) -> None:
        self._source = source
        self._is_eager = is_eager
        self._api = source.api
        self._place = place
        self._held = held
        self._config = place.folder / "config"
        self._files = WatchedFolder(self._config)
        self._bootstrap = bootstrap(
            folder=str(self._config), hosts=place.hosts, ports=place.ports, tls=place.tls, secret=place.secret
        )
        self._digest = digest_of(self._bootstrap)
        self._running: Running | None = None
        self._epoch = NOTHING_KNOWN
        self._mark = time.time_ns()
        self._followed = threading.Condition()
        self._wake = threading.Event()
        self._failures = 0
        self._not_before = 0.0
        self._checked = 0.0
        self._is_drained = False
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

    @property
    def name(self) -> str:
        """What tells the Envoy that runs from those before it and from other gateways'; '' before the first."""
        return f"{self._running.pid}-{self._running.ticks}" if self._running is not None else ""

    def start(self) -> None:
        """Begin to follow."""
        self._thread = threading.Thread(target=self._loop, name="gateway", daemon=True)
        self._thread.start()

    def drain(self) -> None:
        """Follow no more, and return when Envoy has answered what it was asked; it still tells what it counted."""
        self._stopping.set()
        self._wake.set()
        with self._followed:
            self._followed.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._running is not None and not self._is_drained:
            process.drain(self._place.folder, timeout_s=_DRAIN_S)
            self._is_drained = True

    def stop(self) -> None:
        """End Envoy once it has answered what it was asked; idempotent."""
        self.drain()
        if self._running is not None:
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
        wanted = self._source.epoch()
        if self._epoch >= wanted:
            return True
        self._wake.set()
        with self._followed:
            return self._followed.wait_for(lambda: self._epoch >= wanted or self._stopping.is_set(), timeout_s)

    def tallies(self) -> Mapping[str, Tally]:
        """Return what each deployment answered since Envoy began, by the name of its cluster."""
        return statistics.read(self._place.folder)

    def _step(self) -> None:
        epoch, api = self._source.epoch(), self._source.api
        now = time.monotonic()
        is_changed = epoch != self._epoch or api != self._api
        if not is_changed and (self._running is None or now - self._checked < _CHECK_S):
            return
        if is_changed or not self._files.is_settled:
            endpoints = self._source.endpoints()
            self._api = api
            self._write(render(endpoints, api=api))
            if self._running is None and (endpoints or self._is_eager):
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

    They are those of an Envoy that still runs, else the API's and the next but one, else free ones.
    """
    settings = hub.settings
    wishes = tuple(port + 2 if port else 0 for port in (settings.port, settings.https_port))
    secret = load_token(settings.home / "keys" / "gateway.key")
    ports, held = settled_ports(folder, (settings.plain_host, settings.host), (wishes[0], wishes[1]))
    place = Place(folder, (settings.plain_host, settings.host), ports, tls, secret)
    return Gateway(OwnHub(hub, read_url(server)), place, held)


def settled_ports(
    folder: Path, hosts: tuple[str, str], wishes: tuple[int, int], *, insists: bool = False
) -> tuple[tuple[int, int], tuple[socket.socket, ...]]:
    """Return the ports (plain, TLS) of a gateway and the sockets that keep them.

    They are those of an Envoy that still runs, else the wishes, 0 being the one it had before, else free ones. The
    sockets are bound but do not listen, so that nobody else is given the ports. Raises OSError when there is none, or
    with `insists` when a wish cannot be fulfilled.
    """
    known = process.remembered(folder)
    if known is not None and known.is_alive:
        return known.ports, ()
    before = known.ports if known is not None else (0, 0)
    held = []
    for host, wish, old in zip(hosts, wishes, before, strict=True):
        try:
            held.append(_hold(host, (wish,) if insists and wish else (wish or old, 0)))
        except OSError:
            for other in held:
                other.close()
            raise
    found = [one.getsockname()[1] for one in held]
    return (found[0], found[1]), tuple(held)


def _hold(host: str, wishes: tuple[int, ...]) -> socket.socket:
    for wish in dict.fromkeys(wishes):
        held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # Envoy sets it too, and so may bind beside us
        try:
            held.bind((host, wish))
        except OSError:
            held.close()
            continue
        return held
    raise OSError(f"{host} has no free port for the gateway" if 0 in wishes else f"{host}:{wishes[0]} is taken")
