"""Custom roles, deny assignments, tenant-level read, and what happens to rights when things go."""

import uuid

import pytest

from entrepot.core.errors import AccessDenied, AlreadyExists, InvalidRequest, NotFound, StateConflict
from entrepot.core.ids import AssetRef, RegistryScope, WorkspaceScope
from entrepot.core.nouns import COMPONENT, ENVIRONMENT, MODEL, PROVIDER, registry_action
from entrepot.domain import access, registries, workspaces
from entrepot.domain.assets import catalog
from entrepot.domain.authorization import assignments, definitions, denials, insight
from entrepot.domain.authorization.holdings import EVERYBODY
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Order, View
from entrepot.testing.hub import OWNER

READ, WRITE = registry_action("read"), registry_action("write")
REGISTRY = "registries/contoso"
ACTIONS = (READ, WRITE, registries.WRITE)


def give(hub: Hub, who: Principal, role: str, scope: str) -> str:
    return str(assignments.assign(hub, OWNER, role=role, assignee=who.id, scope=scope).body["name"])


def define(hub: Hub, name: str, actions: list[str], *, without: tuple[str, ...] = (), scopes: tuple[str, ...] = ("/",),
           guid: str = "", by: Principal = OWNER) -> str:  # fmt: skip
    guid = guid or str(uuid.uuid4())
    permissions = [{"actions": actions, "notActions": list(without)}]
    definitions.put(hub, by, guid, {"roleName": name, "permissions": permissions, "assignableScopes": list(scopes)})
    return guid


def deny(hub: Hub, who: str, actions: list[str], scope: str, *, name: str = "freeze", **more: object) -> None:
    body = {
        "denyAssignmentName": name, "permissions": [{"actions": actions}],
        "principals": [{"id": who, "type": "User"}], **more,
    }  # fmt: skip
    denials.put(hub, OWNER, scope, name, body)


def environment(hub: Hub, registry: RegistryScope, name: str, version: str = "1", by: Principal = OWNER) -> AssetRef:
    ref = AssetRef(registry, ENVIRONMENT, name, version)
    catalog.create(hub, by, ref, {"image": f"x:{version}"})
    return ref


def test_a_custom_role_grants_its_actions_and_not_its_not_actions(hub: Hub, stranger: Principal) -> None:
    define(hub, "Publisher", [f"{PROVIDER}/registries/assets/*"], without=(registry_action("delete"),))
    give(hub, stranger, "publisher", REGISTRY)
    held = [access.allowed(hub, stranger, registry_action(verb), REGISTRY) for verb in ("read", "write", "delete")]
    assert held == [True, True, False]


def test_changing_a_custom_role_changes_what_its_holders_may_do_at_once(hub: Hub, stranger: Principal) -> None:
    guid = define(hub, "Looker", [READ])
    give(hub, stranger, guid, REGISTRY)
    assert not access.allowed(hub, stranger, WRITE, REGISTRY)
    define(hub, "Looker", [READ, WRITE], guid=guid)
    assert access.allowed(hub, stranger, WRITE, REGISTRY)


def test_a_custom_role_is_assigned_within_its_assignable_scopes_only(hub: Hub, stranger: Principal) -> None:
    define(hub, "Local", [READ], scopes=("/subscriptions/s1/resourceGroups/contoso-rg",))
    give(hub, stranger, "Local", REGISTRY)
    with pytest.raises(InvalidRequest, match="can be assigned at and below /subscriptions/s1/resourcegroups"):
        give(hub, stranger, "Local", "/subscriptions/s1")


def test_nobody_defines_a_role_for_a_scope_where_they_may_not_write_roles(hub: Hub, stranger: Principal) -> None:
    give(hub, stranger, "Owner", REGISTRY)
    guid = define(hub, "Mine", [READ], scopes=(REGISTRY,), by=stranger)
    with pytest.raises(AccessDenied, match="roleDefinitions/write"):
        define(hub, "Mine", ["*"], scopes=(REGISTRY, "/"), guid=guid, by=stranger)
    wide = define(hub, "Wide", [READ], scopes=("/",))
    with pytest.raises(AccessDenied):  # nor takes over one that others rely on elsewhere
        define(hub, "Wide", ["*"], scopes=(REGISTRY,), guid=wide, by=stranger)


