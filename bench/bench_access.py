"""Access checks with 100,000 role assignments: from the memo, past the memo, and how long a change takes to be known.

The peer is a scan of the assignments that a principal and its scopes could meet, as a rule engine without an index
does it, in the same process on the same data. `python bench/bench_access.py [assignments]`.
"""

import json
import random
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from entrepot.core.clock import new_id, to_iso
from entrepot.core.ids import RegistryScope
from entrepot.core.nouns import registry_action
from entrepot.domain import access, registries
from entrepot.domain.authorization import assignments
from entrepot.domain.authorization.holdings import ASSIGNMENTS
from entrepot.domain.authorization.roles import BUILT_IN_ROLES
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Put
from entrepot.testing.hub import OWNER, close_hub, make_hub

REGISTRIES = 100
PEOPLE = 5000
LIMIT_US = 20.0
_BATCH = 2000
READ, WRITE = registry_action("read"), registry_action("write")


def main(count: int) -> None:
    """Print one JSON line per figure."""
    with TemporaryDirectory() as folder:
        hub = make_hub(Path(folder))
        for number in range(REGISTRIES):
            registries.create(hub, OWNER, "s", f"g{number % 10}", f"r{number}", {"location": "eastus"})
        held = _fill(hub, count)
        close_hub(hub)
        hub = make_hub(Path(folder))
        dice = random.Random(3)
        people = [
            Principal(id=f"p{number}", name="", groups=tuple(f"team{dice.randrange(50)}" for _ in range(10)))
            for number in range(PEOPLE)
        ]
        asked = [
            (dice.choice(people), dice.choice((READ, WRITE)), f"registries/r{dice.randrange(REGISTRIES)}/models/m{n}")
            for n in range(5000)
        ]
        start = time.perf_counter()
        hub.grants.load(hub.documents, hub.clock.now())
        _tell("read all assignments once", time.perf_counter() - start, "s", assignments=count)
        fresh = _each_us(hub, asked)
        known = _each_us(hub, asked)
        naive = _naive_us(hub, held, asked[:50])
        _tell("check, not asked before", fresh, "us", limit=LIMIT_US, peer_value=naive)
        _tell("check, from the memo", known, "us", limit=LIMIT_US, peer_value=naive)
        _tell("given until this process knows", _noticed(hub, hub) * 1e3, "ms", limit=1000)
        peer = make_hub(Path(folder))
        access.allowed(peer, people[0], READ, "registries/r1")
        _tell("given until another process knows", _noticed(hub, peer) * 1e3, "ms", limit=1000)
        close_hub(peer)
        close_hub(hub)


def _fill(hub: Hub, count: int) -> list[tuple[str, str, str]]:
    """Store assignments as the product does, many in one commit."""
    dice = random.Random(1)
    roles = list(BUILT_IN_ROLES.values())
    held = []
    for first in range(0, count, _BATCH):
        puts = []
        for number in range(first, min(first + _BATCH, count)):
            holder = f"p{dice.randrange(PEOPLE)}" if number % 5 else f"team{dice.randrange(50)}"
            key = RegistryScope(f"r{dice.randrange(REGISTRIES)}").key
            scope = f"{key}/models/m{dice.randrange(5000)}" if number % 3 else key
            role = dice.choice(roles)
            held.append((holder, scope, role.name))
            name, now = new_id(), to_iso(hub.clock.now())
            properties = {
                "roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{role.id}",
                "roleDefinitionName": role.name, "principalId": holder, "principalType": "User", "scope": f"/{scope}",
                "createdOn": now, "updatedOn": now, "createdBy": OWNER.id, "updatedBy": OWNER.id,
            }  # fmt: skip
            body = {"id": name, "name": name, "properties": properties, "entrepot": {"scopeKey": scope}}
            puts.append(Put(f"{ASSIGNMENTS}/{name}", body))
        hub.documents.commit(puts)
    return held


def _each_us(hub: Hub, asked: list[tuple[Principal, str, str]]) -> float:
    start = time.perf_counter()
    for who, action, scope in asked:
        access.allowed(hub, who, action, scope)
    return (time.perf_counter() - start) / len(asked) * 1e6


def _naive_us(hub: Hub, held: list[tuple[str, str, str]], asked: list[tuple[Principal, str, str]]) -> float:
    start = time.perf_counter()
    for who, action, scope in asked:
        mine, above = {who.id, *who.groups}, set(hub.grants.ancestry(hub.documents, scope))
        any(holder in mine and at in above and BUILT_IN_ROLES[role].grants(action) for holder, at, role in held)
    return (time.perf_counter() - start) / len(asked) * 1e6


def _noticed(giver: Hub, asker: Hub) -> float:
    who = Principal(id=new_id(), name="")

    def ask() -> bool:
        return access.allowed(asker, who, READ, "registries/r7/models/x")

    assert not ask()
    assignments.assign(giver, OWNER, role="Reader", assignee=who.id, scope="registries/r7")
    start = time.perf_counter()
    while not ask():
        time.sleep(0.001)
    return time.perf_counter() - start


def _tell(figure: str, value: float, unit: str, **more: float) -> None:
    told: dict[str, object] = {"bench": "access", "figure": figure, "value": round(value, 2), "unit": unit}
    if "peer_value" in more:
        told |= {"peer": "scan of all assignments"}
    sys.stdout.write(json.dumps(told | {key: round(number, 2) for key, number in more.items()}) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
