"""Every route, by every built-in role, at every kind of scope: who may gets what the owner gets, who may not nothing.

What to expect is stated here from Azure's own role definitions and from where an address lies, without the checker.
The server is whole but for one thing: once it is furnished, its store takes no more changes. So a call that is allowed
to change something gets as far as its commit, and the next one finds everything as it was.
"""

import asyncio
import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import pytest

from entrepot.core.clock import SystemClock
from entrepot.core.errors import StateConflict
from entrepot.core.ids import AssetRef, RegistryScope, WorkspaceScope
from entrepot.core.nouns import CODE, DATA, MODEL
from entrepot.core.settings import load_settings
from entrepot.domain.access import SYSTEM
from entrepot.domain.assets import catalog
from entrepot.domain.audit import STREAM
from entrepot.domain.authorization import assignments, denials
from entrepot.domain.hub import Hub
from entrepot.domain.identity import directory, granting
from entrepot.server import compose
from entrepot.server.compose import Composition
from entrepot.server.identity import exposure
from entrepot.server.identity.tokens import AUDIENCE
from entrepot.server.runfiles import token_file
from entrepot.store.documents import Append, Change, Document, DocumentStore
from entrepot.store.sql import open_documents
from entrepot.testing.hub import upload
from entrepot.wire.openapi import Operation
from tests.identity.conftest import GROUP
from tests.identity.furniture import ASKED, REGISTRY, WORKSPACE, request, things

Json = Any
ML = "Microsoft.MachineLearningServices"
RBAC = "Microsoft.Authorization"
ROLES: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "Owner": (["*"], []),
    "Contributor": (["*"], [f"{RBAC}/*/delete", f"{RBAC}/*/write", f"{RBAC}/elevateaccess/action"]),
    "Reader": (["*/read"], []),
    "User Access Administrator": (["*/read", f"{RBAC}/*"], []),
    "AzureML Registry User": ([f"{ML}/registries/read", f"{ML}/registries/assets/*"], []),
    "AzureML Data Scientist": (
        [
            f"{ML}/workspaces/*/read", f"{ML}/workspaces/*/action", f"{ML}/workspaces/*/delete",
            f"{ML}/workspaces/*/write", f"{ML}/workspaces/read",
        ],
        [
            f"{ML}/workspaces/delete", f"{ML}/workspaces/write", f"{ML}/workspaces/computes/*/write",
            f"{ML}/workspaces/computes/*/delete", f"{ML}/workspaces/computes/write",
            f"{ML}/workspaces/computes/delete", f"{ML}/workspaces/computes/listkeys/action",
            f"{ML}/workspaces/listkeys/action", f"{ML}/workspaces/hubs/write", f"{ML}/workspaces/hubs/delete",
            f"{ML}/workspaces/featurestores/write", f"{ML}/workspaces/featurestores/delete",
        ],
    ),
    "AzureML Compute Operator": ([f"{ML}/workspaces/computes/*", f"{ML}/workspaces/read"], []),
    "Azure Machine Learning Workspace Connection Secrets Reader": (
        [f"{ML}/workspaces/connections/listsecrets/action", f"{ML}/workspaces/metadata/secrets/read"], []
    ),
    "AzureML Metrics Writer": ([f"{ML}/workspaces/metrics/*/write"], []),
}  # fmt: skip
"""Actions and NotActions as the role catalogue of Azure prints them."""
OTHER_GROUP = "/subscriptions/s1/resourceGroups/other"
SCOPES = {
    "tenant": "/", "subscription": "/subscriptions/s1", "group": GROUP, "workspace": WORKSPACE, "registry": REGISTRY,
    "workspace asset": f"{WORKSPACE}/environments/one", "registry asset": f"{REGISTRY}/environments/one",
    "other group": OTHER_GROUP,
}  # fmt: skip
USING_AN_ENVIRONMENT = {"POST": ("/schedules/{schedule}/trigger",), "PATCH": ("{endpoint}/deployments/{deployment}",)}
REFUSED = (401, 403, 404)