def test_a_role_in_use_is_not_deleted_and_names_are_unique(hub: Hub, stranger: Principal) -> None:
    guid = define(hub, "Temp", [READ])
    name = give(hub, stranger, "Temp", REGISTRY)
    with pytest.raises(AlreadyExists):
        define(hub, "tEMP", [READ])
    with pytest.raises(AlreadyExists):
        define(hub, "Reader", [READ])
    with pytest.raises(StateConflict, match="1 role assignments use"):
        definitions.delete(hub, OWNER, guid)
    assignments.revoke(hub, OWNER, name)
    definitions.delete(hub, OWNER, guid)
    with pytest.raises(InvalidRequest):
        give(hub, stranger, "Temp", REGISTRY)
    define(hub, "Temp", [READ])


@pytest.mark.parametrize("action", ["", "read", "a b/c", "x" * 300, "*a" * 9 + "/b", 7])
def test_what_is_no_action_is_told(hub: Hub, action: str) -> None:
    with pytest.raises(InvalidRequest, match=r"is not an action|at least one action"):
        define(hub, "Odd", [action])


def test_many_stars_are_matched_in_no_time(hub: Hub, stranger: Principal) -> None:
    define(hub, "Stars", ["*a*a*a*a*a*a*a*z/q"])
    give(hub, stranger, "Stars", "/")
    assert not access.allowed(hub, stranger, "a" * 5000 + "/q", REGISTRY)


def test_built_in_roles_never_change(hub: Hub) -> None:
    reader = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
    with pytest.raises(StateConflict):
        define(hub, "Reader", ["*"], guid=reader)
    with pytest.raises(StateConflict):
        definitions.delete(hub, OWNER, reader)
    assert definitions.get(hub, OWNER, reader)["properties"]["type"] == "BuiltInRole"


def test_a_denial_wins_over_any_role_but_the_home_owners(hub: Hub, stranger: Principal) -> None:
    give(hub, stranger, "Owner", "/")
    deny(hub, EVERYBODY, [WRITE], REGISTRY)
    assert not access.allowed(hub, stranger, WRITE, f"{REGISTRY}/models/m")
    assert access.allowed(hub, stranger, READ, REGISTRY)
    assert access.allowed(hub, OWNER, WRITE, REGISTRY)
    with pytest.raises(AccessDenied, match="the deny assignment 'freeze' at /registries/contoso forbids it"):
        access.require(hub, stranger, WRITE, REGISTRY)
    denials.delete(hub, OWNER, "freeze")
    assert access.allowed(hub, stranger, WRITE, REGISTRY)


def test_a_denial_spares_whom_it_excludes_and_may_stop_at_its_scope(hub: Hub, stranger: Principal) -> None:
    give(hub, stranger, "Owner", "/")
    deny(hub, EVERYBODY, ["*"], REGISTRY, excludePrincipals=[{"id": stranger.id}])
    assert access.allowed(hub, stranger, WRITE, REGISTRY)
    denials.delete(hub, OWNER, "freeze")
    deny(hub, stranger.id, [WRITE], REGISTRY, doNotApplyToChildScopes=True)
    assert not access.allowed(hub, stranger, WRITE, REGISTRY)
    assert access.allowed(hub, stranger, WRITE, f"{REGISTRY}/models/m")


