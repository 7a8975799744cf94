"""Who may do what: roles, scopes, groups, the public registry, and the words of a refusal."""

import random
from dataclasses import replace

import pytest

from entrepot.core.errors import AccessDenied, InvalidRequest, NotFound
from entrepot.core.ids import AssetRef, RegistryScope, WorkspaceScope
from entrepot.core.nouns import ENVIRONMENT, MODEL, PROVIDER, registry_action, workspace_action
from entrepot.domain import access, audit, gallery, groups, registries
from entrepot.domain.assets import catalog
from entrepot.domain.authorization import assignments
from entrepot.domain.authorization.roles import BUILT_IN_ROLES, Permission, Role, narrowest_role
from entrepot.domain.hub import Hub, Principal
from entrepot.testing.hub import OWNER, make_hub

READ, WRITE = registry_action("read"), registry_action("write")
REGISTRY = "registries/contoso"


def give(hub: Hub, who: Principal, role: str, scope: str) -> str:
    return str(assignments.assign(hub, OWNER, role=role, assignee=who.id, scope=scope).body["name"])


@pytest.mark.parametrize(
    "scope",
    [
        "/",
        "/subscriptions/S1",
        "/subscriptions/s1/resourceGroups/contoso-rg",
        f"/subscriptions/s1/resourceGroups/contoso-rg/providers/{PROVIDER}/registries/Contoso",
        "azureml://registries/contoso",
        "registries/contoso/environments/e",
        "azureml://registries/contoso/environments/e",
    ],
)
def test_a_role_holds_at_its_scope_and_below(hub: Hub, stranger: Principal, scope: str) -> None:
    asset = f"{REGISTRY}/environments/e"
    assert not access.allowed(hub, stranger, READ, asset)
    give(hub, stranger, "Reader", scope)
    assert access.allowed(hub, stranger, READ, asset)
    assert not access.allowed(hub, stranger, WRITE, asset)


ELSEWHERE = [
    "/subscriptions/s2",
    "/subscriptions/s1/resourceGroups/other",
    "registries/contoso/environments/e2",
    "registries/con",
]


@pytest.mark.parametrize("scope", ELSEWHERE)
def test_a_role_elsewhere_gives_nothing_here(hub: Hub, stranger: Principal, scope: str) -> None:
    if scope == "registries/con":
        registries.create(hub, OWNER, "s1", "other", "con", {"location": "eastus"})
    elif scope.endswith("/other"):
        groups.create(hub, OWNER, "s1", "other", {"location": "eastus"})
    give(hub, stranger, "Owner", scope)
    assert not access.allowed(hub, stranger, READ, f"{REGISTRY}/environments/e")


def test_a_role_on_one_asset_shows_that_asset_only(hub: Hub, registry: RegistryScope, stranger: Principal) -> None:
    for name in ("mine", "other"):
        catalog.create(hub, OWNER, AssetRef(registry, ENVIRONMENT, name, "1"), {"image": "x"})
    give(hub, stranger, "Reader", "registries/contoso/environments/mine")
    catalog.get(hub, stranger, AssetRef(registry, ENVIRONMENT, "mine", "1"))
    with pytest.raises(NotFound):
        catalog.get(hub, stranger, AssetRef(registry, ENVIRONMENT, "other", "1"))
    names = [d.body["name"] for d in catalog.containers(hub, stranger, registry, ENVIRONMENT).documents]
    assert names == ["mine"]


def test_groups_and_tenants_hold_roles_for_their_members(hub: Hub) -> None:
    member = Principal(id="m", name="Member", groups=("team",))
    colleague = Principal(id="c", name="Colleague", tenant="contoso-tenant")
    assignments.assign(hub, OWNER, role="Reader", assignee="team", assignee_kind="Group", scope=REGISTRY)
    assert (access.allowed(hub, member, READ, REGISTRY), access.allowed(hub, colleague, READ, REGISTRY)) == (
        True,
        False,
    )
    assignments.assign(hub, OWNER, role="Reader", assignee="contoso-tenant", scope=REGISTRY)
    assert access.allowed(hub, colleague, READ, REGISTRY)


@pytest.mark.parametrize(
    ("role", "can", "cannot"),
    [
        ("AzureML Registry User", [READ, WRITE, registry_action("delete"), registries.READ],
         [registries.WRITE, registries.DELETE, workspace_action(MODEL, "read")]),
        ("Contributor", [WRITE, registries.DELETE, f"{PROVIDER}/workspaces/jobs/write"],
         ["Microsoft.Authorization/roleAssignments/write"]),
        ("AzureML Data Scientist", [workspace_action(MODEL, "write"), f"{PROVIDER}/workspaces/jobs/write",
                                    f"{PROVIDER}/workspaces/read"],
         [f"{PROVIDER}/workspaces/write", f"{PROVIDER}/workspaces/computes/write", WRITE]),
        ("AzureML Compute Operator", [f"{PROVIDER}/workspaces/computes/write"], [workspace_action(MODEL, "read")]),
        ("Reader", [READ, f"{PROVIDER}/workspaces/jobs/read"], [WRITE, f"{PROVIDER}/workspaces/jobs/cancel/action"]),
        ("User Access Administrator", ["Microsoft.Authorization/roleAssignments/write"], [WRITE]),
    ],
)  # fmt: skip
def test_roles_grant_what_azure_says(role: str, can: list[str], cannot: list[str]) -> None:
    found = BUILT_IN_ROLES[role]
    assert [action for action in can if not found.grants(action)] == []
    assert [action for action in cannot if found.grants(action)] == []