class _Enough(Exception):
    """The status is known; the rest of the answer is of no interest."""


@dataclass
class Witness:
    """A store that, once `armed`, takes no changes but remembers what it was asked for."""

    within: DocumentStore
    is_armed: bool = False
    changes: list[Change] = field(default_factory=list)
    trail: list[Json] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.within, name)

    def commit(self, changes: Sequence[Change]) -> Sequence[Document]:
        if not self.is_armed:
            return self.within.commit(changes)
        entries = [one.entry for one in changes if isinstance(one, Append) and one.stream == STREAM]
        if len(entries) == len(changes):
            self.trail += entries
            return []
        self.changes += changes
        raise StateConflict("it would have been written")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended: whether anything was to be written, and whether the audit trail tells of a refusal."""

    status: int
    is_write: bool
    body: bytes = b""
    is_traced: bool = False


@dataclass(frozen=True, slots=True)
class House:
    """A server that can be asked without a socket."""

    composition: Composition
    store: Witness
    owner: str  # token

    async def ask(self, operation: Operation, token: str) -> Outcome:
        """Call a route where something is."""
        address, body = request(operation)
        return await self.call(operation.method, address, body, token)

    async def call(self, method: str, address: str, body: Json, token: str) -> Outcome:
        """Send one request through the application."""
        path, _, query = address.partition("?")
        content = b"" if body is None else json.dumps(body).encode()
        headers = [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer " + token.encode())]
        headers += [(b"content-type", b"application/json")]
        headers.append((b"content-length", b"%d" % len(content)))
        scope = {
            "type": "http", "method": method, "path": path, "query_string": query.encode(), "scheme": "http",
            "http_version": "1.1", "headers": headers, "client": ("127.0.0.1", 1),
        }  # fmt: skip
        told: dict[str, Any] = {"status": 0, "body": b""}
        parts = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive() -> Json:
            return parts.pop() if parts else {"type": "http.disconnect"}

        async def send(message: Json) -> None:
            told["status"] = message.get("status", told["status"])
            told["body"] += message.get("body", b"")
            if message.get("more_body"):
                raise _Enough

        store, notes = self.store, self.composition.site.hub.notes
        store.changes.clear()
        store.trail.clear()
        with contextlib.suppress(_Enough):
            await asyncio.wait_for(self.composition.application(scope, receive, send), 30)
        notes.write(store)
        is_traced = any(one["outcome"] == "denied" for one in store.trail)
        return Outcome(told["status"], bool(store.changes), told["body"], is_traced)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server of which no worker runs, furnished."""
    home = tmp_path_factory.mktemp("roles") / "home"
    settings = load_settings(home, overrides={"fsync": False, "port": 0, "https_port": 0, "sandbox": "none"})
    home.mkdir()
    stores: list[Witness] = []

    def opened(*words: Any, **named: Any) -> Witness:
        stores.append(Witness(open_documents(*words, **named)))
        return stores[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose, "open_documents", opened)
        tls = exposure.certificate(settings, now=SystemClock().now())
        composition = compose.compose(settings, tls, ("http://127.0.0.1:1", "https://127.0.0.1:2"))
    try:
        made = House(composition, stores[0], token_file(home).read_text().strip())
        asyncio.run(_furnished(made))
        yield made
    finally:
        composition.close()


async def _furnished(house: House) -> None:
    model, code = f"{WORKSPACE}/models/one/versions/one", f"{WORKSPACE}/codes/one/versions/one"
    deployment = {
        "model": model, "environmentId": "azureml:one:one",
        "codeConfiguration": {"codeId": code, "scoringScript": "score.py"},
    }  # fmt: skip
    with_files = {f"{WORKSPACE}/onlineEndpoints/one/deployments/one": {"location": "eastus", "properties": deployment}}
    for path, body in {OTHER_GROUP: {"location": "eastus"}, **things(), **with_files}.items():
        if path in with_files:
            add_files(house.composition.site.hub)
        made = await house.call("PUT", path, body, house.owner)
        assert made.status < 300, (path, made.body)