def test_a_denied_version_is_not_there_for_lists_labels_and_counts(
    hub: Hub, registry: RegistryScope, stranger: Principal
) -> None:
    for version in ("1", "2", "3"):
        environment(hub, registry, "e", version)
    give(hub, stranger, "Reader", REGISTRY)
    deny(hub, stranger.id, [READ], f"{REGISTRY}/environments/e/versions/3")
    shown = catalog.versions(hub, stranger, registry, ENVIRONMENT, "e").documents
    assert [document.body["name"] for document in shown] == ["2", "1"]
    container = catalog.get_container(hub, stranger, registry, ENVIRONMENT, "e").body
    assert (container["properties"]["latestVersion"], container["properties"]["nextVersion"]) == ("2", None)
    with pytest.raises(NotFound):
        catalog.get(hub, stranger, AssetRef(registry, ENVIRONMENT, "e", "3"))


def test_a_role_on_one_version_shows_that_version_and_no_other(
    hub: Hub, registry: RegistryScope, stranger: Principal
) -> None:
    for version in ("1", "2"):
        environment(hub, registry, "e", version)
    give(hub, stranger, "AzureML Registry User", f"{REGISTRY}/environments/e/versions/1")
    names = catalog.containers(hub, stranger, registry, ENVIRONMENT).documents
    assert [found.body["properties"]["latestVersion"] for found in names] == ["1"]
    assert [d.body["name"] for d in catalog.versions(hub, stranger, registry, ENVIRONMENT, "e").documents] == ["1"]
    catalog.update(hub, stranger, AssetRef(registry, ENVIRONMENT, "e", "1"), {"description": "mine"})
    with pytest.raises(AccessDenied):
        environment(hub, registry, "e", "3", by=stranger)


def test_filtered_pages_are_full_and_end_where_the_visible_ends(
    hub: Hub, registry: RegistryScope, stranger: Principal
) -> None:
    for number in range(60):
        environment(hub, registry, f"e{number:02}")
    for number in range(0, 60, 3):
        give(hub, stranger, "Reader", f"{REGISTRY}/environments/e{number:02}")
    expected = [f"e{number:02}" for number in range(57, -1, -3)]
    for order, wanted in ((Order.NEWEST, expected), (Order.OLDEST, expected[::-1])):
        sizes, names, after = [], [], None
        while True:
            page = catalog.containers(
                hub, stranger, registry, ENVIRONMENT, view=View.ALL, order=order, after=after, limit=8
            )
            sizes.append(len(page.documents))
            names += [document.body["name"] for document in page.documents]
            if (after := page.next) is None:
                break
        assert (sizes, names) == ([8, 8, 4], wanted)


def test_a_page_filtered_by_denials_is_full_too(hub: Hub, registry: RegistryScope, stranger: Principal) -> None:
    for number in range(30):
        environment(hub, registry, f"e{number:02}")
    give(hub, stranger, "Reader", REGISTRY)
    for number in range(10):
        deny(hub, stranger.id, ["*"], f"{REGISTRY}/environments/e{number * 3:02}", name=f"d{number}")
    page = catalog.containers(hub, stranger, registry, ENVIRONMENT, limit=20)
    assert (len(page.documents), page.next) == (20, None)


def test_homes_that_one_may_not_see_leave_no_gaps_in_lists(hub: Hub, stranger: Principal) -> None:
    for number in range(12):
        registries.create(hub, OWNER, "s1", "many", f"r{number:02}", {"location": "eastus"})
    for number in (1, 4, 9):
        give(hub, stranger, "Reader", f"registries/r{number:02}")
    first = registries.list_(hub, stranger, subscription="s1", resource_group="many", limit=2)
    second = registries.list_(hub, stranger, subscription="s1", resource_group="many", limit=2, after=first.next)
    assert [d.body["name"] for d in (*first.documents, *second.documents)] == ["r09", "r04", "r01"]
    assert second.next is None