def test_wildcards_stand_anywhere_and_case_does_not_matter() -> None:
    role = Role("x", "x", "", (Permission(("A.b/*/read", "c/d"), ("a.B/secret/*",)),))
    assert role.grants("a.b/models/versions/READ")
    assert role.grants("C/D")
    assert not role.grants("a.b/secret/read")
    assert not role.grants("axb/models/read")
    assert not role.grants("c/d/e")


def test_the_matcher_agrees_with_a_naive_walk(hub: Hub) -> None:
    dice = random.Random(7)
    people = [Principal(id=f"p{n}", name="") for n in range(6)]
    scopes = ["/", "/subscriptions/s1", "/subscriptions/s1/resourceGroups/contoso-rg", REGISTRY, f"{REGISTRY}/models/m",
              "/subscriptions/s1/resourceGroups/contoso-rg/workspaces/dev"]  # fmt: skip
    held: list[tuple[str, str, Role]] = []
    for _ in range(25):
        who, scope, role = dice.choice(people), dice.choice(scopes), dice.choice(list(BUILT_IN_ROLES.values()))
        give(hub, who, role.name, scope)
        held.append((who.id, access.scope_key_of(scope), role))
    group = "subscriptions/s1/resourcegroups/contoso-rg"
    above = {
        REGISTRY: ["", "subscriptions/s1", group, REGISTRY],
        f"{REGISTRY}/models/m": ["", "subscriptions/s1", group, REGISTRY, f"{REGISTRY}/models/m"],
        f"{group}/workspaces/dev": ["", "subscriptions/s1", group, f"{group}/workspaces/dev"],
    }
    actions = [READ, WRITE, registries.WRITE, f"{PROVIDER}/workspaces/jobs/write", workspace_action(MODEL, "read")]
    for who in people:
        for scope, chain in above.items():
            for action in actions:
                naive = any(p == who.id and s in chain and r.grants(action) for p, s, r in held)
                assert access.allowed(hub, who, action, scope) == naive, (who, scope, action)


def test_a_refusal_names_who_what_where_and_the_role_that_would_help(
    hub: Hub, registry: RegistryScope, stranger: Principal
) -> None:
    with pytest.raises(AccessDenied) as refusal:
        catalog.create(hub, stranger, AssetRef(registry, ENVIRONMENT, "e", "1"), {"image": "x"})
    message = refusal.value.message
    for part in (stranger.name, stranger.id, WRITE, "azureml://registries/contoso/environments/e/versions/1"):
        assert part in message
    assert "The role 'AzureML Registry User' would grant it" in message


def test_the_command_in_a_refusal_helps(hub: Hub, stranger: Principal) -> None:
    with pytest.raises(AccessDenied) as refusal:
        access.require(hub, stranger, registries.DELETE, REGISTRY)
    words = refusal.value.message.partition("az role assignment create ")[2]
    scope = words.rpartition("--scope ")[2]
    give(hub, stranger, narrowest_role(registries.DELETE).name, scope)
    access.require(hub, stranger, registries.DELETE, REGISTRY)


def test_the_public_registry_is_read_by_all_and_written_by_none(hub: Hub, stranger: Principal) -> None:
    gallery.publish(hub)
    scope = RegistryScope("azureml")
    assert catalog.containers(hub, stranger, scope, ENVIRONMENT).documents
    assert registries.get(hub, stranger, "azureml").body["name"] == "azureml"
    for who in (stranger, OWNER):
        with pytest.raises(AccessDenied, match="the registry azureml is read-only"):
            catalog.create(hub, who, AssetRef(scope, ENVIRONMENT, "mine", "1"), {"image": "x"})
        with pytest.raises(AccessDenied, match="read-only"):
            registries.delete(hub, who, "azureml")
        with pytest.raises(AccessDenied, match="read-only"):
            assignments.assign(hub, who, role="Owner", assignee=who.id, scope="registries/azureml")


def test_a_registry_whose_name_begins_like_the_public_one_is_not_public(hub: Hub, stranger: Principal) -> None:
    registries.create(hub, OWNER, "s1", "contoso-rg", "azureml2", {"location": "eastus"})
    assert not access.allowed(hub, stranger, READ, "registries/azureml2")