def add_files(hub: Hub) -> None:
    """Add a model, a data asset and code called `one` to the workspace and to the registry."""
    for scope in (WorkspaceScope("s1", "rg", "dev"), RegistryScope("contoso")):
        for kind, name, more in (
            (MODEL, "modelUri", {"modelType": "custom_model"}), (DATA, "dataUri", {"dataType": "uri_folder"}),
            (CODE, "codeUri", {}),
        ):  # fmt: skip
            ref = AssetRef(scope, kind, "one", "one")
            address = upload(hub, ref, {"score.py": "", "MLmodel": "artifact_path: model"}, at="one", principal=SYSTEM)
            catalog.create(hub, SYSTEM, ref, {name: address, **more})


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with one role at one scope, and perhaps denied everything at another; `token` proves it."""

    role: str
    scope: str
    denied: str = ""
    token: str = field(default="", repr=False)

    def may(self, action: str, place: str) -> bool:
        """Say whether the documents give them the right to an action at an address."""
        is_denied = bool(self.denied) and is_within(place, SCOPES[self.denied])
        return documented(self.role, action) and is_within(place, SCOPES[self.scope]) and not is_denied


def arrived(house: House, person: Person) -> Person:
    """Add somebody to the directory with their role; return them with a token."""
    site, name = house.composition.site, f"somebody-{house.composition.site.hub.new_id()}"
    body = {"displayName": name, "userPrincipalName": f"{name}@contoso.test"}
    id: str = directory.create(site.hub, SYSTEM, directory.USER, body).body["id"]
    assignments.assign(site.hub, SYSTEM, role=person.role, assignee=id, scope=SCOPES[person.scope])
    if person.denied:
        denied = {
            "denyAssignmentName": name, "permissions": [{"actions": ["*"]}], "principals": [{"id": id, "type": "User"}]
        }  # fmt: skip
        denials.put(site.hub, SYSTEM, SCOPES[person.denied], id, denied)
    holder = site.hub.standing.of(site.hub.documents, id, site.hub.clock.now())
    assert holder is not None
    claims = granting.claims_of(site.hub, granting.Granted(holder, "the matrix"))
    return replace(person, token=site.tokens.issue(claims, audience=AUDIENCE))


def documented(role: str, action: str) -> bool:
    """Say whether a role's documented actions allow this one."""
    actions, without = ([one.lower() for one in found] for found in ROLES[role])
    asked = action.lower()
    return any(fnmatchcase(asked, one) for one in actions) and not any(fnmatchcase(asked, one) for one in without)


def is_within(place: str, scope: str) -> bool:
    """Say whether an address is that of a scope, or of something in it."""
    return f"{place.rstrip('/')}/".lower().startswith(f"{scope.rstrip('/')}/".lower())


def place_of(operation: Operation) -> str:
    """Return the address of the innermost scope in which a route's answer lies."""
    address = request(operation)[0].partition("?")[0]
    if "/datarefs/" in address or "/tempdatarefs/" in address:
        return f"{REGISTRY}/environments/one"  # the body names it
    if address.startswith("/mlflow/") and "/subscriptions/" not in address:
        return REGISTRY
    address = address[max(address.find("/subscriptions/"), 0) :]
    address = address.partition("/providers/Microsoft.Authorization/")[0]
    if not address.startswith("/subscriptions/"):
        return "/"
    found = [scope for scope in SCOPES.values() if is_within(address, scope)]
    return max(found, key=len)


def needs(operation: Operation) -> list[tuple[str, str]]:
    """Return every action that a route asks for, each with its place."""
    assert operation.action
    needed = [(operation.action, place_of(operation))]
    if operation.template.endswith("/share"):
        asset = request(operation)[0].partition("/versions/")[0].rpartition(f"{ML}/")[2].split("/")[2:]
        needed.append((f"{ML}/registries/assets/write", "/".join([REGISTRY, *asset])))
    if operation.template.endswith(USING_AN_ENVIRONMENT.get(operation.method, ())):
        needed.append((f"{ML}/workspaces/environments/versions/read", f"{WORKSPACE}/environments/one"))
    return needed


