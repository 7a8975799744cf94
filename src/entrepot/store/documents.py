"""The DocumentStore protocol: documents by key, collections in creation order, facets, links, streams and work.

Knows nothing of machine learning. Implementations: `sql.py` (SQLite, PostgreSQL). Every state change of the
product is one `commit`, which happens whole or not at all and is durable when it returns.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, TypeVar, runtime_checkable

import msgspec

from entrepot.core.durations import Durations
from entrepot.core.errors import InvalidRequest

Json = Any
T = TypeVar("T")
ABSENT = 0
"""As `match` of a Put or Delete: the key must not exist."""


LAST_SEQUENCE = (1 << 63) - 1


def is_storable(text: str) -> bool:
    """Say whether both databases can hold the text: neither takes lone surrogates, PostgreSQL takes no NUL."""
    return "\0" not in text and (text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text))


@dataclass(frozen=True, slots=True)
class Document:
    """One stored document. `raw` is its JSON, ready for the wire; `sequence` orders by creation, store-wide."""

    key: str
    raw: bytes
    revision: int
    sequence: int
    is_archived: bool = False

    @property
    def body(self) -> dict[str, Json]:
        """The decoded JSON object, fresh at each call: free to change."""
        decoded: dict[str, Json] = msgspec.json.decode(self.raw)
        return decoded


class View(Enum):
    """Which documents of a collection a list shows."""

    ACTIVE = "active"
    ARCHIVED = "archived"
    ALL = "all"


class Order(Enum):
    """The order of a list. Pages are keyset pages: stable while others write."""

    NEWEST = "newest"
    OLDEST = "oldest"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Page:
    """Documents and the cursor of the next page, None at the end."""

    documents: tuple[Document, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Facet:
    """An index entry of a document: `find(space, name, value)` returns the documents that carry it.

    `space` is free text chosen by the caller, usually a scope or a collection.
    """

    space: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Put:
    """Write a document. `match`: ABSENT, a revision, or None for whatever is there.

    Facets replace the document's earlier facets; None leaves them as they are.
    """

    key: str
    body: Json  # a JSON object, or bytes of one
    match: int | None = None
    is_archived: bool = False
    facets: tuple[Facet, ...] | None = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a document, its facets and its outgoing links. `match` as in Put; a missing key is no error when None."""

    key: str
    match: int | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A directed edge between two names (document keys or other ids). Writing one twice keeps one."""

    source: str
    relation: str
    target: str
    body: Json = field(default=None)


@dataclass(frozen=True, slots=True)
class Unlink:
    """Remove all edges that leave a name; none is no error."""

    source: str


@dataclass(frozen=True, slots=True)
class Append:
    """Append an entry to a stream; entries get increasing positions."""

    stream: str
    entry: Json


@dataclass(frozen=True, slots=True)
class Trim:
    """Remove the entries of a stream up to a position. The newest has to stay: positions are counted on from it."""

    stream: str
    position: int


@dataclass(frozen=True, slots=True)
class Enqueue:
    """Add a work item, or, if `(queue, key)` is already waiting, leave that one. `due` in epoch seconds, 0: at once.

    While that item is leased, this one waits behind it: it becomes due when the leased one is finished or given
    back. So a wake-up is never lost, and two workers never have the same `(queue, key)`.
    """

    queue: str
    key: str
    payload: Json = None
    due: float = 0


@dataclass(frozen=True, slots=True)
class Work:
    """A leased work item: at least once, until Finish or the lease runs out. `attempt` starts at 1."""

    id: int
    queue: str
    key: str
    payload: Json
    attempt: int
    lease: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Remove a work item whose lease is still held; the commit fails with RevisionMismatch when it is not."""

    work: Work


@dataclass(frozen=True, slots=True)
class Postpone:
    """Give a leased item back, due at `due`; or with `renew_s`, keep it and prolong the lease instead.

    A renewed lease runs until `due` + `renew_s`: give the time now as `due`, or leave it 0 for the system's clock.
    """

    work: Work
    due: float = 0
    renew_s: float | None = None
    payload: Json = None  # None keeps the old one


@dataclass(frozen=True, slots=True)
class ReleaseLeases:
    """Make every item leased by owners that start with `owner_prefix` due at once (a restarted server's own)."""

    owner_prefix: str


Change = Put | Delete | Link | Unlink | Append | Trim | Enqueue | Finish | Postpone | ReleaseLeases


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a stream."""

    position: int
    body: Json


class DocumentStore(Protocol):
    """Where metadata lives. All methods are synchronous and thread-safe."""

    def get(self, key: str) -> Document | None:
        """Return the document, or None."""
        ...

    def list(
        self,
        collection: str,
        *,
        view: View = View.ACTIVE,
        order: Order = Order.NEWEST,
        after: str | None = None,
        limit: int = 100,
    ) -> Page:
        """Return a page of the documents whose key is `collection/<one segment>`. `after` is a Page's `next`."""
        ...

    def scan(self, prefix: str, *, after: str | None = None, limit: int = 1000) -> Page:
        """Return a page, in key order, of all documents whose key starts with `prefix`, archived ones too."""
        ...

    def find(
        self,
        space: str,
        name: str,
        value: str,
        *,
        view: View = View.ACTIVE,
        after: str | None = None,
        limit: int = 100,
    ) -> Page:
        """Return a page, newest first, of the documents that carry the facet."""
        ...

    def links(
        self, name: str, *, reverse: bool = False, relation: str | None = None, limit: int | None = None
    ) -> Sequence[Link]:
        """Return the edges that leave `name` (or arrive at it, when reverse), oldest first; `limit` None: all."""
        ...

    def read(self, stream: str, *, after: int = 0, limit: int = 1000, newest: bool = False) -> Sequence[Entry]:
        """Return entries with position > `after`, oldest first; with `newest`, the last `limit`, newest first."""
        ...

    def lease(self, queues: Sequence[str], *, owner: str, now: float, seconds: float, limit: int = 1) -> Sequence[Work]:
        """Claim up to `limit` due items of the queues, oldest first, for `seconds`."""
        ...

    def wait_for_work(self, timeout_s: float) -> None:
        """Return when an Enqueue or Postpone was committed in this process (or a peer, where known), or at timeout."""
        ...

    def commit(self, changes: Sequence[Change]) -> Sequence[Document]:
        """Apply all changes or none, durably; return the documents put, in order. Raises RevisionMismatch."""
        ...

    def close(self) -> None:
        """Release files and connections; committed work is kept."""
        ...


@runtime_checkable
class Measured(Protocol):
    """A store that tells operators how it does. One that cannot goes without."""

    commits: Durations
    """How long commits took until they were durable."""

    def backlog(self) -> Mapping[str, tuple[int, int]]:
        """Return {queue: (items that wait, items that are leased)}."""
        ...

    def tally(self, space: str, name: str) -> Mapping[str, int]:
        """Return how many documents carry each value of a facet."""
        ...


def encode_cursor(place: int | str) -> str:
    """Return the cursor of the page behind a sequence, a key or a name."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=").decode()


def decode_cursor(cursor: str | None, start: T) -> T:
    """Return the place that a cursor names, `start` for none; it must be of start's type."""
    if cursor is None:
        return start
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        place = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=type(start))
        if isinstance(place, int) and not 0 <= place <= LAST_SEQUENCE:
            raise ValueError("out of range")
        if isinstance(place, str) and not is_storable(place):
            raise ValueError("not storable")
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        raise InvalidRequest(
            f"{cursor[:80]!r} is not a cursor of this list: pass a page's `next` as it came"
        ) from error
    return place
