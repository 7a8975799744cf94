"""Verifying the trail: walks all seals and their entries, and tells of everything that is not as it was sealed."""

from dataclasses import dataclass, field
from typing import Any

from entrepot.domain.audit import STREAM
from entrepot.domain.audit.sealing import SEALS, Notary, batches, linked, root_of, start_of, told_head
from entrepot.domain.hub import Hub
from entrepot.store.documents import Entry

Json = Any

_PAGE = 1000
_MOST_TOLD = 20


@dataclass(slots=True)
class Finding:
    """What a verification found. `problems` are sentences; none: all is as it was sealed."""

    entries: int = 0
    seals: int = 0
    unsealed: int = 0
    unknown_keys: int = 0
    begins: int = 0
    begins_with: int = 0  # the seal before the first one
    problems: list[str] = field(default_factory=list)
    head: dict[str, Json] = field(default_factory=dict)

    def told(self) -> dict[str, Json]:
        """Return it for the wire."""
        return {
            "isIntact": not self.problems,
            "entries": self.entries,
            "seals": self.seals,
            "unsealed": self.unsealed,
            "sealsOfOtherKeys": self.unknown_keys,
            "beginsBehind": self.begins,
            "problems": self.problems[:_MOST_TOLD],
            "head": self.head,
        }


def verify(hub: Hub, notary: Notary, *, head: Json = None) -> Finding:
    """Check every entry against its seal, every seal against the one before, and the last against what was kept.

    `head` {number, hash, time} of an earlier finding, kept elsewhere, has to be in the chain: it shows a trail that was
    made anew with this server's own key.
    """
    found = Finding()
    kept_heads = [kept for kept in (notary.remembered(), head) if kept]
    document = hub.documents.get(SEALS)  # first of all: others go on sealing meanwhile
    newest = document.body["number"] if document else 0
    checkpoint, before = start_of(hub)
    found.begins, found.begins_with = before["position"], before["number"]
    if checkpoint is not None and notary.is_genuine(before) is False:
        found.problems.append("The checkpoint at which the trail begins was not made by this server")
    after = before.get("seal", 0)
    while seals := hub.documents.read(SEALS, after=after, limit=_PAGE):
        for sealed, entries in batches(hub, seals, before["position"]):
            _check(found, notary, sealed.body, entries, before)
            for kept in kept_heads:
                _check_kept(found, sealed.body, kept)
            before = sealed.body
        after = seals[-1].position
    for kept in kept_heads:
        _check_cut(found, before, kept)
    if head and head["number"] <= found.begins_with:
        found.problems.append(f"Seal {head['number']} was let go of by `trim`: nothing can be said of it")
    _check_end(hub, found, before, newest)
    found.head = told_head(before)
    return found


def _check(found: Finding, notary: Notary, seal: Json, entries: list[Entry], before: Json) -> None:
    found.seals += 1
    found.entries += len(entries)
    what = _named(seal)
    if seal["number"] != before["number"] + 1 or seal["previous"] != before["hash"]:
        found.problems.append(f"{what} does not follow on seal {before['number']}: one was removed, put in or changed")
    if seal["hash"] != linked(seal):
        found.problems.append(f"{what} was changed")
    genuine = notary.is_genuine(seal)
    if genuine is None:
        found.unknown_keys += 1
    elif not genuine:
        found.problems.append(f"{what} was not made by this server")
    positions = [entry.position for entry in entries]
    if positions != list(range(seal["first"], seal["position"] + 1)) or len(entries) != seal["count"]:
        found.problems.append(f"{what} holds {seal['count']} entries, and {len(entries)} are there")
    elif root_of(entries) != seal["root"]:
        found.problems.append(f"{what}: an entry was changed, or the order of entries")


def _check_kept(found: Finding, seal: Json, kept: Json) -> None:
    if kept["number"] == seal["number"] and kept["hash"] != seal["hash"]:
        found.problems.append(f"{_named(seal)} is not the one that was made: the trail was replaced")


def _check_cut(found: Finding, last: Json, kept: Json) -> None:
    if kept["number"] > last["number"]:
        found.problems.append(
            f"The trail ends with seal {last['number']} at entry {last['position']}, but seal {kept['number']} "
            f"was made at {kept.get('time')}: its end was cut off"
        )


def _check_end(hub: Hub, found: Finding, last: Json, newest: int) -> None:
    if newest > last["number"]:
        found.problems.append(f"The newest seal is {newest}, and the trail ends with seal {last['number']}")
    after, expected = last["position"], last["position"] + 1
    while rest := hub.documents.read(STREAM, after=after, limit=_PAGE):
        if [entry.position for entry in rest] != list(range(expected, expected + len(rest))):
            found.problems.append(f"Entries behind {after}, which are not sealed yet, are missing")
        found.unsealed += len(rest)
        after = rest[-1].position
        expected = after + 1


def _named(seal: Json) -> str:
    return f"Seal {seal['number']} ({seal['time']}, entries {seal['first']} to {seal['position']})"
