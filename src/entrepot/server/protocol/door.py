"""Who is let in: how many connections one client address may hold, and how many there may be at all.

Counted from the moment a connection is accepted, before TLS is begun or a thread is given to it: refusing is cheap.
"""

import resource
import threading
from ipaddress import IPv6Address, ip_address

from entrepot.core.settings import is_loopback

_MOST_FILES = 65_536
_RESERVED_FILES = 256  # for the store, logs, pipes of jobs and the files that are being moved
_FEWEST = 64
_ASIDE = "%"


class Door:
    """Counts the connections of all listeners of a process. Thread-safe. This machine's own count in the total only."""

    def __init__(self, *, per_address: int, total: int) -> None:
        self._per_address = per_address
        self._total = total
        self._lock = threading.Lock()
        self._inside: dict[str, int] = {}
        self._count = 0

    def enter(self, address: str) -> "Visit | None":
        """Count a new connection of a client; None when it is one too many."""
        who = party(address)
        is_bounded = self._per_address > 0 and not is_loopback(address)
        with self._lock:
            count = self._inside.get(who, 0)
            if self._count >= self._total or (is_bounded and count >= self._per_address):
                return None
            self._inside[who] = count + 1
            self._count += 1
            return Visit(self, who)

    def leave(self, who: str) -> None:
        """Count a connection no more."""
        with self._lock:
            self._count -= 1
            left = self._inside[who] - 1
            if left:
                self._inside[who] = left
            else:
                del self._inside[who]


class Visit:
    """One connection that is counted, until `end`; twice is no error."""

    __slots__ = ("_door", "_who")

    def __init__(self, door: Door, who: str) -> None:
        self._door: Door | None = door
        self._who = who

    def end(self) -> None:
        """Count it no more."""
        door, self._door = self._door, None
        if door is not None:
            door.leave(self._who)


def party(address: str) -> str:
    """Return by what a client is counted: its address, or with IPv6 its network, in which it may have any address."""
    try:
        found = ip_address(address.partition(_ASIDE)[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> 64 << 64))


def raise_files_limit() -> int:
    """Let this process open as many files as it may; return how many connections leave it enough for its work."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    files = _MOST_FILES if soft == resource.RLIM_INFINITY else soft
    return max((files - _RESERVED_FILES) // 2, _FEWEST)
