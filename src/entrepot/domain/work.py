"""Workers: take queue items, hold their leases while a handler runs, try again with growing pauses when it fails.

Items run at least once, so handlers are idempotent. Nothing is lost by a crash: leases of an earlier process of this
server are released at start, those of others run out.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from entrepot.core.digests import digest_of
from entrepot.core.errors import EntrepotError, RevisionMismatch
from entrepot.domain.hub import Hub
from entrepot.store.documents import Finish, Postpone, ReleaseLeases, Work

Handler = Callable[[Hub, Work], None]

_LEASE_S = 60.0
_LONGEST_WAIT_S = 0.25
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 300.0

log = logging.getLogger(__name__)


class Workers:
    """Threads that work off the queues named in `handlers`, at most `slots[queue]` (else one) items at a time.

    `owner` names this server among others on the same store, the same at each of its starts.
    """

    def __init__(self, hub: Hub, handlers: Mapping[str, Handler], slots: Mapping[str, int], *, owner: str = "") -> None:
        self._hub = hub
        self._handlers = dict(handlers)
        self._slots = {queue: max(1, slots.get(queue, 1)) for queue in handlers}
        self._owner = owner or _name_of(hub.settings.home)
        self._guard = threading.Lock()
        self._free = dict(self._slots)
        self._running: dict[int, Work] = {}
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._pool: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Begin; whatever an earlier process of the same owner had leased is due at once."""
        self._stopping.clear()
        self._hub.documents.commit([ReleaseLeases(f"{self._owner}/")])
        self._pool = ThreadPoolExecutor(max_workers=sum(self._slots.values()), thread_name_prefix="work")
        for name, loop in (("dispatch", self._dispatch), ("renew", self._renew)):
            thread = threading.Thread(target=loop, name=f"work-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Take no more items, let the running handlers end, and return; idempotent."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None

    @property
    def stopping(self) -> threading.Event:
        """Set when the workers are to end: long handlers may look at it."""
        return self._stopping

    def _dispatch(self) -> None:
        documents = self._hub.documents
        while not self._stopping.is_set():
            try:
                if not self._take():
                    documents.wait_for_work(_LONGEST_WAIT_S)
            except Exception:
                log.exception("taking work failed")
                self._stopping.wait(_FIRST_PAUSE_S)

    def _take(self) -> bool:
        """Lease what the free slots can hold, and say whether there was any.

        One question for all queues with a free slot: after an empty answer no enqueue can be overlooked.
        """
        with self._guard:
            free = {queue: count for queue, count in self._free.items() if count}
        if not free:
            return False
        taken = self._lease(list(free), min(free.values()))
        for work in taken:
            self._begin(work)
        return bool(taken)

    def _lease(self, queues: list[str], limit: int) -> list[Work]:
        now = self._hub.clock.now()
        owner = f"{self._owner}/"
        return list(self._hub.documents.lease(queues, owner=owner, now=now, seconds=_LEASE_S, limit=limit))

    def _begin(self, work: Work) -> None:
        with self._guard:
            self._free[work.queue] -= 1
            self._running[work.id] = work
        assert self._pool is not None
        self._pool.submit(self._run, work)

    def _run(self, work: Work) -> None:
        current: Work | None = work
        while current is not None:
            self._handle(current)
            with self._guard:
                del self._running[current.id]
                self._free[current.queue] += 1
            current = self._next(current.queue)

    def _next(self, queue: str) -> Work | None:
        """Take the slot that just came free again, if there is work for it: the dispatcher may have passed it by."""
        if self._stopping.is_set():
            return None
        with self._guard:
            if not self._free[queue]:
                return None
            self._free[queue] -= 1
        try:
            taken = self._lease([queue], 1)
        except Exception:
            log.exception("taking work failed")
            taken = []
        with self._guard:
            if taken:
                self._running[taken[0].id] = taken[0]
                return taken[0]
            self._free[queue] += 1
        return None

    def _handle(self, work: Work) -> None:
        try:
            self._handlers[work.queue](self._hub, work)
        except RevisionMismatch as error:
            self._retry(work, error)
        except EntrepotError as error:
            log.warning("%s %s failed, attempt %d: %s", work.queue, work.key, work.attempt, error.message)
            self._retry(work, error)
        except Exception as error:
            log.exception("%s %s failed, attempt %d", work.queue, work.key, work.attempt)
            self._retry(work, error)
        else:
            self._finish(work)

    def _finish(self, work: Work) -> None:
        try:
            self._hub.documents.commit([Finish(work)])
        except RevisionMismatch:
            log.debug("%s %s was finished or given back by its handler", work.queue, work.key)
        except Exception:
            log.exception("finishing %s %s failed; it will run again", work.queue, work.key)

    def _retry(self, work: Work, error: Exception) -> None:
        pause = min(_FIRST_PAUSE_S * 2 ** min(work.attempt - 1, 16), _LONGEST_PAUSE_S)
        try:
            self._hub.documents.commit([Postpone(work, due=self._hub.clock.now() + pause)])
        except RevisionMismatch:
            log.debug("%s %s was taken by another worker after %s", work.queue, work.key, error)
        except Exception:
            log.exception("giving %s %s back failed; its lease will run out", work.queue, work.key)

    def _renew(self) -> None:
        renewed = time.monotonic()
        while not self._stopping.wait(0.5) or self._running:
            if self._stopping.is_set():
                time.sleep(0.05)
            if time.monotonic() - renewed < _LEASE_S / 3:
                continue
            renewed = time.monotonic()
            with self._guard:
                running = list(self._running.values())
            for work in running:
                try:
                    self._hub.documents.commit([Postpone(work, renew_s=_LEASE_S)])
                except Exception as error:
                    log.warning("the lease of %s %s could not be renewed: %s", work.queue, work.key, error)


def _name_of(home: Path) -> str:
    """Return a server's name on its store: a home has one server, and a digest is no prefix of another's."""
    return f"{socket.gethostname()}-{digest_of(str(home).encode())[:12]}"