def test_nobody_can_take_the_public_name_before_the_server_does(hub: Hub) -> None:
    with pytest.raises(AccessDenied, match="read-only"):
        registries.create(hub, OWNER, "s1", "contoso-rg", "azureml", {"location": "eastus"})


def test_assigning_twice_keeps_one_and_revoking_ends_it(hub: Hub, stranger: Principal) -> None:
    name = give(hub, stranger, "Reader", REGISTRY)
    assert give(hub, stranger, "Reader", "azureml://registries/contoso") == name
    listed = assignments.list_(hub, OWNER, REGISTRY, with_above=False).documents
    assert [d.body["properties"]["principalId"] for d in listed] == [stranger.id]
    assignments.revoke(hub, OWNER, name)
    assert not access.allowed(hub, stranger, READ, REGISTRY)
    with pytest.raises(NotFound):
        assignments.revoke(hub, OWNER, name)


def test_only_who_may_assign_roles_assigns_them(hub: Hub, stranger: Principal) -> None:
    give(hub, stranger, "Contributor", "/")
    with pytest.raises(AccessDenied):
        assignments.assign(hub, stranger, role="Owner", assignee=stranger.id, scope="/")
    with pytest.raises(InvalidRequest, match="roles are AzureML Metrics Writer, "):
        assignments.assign(hub, OWNER, role="Emperor", assignee=stranger.id, scope="/")


def test_another_process_notices_within_a_second(hub: Hub, stranger: Principal) -> None:
    other = make_hub(hub.settings.home, clock=_Late(hub.clock.now()))
    assert not access.allowed(other, stranger, READ, REGISTRY)
    give(hub, stranger, "Reader", REGISTRY)
    other.clock.ahead = 2  # type: ignore[attr-defined]
    assert access.allowed(other, stranger, READ, REGISTRY)
    other.documents.close()


class _Late:
    """A clock that is put ahead by hand."""

    def __init__(self, start: float) -> None:
        self.start, self.ahead = start, 0.0

    def now(self) -> float:
        return self.start + self.ahead


def test_a_registry_that_moves_to_another_group_takes_its_rights_from_there(hub: Hub, stranger: Principal) -> None:
    registries.create(hub, OWNER, "s1", "one", "moving", {"location": "eastus"})
    give(hub, stranger, "Reader", "/subscriptions/s1/resourceGroups/one")
    assert access.allowed(hub, stranger, READ, "registries/moving")
    registries.delete(hub, OWNER, "moving")
    registries.create(hub, OWNER, "s1", "two", "moving", {"location": "eastus"})
    assert not access.allowed(hub, stranger, READ, "registries/moving")


def test_refused_writes_are_recorded_at_once_and_refused_reads_in_batches(
    hub: Hub, dev: WorkspaceScope, stranger: Principal
) -> None:
    before = audit.entries(hub, limit=1, newest=True)[0].position
    for _ in range(3):
        with pytest.raises(NotFound):
            groups.get(hub, stranger, "s1", "contoso-rg")
    with pytest.raises(AccessDenied):
        groups.delete(hub, _reader(hub, stranger), "s1", "contoso-rg", request_id="r")
    hub.notes.write(hub.documents)
    entries = [entry.body for entry in audit.entries(hub, after=before)]
    assert [(entry["outcome"], entry["action"].rpartition("/")[2], entry.get("count", 1)) for entry in entries] == [
        ("allowed", "write", 1),  # the reader's role
        ("denied", "delete", 1),
        ("denied", "read", 3),
    ]


def test_the_token_of_a_job_works_in_its_workspace_only(hub: Hub, registry: RegistryScope, dev: WorkspaceScope) -> None:
    job = replace(OWNER, via="train", within=dev.key)
    jobs, models = f"{PROVIDER}/workspaces/jobs", workspace_action(MODEL, "write")
    for action in (f"{jobs}/read", f"{jobs}/write", models, f"{PROVIDER}/workspaces/read"):
        assert access.allowed(hub, job, action, dev.key)
        assert not access.allowed(hub, job, action, dev.key + "2")
    assert access.allowed(hub, job, models, f"{dev.key}/models/taxi")
    assert access.allowed(hub, job, READ, registry.key)
    assert not access.allowed(hub, job, WRITE, registry.key)
    for action in ("workspaces/write", "workspaces/delete"):
        with pytest.raises(AccessDenied, match="token of the job train"):
            access.require(hub, job, f"{PROVIDER}/{action}", dev.key)
    with pytest.raises(AccessDenied, match="roleAssignments/write"):
        assignments.assign(hub, job, role="Owner", assignee="eve", scope=dev.arm_id)
    assert not access.allowed(hub, job, f"{PROVIDER}/workspaces/write", "")


def _reader(hub: Hub, who: Principal) -> Principal:
    give(hub, who, "Reader", "/")
    return who
