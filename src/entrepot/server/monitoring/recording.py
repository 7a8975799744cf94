"""Keeps what the gateway counted, minute by minute, and asks replicas how busy their processes are."""

import logging
import os
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from entrepot.domain.endpoints import routing
from entrepot.domain.endpoints.monitoring import minutes
from entrepot.domain.endpoints.monitoring.minutes import MINUTE_S, Sample
from entrepot.domain.endpoints.replicas import probes, records
from entrepot.domain.endpoints.replicas.probes import Load
from entrepot.domain.endpoints.tallies import Tally, gained
from entrepot.domain.hub import Hub
from entrepot.server.gateway.counting import Tellers
from entrepot.server.gateway.rendering import cluster_name

_ASK_S = 1.0
_ASKED_TOGETHER = 8

log = logging.getLogger("entrepot.gateway")


@dataclass(frozen=True, slots=True)
class Standing:
    """How a deployment is now: what it answered since the gateways began, its replicas, how busy each is by its id."""

    key: str
    tally: Tally
    last: Tally
    """What was answered in the last minute or so."""
    ready: int
    wanted: int
    loads: Mapping[str, Load]


class Recorder:
    """Looks once a minute, and whenever somebody asks."""

    def __init__(self, hub: Hub, tellers: Tellers) -> None:
        self._hub = hub
        self._tellers = tellers
        self._guard = threading.Lock()
        self._before: dict[str, Mapping[str, Tally]] = {}
        self._up_to: dict[str, Mapping[str, Tally]] = {}  # of gateways that this process has heard of
        self._pending: dict[tuple[str, int], Sample] = {}
        self._capacity: dict[str, tuple[int, int]] = {}
        self._minute: dict[str, Tally] = {}
        self._last: dict[str, Tally] = {}
        self._minute_began = 0
        self._cpu: dict[str, tuple[float, float]] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; what gateways have counted since an earlier server wrote minutes down is of this one."""
        self._before = dict(minutes.written_up_to(self._hub))
        self._thread = threading.Thread(target=self._loop, name="recorder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look a last time and end; idempotent."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def look(self) -> list[Standing]:
        """Return how every deployment is."""
        with self._guard:
            return self._look(self._tellers.all())

    def past(self, key: str, *, start: float, end: float) -> list[tuple[int, Sample]]:
        """Return the minutes of a deployment in [start, end), with those that are not written down yet."""
        self.look()
        with self._guard:
            found = dict(minutes.read(self._hub, key, start=start, end=end))
            for (of, minute), sample in self._pending.items():
                if of == key and start <= minute < end:
                    found[minute] = found[minute].plus(sample) if minute in found else sample
        return sorted(found.items())

    def _loop(self) -> None:
        while True:
            has_ended = self._stopping.wait(MINUTE_S - time.time() % MINUTE_S)
            try:
                self.look()
                self._write()
            except Exception:
                log.exception("what deployments answered could not be written down")
            if has_ended:
                return

    def _write(self) -> None:
        with self._guard:
            there = {key for key, _ in self._pending if self._hub.documents.get(key) is not None}
            kept = {place: sample for place, sample in self._pending.items() if place[0] in there}
            minutes.write(self._hub, kept, now=self._hub.clock.now(), up_to=self._up_to)
            self._pending = {}

    def _look(self, told: Mapping[str, Mapping[str, Tally]]) -> list[Standing]:
        now = self._hub.clock.now()
        minute, found = minutes.minute_of(now), []
        if minute != self._minute_began:
            self._minute_began, self._last, self._minute = minute, self._minute, {}
        for cluster, key in self._deployments().items():
            counts = _of(cluster, told)
            tally, fresh = gained(counts, {}), gained(counts, _of(cluster, self._before))
            self._minute[key] = self._minute.get(key, Tally()).plus(fresh)
            status = records.status(self._hub, key)
            loads = self._loads(key)
            capacity = (status.ready, status.wanted)
            if fresh.requests or fresh.timed or self._capacity.get(key) != capacity:
                sample = Sample(fresh, *capacity, *self._usage(loads, now))
                before = self._pending.get((key, minute))
                self._pending[key, minute] = sample if before is None else before.plus(sample)
            self._capacity[key] = capacity
            last = self._last.get(key, Tally()).plus(self._minute[key])
            found.append(Standing(key, tally, last, *capacity, loads))
        self._before |= told
        self._up_to |= told
        return found

    def _deployments(self) -> dict[str, str]:
        return {
            cluster_name(endpoint.slug, deployment.name): deployment.key
            for endpoint in routing.read_all(self._hub)
            for deployment in endpoint.deployments
        }

    def _loads(self, key: str) -> dict[str, Load]:
        asked = [one for one in records.all_of(self._hub, key) if one.state == records.READY and one.address]
        if not asked:
            return {}
        with ThreadPoolExecutor(min(len(asked), _ASKED_TOGETHER), thread_name_prefix="load") as pool:
            told = pool.map(lambda one: probes.load(str(one.address), one.secret, timeout_s=_ASK_S), asked)
            return {one.id: load for one, load in zip(asked, told, strict=True) if load is not None}

    def _usage(self, loads: Mapping[str, Load], now: float) -> tuple[float | None, float | None]:
        """Return how much of the machine a deployment's replicas use on the mean, in percent: CPU, memory."""
        cpu, memory = [], []
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        for id, load in loads.items():
            before = self._cpu.get(id)
            self._cpu[id] = (now, load.cpu_s)
            if before is not None and now > before[0] and load.cpu_s >= before[1]:
                cpu.append(100 * (load.cpu_s - before[1]) / (now - before[0]) / (os.cpu_count() or 1))
            memory.append(100 * load.memory_bytes / whole)
        return _mean(cpu), _mean(memory)


def _of(cluster: str, told: Mapping[str, Mapping[str, Tally]]) -> dict[str, Tally]:
    return {name: counted[cluster] for name, counted in told.items() if cluster in counted}


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
