"""The checker against a naive reading of all assignments, role definitions and denials, over random histories."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from entrepot.core.ids import WorkspaceScope
from entrepot.domain import access, registries, workspaces
from entrepot.domain.authorization import assignments, definitions, denials
from entrepot.domain.authorization.grants import Coverage
from entrepot.domain.authorization.roles import BUILT_IN_ROLES
from entrepot.domain.hub import Hub, Principal
from entrepot.testing.hub import OWNER, close_hub, make_hub

PEOPLE = [Principal(id=f"p{n}", name="", groups=("g1",) if n % 2 else ("g1", "g2")) for n in range(3)]
HOLDERS = [*(person.id for person in PEOPLE), "g1", "g2"]
GROUP = "subscriptions/s/resourcegroups/g"
# scope: what contains it, by Azure's rules, written down by hand
TREE = {
    "": [],
    "subscriptions/s": [""],
    GROUP: ["subscriptions/s", ""],
    "registries/rr": [GROUP, "subscriptions/s", ""],
    "registries/rr/models/m": ["registries/rr", GROUP, "subscriptions/s", ""],
    "registries/rr/models/m/versions/1": ["registries/rr/models/m", "registries/rr", GROUP, "subscriptions/s", ""],
    f"{GROUP}/workspaces/ww": [GROUP, "subscriptions/s", ""],
    f"{GROUP}/workspaces/ww/models/m": [f"{GROUP}/workspaces/ww", GROUP, "subscriptions/s", ""],
}
ML = "Microsoft.MachineLearningServices"
ACTIONS = [f"{ML}/registries/assets/read", f"{ML}/registries/assets/write", f"{ML}/registries/write",
           f"{ML}/workspaces/jobs/write", f"{ML}/workspaces/models/versions/read",
           "Microsoft.Authorization/roleAssignments/write"]  # fmt: skip
PATTERNS = ["*", "*/read", f"{ML}/*", f"{ML}/registries/*", f"{ML}/*/write", f"{ML}/registries/assets/read",
            "*/roleAssignments/*", f"{ML}/work*/jobs/*"]  # fmt: skip
CUSTOM = {f"{n}": f"00000000-0000-4000-8000-00000000000{n}" for n in range(3)}

patterns = st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3)
excepted = st.lists(st.sampled_from(PATTERNS), max_size=2)
scopes = st.sampled_from(sorted(TREE))
holders = st.sampled_from(HOLDERS)
step = st.one_of(
    st.tuples(st.just("assign"), holders, scopes, st.sampled_from([*BUILT_IN_ROLES, *CUSTOM])),
    st.tuples(st.just("define"), st.sampled_from(sorted(CUSTOM)), patterns, excepted),
    st.tuples(st.just("deny"), holders, scopes, patterns, st.booleans(), st.lists(holders, max_size=1)),
    st.tuples(st.just("revoke"), st.integers(0, 30)),
    st.tuples(st.just("allow"), st.integers(0, 10)),
)


def matches(pattern: str, action: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), action, re.IGNORECASE) is not None


@dataclass
class Oracle:
    """What was done, and the slow and obvious way to tell what follows."""

    roles: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)
    given: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    denied: dict[str, tuple[str, str, list[str], bool, list[str]]] = field(default_factory=dict)

    def allowed(self, who: Principal, action: str, scope: str) -> bool:
        mine = {who.id, *who.groups}
        for holder, at, actions, only_here, spared in self.denied.values():
            reaches = at == scope or (at in TREE[scope] and not only_here)
            if holder in mine and not mine & set(spared) and reaches and any(matches(p, action) for p in actions):
                return False
        return any(
            holder in mine and at in (scope, *TREE[scope]) and self.grants(role, action)
            for holder, at, role in self.given.values()
        )

    def grants(self, role: str, action: str) -> bool:
        if role in BUILT_IN_ROLES:
            (permission,) = BUILT_IN_ROLES[role].permissions
            actions, without = [*permission.actions], [*permission.not_actions]
        else:
            actions, without = self.roles.get(role, ([], []))
        return any(matches(p, action) for p in actions) and not any(matches(p, action) for p in without)


def perform(hub: Hub, oracle: Oracle, number: int, order: tuple[Any, ...]) -> None:
    word, *rest = order
    if word == "define":
        role, actions, without = rest
        body = {"roleName": f"custom {role}", "assignableScopes": ["/"],
                "permissions": [{"actions": actions, "notActions": without}]}  # fmt: skip
        definitions.put(hub, OWNER, CUSTOM[role], body)
        oracle.roles[role] = (list(actions), list(without))
    elif word == "assign":
        holder, scope, role = rest
        if role in CUSTOM and role not in oracle.roles:
            return
        made = assignments.assign(hub, OWNER, role=CUSTOM.get(role, role), assignee=holder, scope=scope or "/")
        oracle.given[made.body["name"]] = (holder, scope, role)
    elif word == "deny":
        holder, scope, actions, only_here, spared = rest
        body = {
            "denyAssignmentName": "d", "permissions": [{"actions": actions}], "principals": [{"id": holder}],
            "doNotApplyToChildScopes": only_here, "excludePrincipals": [{"id": one} for one in spared],
        }  # fmt: skip
        denials.put(hub, OWNER, scope or "/", f"d{number}", body)
        oracle.denied[f"d{number}"] = (holder, scope, actions, only_here, spared)
    elif word == "revoke" and oracle.given:
        name = sorted(oracle.given)[rest[0] % len(oracle.given)]
        assignments.revoke(hub, OWNER, name)
        del oracle.given[name]
    elif word == "allow" and oracle.denied:
        name = sorted(oracle.denied)[rest[0] % len(oracle.denied)]
        denials.delete(hub, OWNER, name)
        del oracle.denied[name]


def undo(hub: Hub, oracle: Oracle) -> None:
    for name in oracle.given:
        assignments.revoke(hub, OWNER, name)
    for name in oracle.denied:
        denials.delete(hub, OWNER, name)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, Hub]]:
    """Two processes on one store: one that changes rights, one that only asks."""
    folder = tmp_path_factory.mktemp("property")
    first = make_hub(folder)
    registries.create(first, OWNER, "s", "g", "rr", {"location": "eastus"})
    workspaces.create(first, OWNER, WorkspaceScope("s", "g", "ww"), {"location": "eastus"})
    second = make_hub(folder)
    yield first, second
    close_hub(first)
    close_hub(second)


@example(
    history=[
        ("assign", "p0", "", "AzureML Registry User"),
        ("deny", "p0", "registries/rr", ["*"], True, []),  # at the registry alone: what lies in it is read on
    ]
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(step, max_size=12))
def test_the_checker_agrees_with_a_naive_reading(pair: tuple[Hub, Hub], history: list[tuple[Any, ...]]) -> None:
    hub, peer = pair
    oracle = Oracle()
    try:
        for number, order in enumerate(history):
            perform(hub, oracle, number, order)
        fresh = make_hub(Path(hub.settings.home))  # reads everything anew rather than change by change
        peer.grants.notice()
        for who in PEOPLE:
            for action in ACTIONS:
                allowed = {scope: oracle.allowed(who, action, scope) for scope in TREE}
                for scope, expected in allowed.items():
                    for asked in (hub, peer, fresh):
                        assert access.allowed(asked, who, action, scope) == expected, (who.id, action, scope)
                    below = [allowed[one] for one in TREE if scope in TREE[one]]
                    covered = access.coverage(hub, who, action, scope)
                    if scope.startswith(("registries", GROUP + "/")):  # below these, keys tell what lies where
                        assert covered is not Coverage.NONE or not any([expected, *below])
                        assert covered is not Coverage.ALL or all([expected, *below])
        close_hub(fresh)
    finally:
        undo(hub, oracle)