def shown(body: bytes) -> list[str]:
    """Return the addresses of all that a list shows, but for what everybody may know."""
    told = [json.loads(line) for line in body.splitlines()]
    page = told[0] if len(told) == 1 else {}
    if "value" in page or len(page) == 1:
        told = page.get("value") or next(iter(page.values()))  # MLflow's pages name what they list
    ids = [str(item.get("resourceId") or item.get("target") or item.get("id") or item) for item in told]
    ids = [id.replace("azureml://registries/contoso", REGISTRY) for id in ids]
    return [id for id in ids if "/registries/azureml" not in id.lower() and "/roleDefinitions/" not in id]


def wrongs(person: Person, operation: Operation, got: Outcome, owners: Outcome) -> str:
    """Say what is wrong with an answer; '' when it is as documented."""
    if all(person.may(action, place) for action, place in needs(operation)):
        return "" if (got.status, got.is_write) == (owners.status, owners.is_write) else "was refused"
    if got.is_write:
        return "wrote"
    if got.status in REFUSED:
        is_told = got.is_traced or owners.status == 404  # where nothing is, nothing was denied
        return "" if is_told else "left no trace in the audit trail"
    if operation.method != "GET":
        return "was not refused"
    hidden = [id for id in shown(got.body) if not is_within(id, SCOPES[person.scope])]
    hidden += [id for id in shown(got.body) if person.denied and is_within(id, SCOPES[person.denied])]
    return f"saw {hidden}" if hidden else ""


PEOPLE = [Person(role, scope) for role in ROLES for scope in SCOPES] + [
    Person(role, "tenant", denied) for role in ("Owner", "Contributor", "AzureML Data Scientist") for denied in SCOPES
]


def test_every_role_at_every_scope_gets_what_is_documented_on_every_route(house: House) -> None:
    people = [arrived(house, person) for person in PEOPLE]
    house.composition.site.hub.notes.told_per_minute = 1_000_000
    house.store.is_armed = True

    async def wrong() -> list[str]:
        found, owner = [], house.owner
        for operation in ASKED:
            owners = await house.ask(operation, owner)
            for person in people:
                got = await house.ask(operation, person.token)
                if said := wrongs(person, operation, got, owners):
                    found.append(f"{person} {said}: {operation} {got.status} {got.body[:200]!r}, owner {owners.status}")
        return found

    found = asyncio.run(wrong())
    assert not found, "\n".join(found)


def test_who_writes_metrics_only_writes_nothing_else(house: House) -> None:
    tracking = f"/mlflow/v2.0{WORKSPACE}/api/2.0/mlflow"
    metric = {"key": "loss", "value": 0.5, "timestamp": 1, "step": 1}
    tag = {"key": "k", "value": "v"}
    calls: tuple[tuple[str, Json, bool], ...] = (
        ("runs/log-metric", metric, True), ("runs/log-batch", {"metrics": [metric]}, True),
        ("runs/log-metric", {**metric, "model_id": "m-1"}, False),
        ("runs/log-batch", {"metrics": [metric], "tags": [tag]}, False),
        ("runs/log-batch", {"metrics": [{**metric, "model_id": "m-1"}]}, False),
        ("runs/set-tag", tag, False), ("runs/log-parameter", tag, False), ("runs/delete", {}, False),
        ("runs/update", {"status": "FINISHED"}, False), ("experiments/create", {"name": "two"}, False),
    )  # fmt: skip
    house.store.is_armed = False
    writer = arrived(house, Person("AzureML Metrics Writer", "workspace", ""))
    house.store.is_armed = True

    async def asked() -> list[tuple[str, bool, bool]]:
        found = []
        for endpoint, body, _ in calls:
            got = await house.call("POST", f"{tracking}/{endpoint}", {"run_id": "one", **body}, writer.token)
            found.append((endpoint, got.is_write, got.status != 403))
        return found

    assert asyncio.run(asked()) == [(endpoint, may, may) for endpoint, _, may in calls]
