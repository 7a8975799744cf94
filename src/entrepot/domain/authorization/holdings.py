"""What the checker needs to know of a stored document: who holds which role where, or is denied what.

Documents: `roleassignments/{name}`, `roledefinitions/{guid}`, `denyassignments/{name}`, and registries, for their
tenant-level read. Each change of one is announced in the stream `accesschanges`, in its own commit.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from entrepot.domain.authorization.roles import BUILT_IN_ROLES, TENANT_READ, Permission, Role
from entrepot.store.documents import Append, Document

Json = Any

ASSIGNMENTS = "roleassignments"
DEFINITIONS = "roledefinitions"
DENIALS = "denyassignments"
REGISTRIES = "registries"
CHANGES = "accesschanges"
"""The stream that names every document whose change is a change of rights."""

EVERYBODY = "00000000-0000-0000-0000-000000000000"
"""As a principal of a deny assignment: all of them."""

MEMBERS = "members"
"""Who holds what everybody in the tenant holds."""


@dataclass(frozen=True, slots=True, eq=False)
class Holding:
    """A role assignment or, with `is_denial`, a deny assignment, of one holder at one scope.

    `role` of a denial is what it denies. `is_protected` holders are never denied anything.
    """

    key: str
    holder: str
    scope: str
    role_id: str
    role: Role | None = None  # None: a role definition, looked up by its id when it is asked
    is_denial: bool = False
    is_protected: bool = False
    is_only_here: bool = False
    excepted: frozenset[str] = frozenset()


def changed(key: str) -> Append:
    """Return the change by which every server process notices that rights changed."""
    return Append(CHANGES, {"key": key})


def holdings_of(document: Document) -> tuple[Holding, ...]:
    """Read an assignment, a denial or a registry."""
    family = document.key.partition("/")[0]
    body = document.body
    if family == ASSIGNMENTS:
        return (_assignment(document.key, body),)
    if family == DENIALS:
        return tuple(_denials(document.key, body))
    if family == REGISTRIES and is_open(body):
        return (Holding(document.key, MEMBERS, document.key, TENANT_READ.id, TENANT_READ),)
    return ()


def is_open(registry: Json) -> bool:
    """Say whether everybody in the tenant reads a registry, from its body."""
    return bool(registry["properties"].get("readAccess") == "Tenant")


def role_of(document: Document) -> Role:
    """Read a custom role definition."""
    body = document.body
    properties = body["properties"]
    return Role(
        body["name"],
        properties["roleName"],
        properties.get("description") or "",
        permissions_of(properties["permissions"]),
        tuple(body["entrepot"]["scopeKeys"]),
        is_custom=True,
    )


def permissions_of(given: Iterable[Json]) -> tuple[Permission, ...]:
    """Read ARM's list of permissions."""
    return tuple(Permission(tuple(one.get("actions") or ()), tuple(one.get("notActions") or ())) for one in given)


def _assignment(key: str, body: Json) -> Holding:
    ours, properties = body["entrepot"], body["properties"]
    role_id = properties["roleDefinitionId"].rpartition("/")[2].lower()
    known = BUILT_IN_ROLES.get(ours.get("role") or "")
    return Holding(
        key, properties["principalId"], ours["scopeKey"], known.id if known else role_id, known,
        is_protected=bool(ours.get("isProtected")),
    )  # fmt: skip


def _denials(key: str, body: Json) -> Iterable[Holding]:
    properties = body["properties"]
    denied = Role(body["name"], properties["denyAssignmentName"], "", permissions_of(properties["permissions"]))
    excepted = frozenset(who["id"] for who in properties.get("excludePrincipals") or ())
    for who in properties["principals"]:
        yield Holding(
            key, who["id"], body["entrepot"]["scopeKey"], denied.id, denied, is_denial=True,
            is_only_here=bool(properties.get("doNotApplyToChildScopes")), excepted=excepted,
        )  # fmt: skip