def test_tenant_level_read_lets_everybody_read_and_nobody_write(hub: Hub, registry: RegistryScope) -> None:
    colleague = Principal(id="c", name="Colleague", tenant=hub.settings.tenant)
    outsider = Principal(id="o", name="Outsider", tenant="elsewhere")
    asset = f"{REGISTRY}/models/m"
    assert not access.allowed(hub, colleague, READ, asset)
    registries.update(hub, OWNER, "contoso", {"properties": {"readAccess": "tenant"}})
    assert access.allowed(hub, colleague, READ, asset)
    assert registries.get(hub, colleague, "contoso").body["properties"]["readAccess"] == "Tenant"
    assert not access.allowed(hub, colleague, WRITE, asset)
    assert not access.allowed(hub, outsider, READ, asset)
    registries.update(hub, OWNER, "contoso", {"tags": {"a": "b"}})
    assert access.allowed(hub, colleague, READ, asset)
    registries.update(hub, OWNER, "contoso", {"properties": {"readAccess": "RBAC"}})
    assert not access.allowed(hub, colleague, READ, asset)
    with pytest.raises(InvalidRequest, match="readAccess is Tenant"):
        registries.update(hub, OWNER, "contoso", {"properties": {"readAccess": "public"}})


def test_rights_go_with_what_they_were_for(hub: Hub, dev: WorkspaceScope, stranger: Principal) -> None:
    registry = RegistryScope("passing")
    registries.create(hub, OWNER, "s1", "contoso-rg", "passing", {"location": "eastus"})
    ref = environment(hub, registry, "e")
    for scope in (registry.key, ref.key, dev.key):
        give(hub, stranger, "Reader", scope)
    catalog.delete(hub, OWNER, ref)
    environment(hub, registry, "e")
    registries.delete(hub, OWNER, "passing")
    registries.create(hub, OWNER, "s1", "contoso-rg", "passing", {"location": "eastus"})
    assert not access.allowed(hub, stranger, READ, ref.key)
    workspaces.delete(hub, OWNER, dev)
    workspaces.create(hub, OWNER, dev, {"location": "eastus"})
    assert not access.allowed(hub, stranger, workspaces.READ, dev.key)
    assert assignments.list_(hub, OWNER, "/", assignee=stranger.id).documents == ()


def test_the_home_owner_cannot_be_locked_out(hub: Hub, stranger: Principal) -> None:
    give(hub, stranger, "Owner", "/")
    own = assignments.list_(hub, stranger, "/", assignee=OWNER.id).documents[0].body["name"]
    with pytest.raises(StateConflict, match="for good"):
        assignments.revoke(hub, stranger, own)
    denials.put(
        hub, stranger, "/", "coup",
        {"denyAssignmentName": "coup", "permissions": [{"actions": ["*"]}], "principals": [{"id": OWNER.id}]},
    )  # fmt: skip
    denials.delete(hub, OWNER, "coup")


def test_one_role_is_not_given_twice_under_two_names(hub: Hub, stranger: Principal) -> None:
    give(hub, stranger, "Reader", REGISTRY)
    other = str(uuid.uuid4())
    with pytest.raises(assignments.RoleAssignmentExists):
        assignments.assign(hub, OWNER, role="Reader", assignee=stranger.id, scope=REGISTRY, name=other)
    kept = assignments.assign(hub, OWNER, role="Contributor", assignee=stranger.id, scope=REGISTRY, name=other)
    assert kept.body["name"] == other
    with pytest.raises(StateConflict, match="never changes"):
        assignments.assign(hub, OWNER, role="Owner", assignee=stranger.id, scope=REGISTRY, name=other)


def test_what_comes_along_when_a_component_is_shared_needs_rights_too(
    hub: Hub, registry: RegistryScope, dev: WorkspaceScope, stranger: Principal
) -> None:
    from entrepot.domain.assets import sharing

    catalog.create(hub, OWNER, AssetRef(dev, ENVIRONMENT, "e", "1"), {"image": "x"})
    spec = {"type": "command", "command": "true", "environment": "azureml:e:1"}
    source = AssetRef(dev, COMPONENT, "c", "1")
    catalog.create(hub, OWNER, source, {"componentSpec": spec})
    give(hub, stranger, "Reader", dev.arm_id)
    give(hub, stranger, "AzureML Registry User", f"{REGISTRY}/components/c")
    with pytest.raises(AccessDenied, match="environments/e"):
        sharing.share(hub, stranger, source, AssetRef(registry, COMPONENT, "c", "1"))


