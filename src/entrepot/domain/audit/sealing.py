"""Seals: what makes a change, removal or reordering of the trail's entries show. Nobody waits for them.

Writers append entries without a chain. Once a second whoever is first seals what came since: a seal holds the digest of
its entries in order and of the seal before it, and a code made with the home's key, which is not in the database. The
newest seal is also kept in a file, so that cutting off the end of the trail shows too.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from entrepot.core.clock import to_iso
from entrepot.core.digests import canonical_json, digest_of
from entrepot.core.errors import RevisionMismatch
from entrepot.domain.audit import STREAM
from entrepot.domain.hub import Hub
from entrepot.store.documents import ABSENT, Append, Document, Entry, Put

Json = Any

SEALS = "auditseals"
"""The stream of seals, and the key of the document that repeats the newest."""

CHECKPOINT = "auditcheckpoint"
"""The key of the document that tells where the trail begins after older entries were let go."""

FIRST: dict[str, Json] = {"position": 0, "number": 0, "hash": ""}
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Notary:
    """Seals with a key, and remembers the newest seal beside the database. `key` is read when it is first needed."""

    key: Callable[[], bytes]
    memo: Path
    is_alone: bool = True  # nobody else seals in this database, so that a seal of another key is a forgery

    def signed(self, seal: dict[str, Json]) -> dict[str, Json]:
        """Return a seal with the code that only the key makes."""
        key = self.key()
        return {**seal, "key": digest_of(key)[:16], "code": self._code(key, seal)}

    def is_genuine(self, seal: dict[str, Json]) -> bool | None:
        """Say whether the code is right; None for a seal of another server's key, of which nothing can be said."""
        key = self.key()
        if seal.get("key") != digest_of(key)[:16]:
            return False if self.is_alone else None
        plain = {name: value for name, value in seal.items() if name not in ("key", "code")}
        return hmac.compare_digest(str(seal.get("code")), self._code(key, plain))

    def remember(self, seal: dict[str, Json]) -> None:
        """Keep the newest seal where no change of the database reaches it."""
        fresh = self.memo.with_suffix(".new")
        fresh.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(msgspec.json.encode(seal))
        fresh.replace(self.memo)

    def remembered(self) -> dict[str, Json] | None:
        """Return the seal that was kept last; None when there is none."""
        try:
            found: dict[str, Json] = msgspec.json.decode(self.memo.read_bytes())
        except (OSError, msgspec.DecodeError):
            return None
        return found

    @staticmethod
    def _code(key: bytes, seal: dict[str, Json]) -> str:
        return hmac.new(key, canonical_json(seal), hashlib.sha256).hexdigest()


def seal(hub: Hub, notary: Notary) -> int:
    """Seal what was appended since the last seal, in batches; return how many entries that were."""
    count = 0
    while True:
        head = hub.documents.get(SEALS)
        before = head.body if head else FIRST
        entries = hub.documents.read(STREAM, after=before["position"], limit=_PAGE)
        if not entries:
            return count
        made = notary.signed(_seal_of(entries, before, hub.clock.now()))
        put = Put(SEALS, made, match=head.revision if head else ABSENT)
        try:
            hub.documents.commit([put, Append(SEALS, made)])
        except RevisionMismatch:
            continue  # another process was first
        if _goes_on(hub, notary.remembered(), before):
            notary.remember(made)
        count += len(entries)


def _goes_on(hub: Hub, kept: dict[str, Json] | None, before: dict[str, Json]) -> bool:
    """Say whether the seal that was kept is in the chain that goes on; else it stays kept, and verifying tells."""
    if kept is None:
        return True
    found: dict[str, Json] = before
    if kept["number"] < before["number"]:  # another server sealed, or this one died before it kept its last seal
        older = hub.documents.read(SEALS, after=kept["number"] - 1, limit=1)
        if not older or older[0].body["number"] > kept["number"]:
            return True  # let go of, by `trim`
        found = older[0].body
    return (kept["number"], kept["hash"]) == (found["number"], found["hash"])


def batches(hub: Hub, seals: Sequence[Entry], start: int) -> Iterator[tuple[Entry, list[Entry]]]:
    """Yield each seal with the entries that are where it says its own are."""
    after = start
    for sealed in seals:
        yield sealed, between(hub, after, sealed.body["position"])
        after = sealed.body["position"]


def between(hub: Hub, after: int, last: int) -> list[Entry]:
    """Return the entries behind a position, up to another."""
    found: list[Entry] = []
    while after < last:
        page = [one for one in hub.documents.read(STREAM, after=after, limit=_PAGE) if one.position <= last]
        if not page:
            break
        found += page
        after = page[-1].position
    return found


def root_of(entries: Sequence[Entry]) -> str:
    """Return the digest of entries with their positions, in order."""
    whole = hashlib.sha256()
    for entry in entries:
        whole.update(hashlib.sha256(b"%d\n" % entry.position + canonical_json(entry.body)).digest())
    return whole.hexdigest()


def linked(seal_: dict[str, Json]) -> str:
    """Return the hash by which the next seal holds on to this one."""
    kept = {name: value for name, value in seal_.items() if name not in ("hash", "key", "code")}
    return digest_of(canonical_json(kept))


def head_of(hub: Hub) -> dict[str, Json]:
    """Return what names the newest seal."""
    document = hub.documents.get(SEALS)
    return told_head(document.body if document else FIRST)


def told_head(seal: dict[str, Json]) -> dict[str, Json]:
    """Return what names a seal, to be kept elsewhere and asked for again."""
    return {name: seal.get(name, "") for name in ("number", "hash", "time")}


def start_of(hub: Hub) -> tuple[Document | None, dict[str, Json]]:
    """Return where the trail begins: the checkpoint, or the very first place."""
    document = hub.documents.get(CHECKPOINT)
    return document, document.body if document else dict(FIRST)


def _seal_of(entries: Sequence[Entry], before: dict[str, Json], now: float) -> dict[str, Json]:
    made: dict[str, Json] = {
        "number": before["number"] + 1,
        "first": entries[0].position,
        "position": entries[-1].position,
        "count": len(entries),
        "root": root_of(entries),
        "previous": before["hash"],
        "time": to_iso(now),
    }
    return {**made, "hash": linked(made)}
