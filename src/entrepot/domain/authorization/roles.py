"""Roles as Azure defines them: actions with wildcards, and what is taken out again. Pure values, nothing stored.

Sources: the role catalogue of Azure ML (how-to-manage-registries, how-to-assign-roles).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from entrepot.core.nouns import PROVIDER

AUTHORIZATION = "Microsoft.Authorization"


@dataclass(frozen=True, slots=True)
class Permission:
    """What a role lets its holder do. `*` stands for any text, slashes included; case does not matter."""

    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()

    def covers(self, action: str) -> bool:
        """Say whether the action is among the actions and not taken out again."""
        allowed, excluded = _patterns(self.actions, self.not_actions)
        return bool(allowed.match(action)) and not (excluded and excluded.match(action))


@dataclass(frozen=True, slots=True)
class Role:
    """One role definition. `scopes` are the keys of the scopes at or below which it can be assigned."""

    id: str
    name: str
    description: str
    permissions: tuple[Permission, ...]
    scopes: tuple[str, ...] = ("",)
    is_custom: bool = False

    def grants(self, action: str) -> bool:
        """Say whether the role alone allows the action."""
        return any(permission.covers(action) for permission in self.permissions)


@lru_cache(maxsize=4096)
def _patterns(actions: tuple[str, ...], not_actions: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str] | None]:
    return _compile(actions), _compile(not_actions) if not_actions else None


def _compile(patterns: tuple[str, ...]) -> re.Pattern[str]:
    alternatives = "|".join(_expression(pattern) for pattern in patterns)
    return re.compile(f"(?:{alternatives or '(?!)'})\\Z", re.IGNORECASE | re.DOTALL)


def _expression(pattern: str) -> str:
    """Return a pattern as an expression that never goes back over its stars: the leftmost place of a part will do."""
    first, *others = (re.escape(part) for part in pattern.split("*"))
    if not others:
        return first
    middle = "".join(f"(?>.*?{part})" for part in others[:-1] if part)
    return f"{first}{middle}.*{others[-1]}"


def _built_in(id: str, name: str, description: str, actions: Iterable[str], without: Iterable[str] = ()) -> Role:
    return Role(id, name, description, (Permission(tuple(actions), tuple(without)),))


_WORKSPACES = f"{PROVIDER}/workspaces"

OWNER = _built_in("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner", "May do everything, and assign roles.", ["*"])
CONTRIBUTOR = _built_in(
    "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "Contributor",
    "May do everything but assign roles.",
    ["*"],
    [f"{AUTHORIZATION}/*/write", f"{AUTHORIZATION}/*/delete", f"{AUTHORIZATION}/elevateAccess/Action"],
)
READER = _built_in(
    "acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader", "May see everything and change nothing.", ["*/read"]
)
USER_ACCESS_ADMINISTRATOR = _built_in(
    "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
    "User Access Administrator",
    "May see everything and assign roles.",
    ["*/read", f"{AUTHORIZATION}/*"],
)
REGISTRY_USER = _built_in(
    "1823dd4f-9b8c-4ab6-ab4e-7397a3684615",
    "AzureML Registry User",
    "May read, create and delete assets in a registry.",
    [f"{PROVIDER}/registries/read", f"{PROVIDER}/registries/assets/*"],
)
DATA_SCIENTIST = _built_in(
    "f6c7c914-8db3-469d-8ca1-694a8f32e121",
    "AzureML Data Scientist",
    "May do everything in a workspace but manage its compute and change the workspace itself.",
    [*(f"{_WORKSPACES}/*/{verb}" for verb in ("read", "action", "delete", "write")), f"{_WORKSPACES}/read"],
    [
        f"{_WORKSPACES}/delete",
        f"{_WORKSPACES}/write",
        f"{_WORKSPACES}/computes/*/write",
        f"{_WORKSPACES}/computes/*/delete",
        f"{_WORKSPACES}/computes/write",
        f"{_WORKSPACES}/computes/delete",
        f"{_WORKSPACES}/computes/listKeys/action",
        f"{_WORKSPACES}/listKeys/action",
        *(f"{_WORKSPACES}/{kind}/{verb}" for kind in ("hubs", "featurestores") for verb in ("write", "delete")),
    ],
)
COMPUTE_OPERATOR = _built_in(
    "e503ece1-11d0-4e8e-8e2c-7a6c3bf38815",
    "AzureML Compute Operator",
    "May create, manage, delete and use compute.",
    [f"{_WORKSPACES}/computes/*", f"{_WORKSPACES}/read"],
)
METRICS_WRITER = _built_in(
    "635dd51f-9968-44d3-b7fb-6d9a6bd613ae",
    "AzureML Metrics Writer",
    "May write metrics.",
    [f"{_WORKSPACES}/metrics/*/write", f"{_WORKSPACES}/metrics/write"],
)

SECRETS_READER = _built_in(
    "ea01e6af-a1c1-4350-9563-ad00f8c72ec5",
    "Azure Machine Learning Workspace Connection Secrets Reader",
    "May be told the secrets of a workspace's connections, and nothing else.",
    [f"{_WORKSPACES}/connections/listsecrets/action", f"{_WORKSPACES}/metadata/secrets/read"],
)

# From the narrowest to the widest, so that a refusal can name the narrowest role that would do.
BUILT_IN_ROLES: Mapping[str, Role] = {
    role.name: role
    for role in (
        METRICS_WRITER, SECRETS_READER, REGISTRY_USER, COMPUTE_OPERATOR, DATA_SCIENTIST, READER,
        USER_ACCESS_ADMINISTRATOR, CONTRIBUTOR, OWNER,
    )
}  # fmt: skip
BY_ID: Mapping[str, Role] = {role.id: role for role in BUILT_IN_ROLES.values()}

TENANT_READ = _built_in(
    "tenant-read",
    "tenant-level read",
    "What everybody in the tenant holds at a registry whose readAccess is Tenant; no role that could be assigned.",
    [f"{PROVIDER}/registries/read", f"{PROVIDER}/registries/assets/read"],
)


def find_role(text: str) -> Role | None:
    """Return the built-in role of this name, GUID or role definition id; None if there is none."""
    wanted = role_id_of(text)
    return BY_ID.get(wanted) or next((role for role in BY_ID.values() if role.name.lower() == wanted), None)


def role_id_of(text: str) -> str:
    """Return the last part of a role definition's id, in lower case: a GUID, or the name that was given instead."""
    return text.rstrip("/").rpartition("/")[2].lower()


def narrowest_role(action: str) -> Role:
    """Return the narrowest built-in role that grants the action."""
    return next((role for role in BUILT_IN_ROLES.values() if role.grants(action)), OWNER)