def test_who_can_and_what_can_tell_the_reason(hub: Hub, registry: RegistryScope, stranger: Principal) -> None:
    give(hub, stranger, "AzureML Registry User", "/subscriptions/s1")
    told = insight.what_can(hub, OWNER, stranger.id, REGISTRY, actions=ACTIONS)
    assert WRITE in told["actions"]
    assert registries.WRITE not in told["actions"]
    (reason,) = told["because"]
    assert (reason["role"], reason["inheritedFrom"]) == ("AzureML Registry User", "/subscriptions/s1")
    able = insight.who_can(hub, OWNER, REGISTRY, action=WRITE)
    assert [one["principalId"] for one in able] == [stranger.id, OWNER.id]
    deny(hub, stranger.id, [WRITE], REGISTRY)
    assert [one["principalId"] for one in insight.who_can(hub, OWNER, REGISTRY, action=WRITE)] == [OWNER.id]
    assert insight.what_can(hub, OWNER, stranger.id, REGISTRY, actions=ACTIONS, action=WRITE)["allowed"] is False
    assert [one["principalId"] for one in insight.who_can(hub, OWNER, REGISTRY, role="Owner")] == [OWNER.id]


def test_only_who_may_read_assignments_asks_about_others(hub: Hub, stranger: Principal) -> None:
    give(hub, stranger, "AzureML Registry User", REGISTRY)
    assert insight.what_can(hub, stranger, stranger.id, REGISTRY, actions=ACTIONS)["actions"]
    with pytest.raises(AccessDenied):
        insight.what_can(hub, stranger, OWNER.id, REGISTRY, actions=ACTIONS)
    with pytest.raises(AccessDenied):
        insight.who_can(hub, stranger, REGISTRY, action=READ)


@pytest.mark.parametrize(
    ("scope", "key"),
    [
        ("/", ""),
        ("/subscriptions/S1/resourceGroups/RG", "subscriptions/s1/resourcegroups/rg"),
        (f"/subscriptions/S/resourceGroups/G/providers/{PROVIDER}/workspaces/W/models/M/versions/V1",
         "subscriptions/s/resourcegroups/g/workspaces/w/models/M/versions/V1"),
        (f"/subscriptions/S/resourceGroups/G/providers/{PROVIDER}/workspaces/W/models/registries",
         "subscriptions/s/resourcegroups/g/workspaces/w/models/registries"),
        (f"/subscriptions/S/resourceGroups/G/providers/{PROVIDER}/Registries/R/models/M", "registries/r/models/M"),
        ("azureml://registries/R/data/D/versions/1", "registries/r/data/D/versions/1"),
    ],
)  # fmt: skip
def test_scopes_are_read_as_people_write_them(scope: str, key: str) -> None:
    assert access.scope_key_of(scope) == key


@pytest.mark.parametrize(
    "scope",
    ["w1", "/subscriptions", "registries", "/subscriptions/s/x/y", "/providers/Microsoft.Management/managementGroups/m",
     "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a"],
)  # fmt: skip
def test_what_is_no_scope_is_told(scope: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a scope of this server"):
        access.scope_key_of(scope)


def test_model_names_that_look_like_scopes_are_no_scopes(hub: Hub, dev: WorkspaceScope, stranger: Principal) -> None:
    give(hub, stranger, "Owner", f"{dev.arm_id}/models/registries")
    assert not access.allowed(hub, stranger, READ, REGISTRY)
    assert access.allowed(
        hub, stranger, f"{PROVIDER}/workspaces/{MODEL.plural}/versions/read", f"{dev.key}/models/registries"
    )
