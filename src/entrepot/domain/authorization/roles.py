"""Roles as Azure defines them: actions with wildcards, and what is taken out again. Pure values, nothing stored.

Sources: the role catalogue of Azure ML (how-to-manage-registries, how-to-assign-roles).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from entrepot.core.nouns import PROVIDER

AUTHORIZATION = "Microsoft.Authorization"


@dataclass(frozen=True, slots=True)
class Role:
    """One role definition. `*` in an action stands for any text, slashes included; case does not matter."""

    id: str
    name: str
    description: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()

    def grants(self, action: str) -> bool:
        """Say whether the role alone allows the action."""
        allowed, excluded = _patterns(self.actions, self.not_actions)
        return bool(allowed.match(action)) and not (excluded and excluded.match(action))


@lru_cache(maxsize=1024)
def _patterns(actions: tuple[str, ...], not_actions: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str] | None]:
    return _compile(actions), _compile(not_actions) if not_actions else None


def _compile(patterns: tuple[str, ...]) -> re.Pattern[str]:
    alternatives = "|".join(".*".join(re.escape(part) for part in pattern.split("*")) for pattern in patterns)
    return re.compile(f"(?:{alternatives or '(?!)'})\\Z", re.IGNORECASE | re.DOTALL)


OWNER = Role("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner", "May do everything, and assign roles.", ("*",))
CONTRIBUTOR = Role(
    "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "Contributor",
    "May do everything but assign roles.",
    ("*",),
    (f"{AUTHORIZATION}/*/write", f"{AUTHORIZATION}/*/delete", f"{AUTHORIZATION}/elevateAccess/Action"),
)
READER = Role("acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader", "May see everything and change nothing.", ("*/read",))
USER_ACCESS_ADMINISTRATOR = Role(
    "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
    "User Access Administrator",
    "May see everything and assign roles.",
    ("*/read", f"{AUTHORIZATION}/*"),
)
REGISTRY_USER = Role(
    "1823dd4f-9b8c-4ab6-ab4e-7397a3684615",
    "AzureML Registry User",
    "May read, create and delete assets in a registry.",
    (f"{PROVIDER}/registries/read", f"{PROVIDER}/registries/assets/*"),
)
DATA_SCIENTIST = Role(
    "f6c7c914-8db3-469d-8ca1-694a8f32e121",
    "AzureML Data Scientist",
    "May do everything in a workspace but manage its compute and change the workspace itself.",
    (
        f"{PROVIDER}/workspaces/*/read",
        f"{PROVIDER}/workspaces/*/action",
        f"{PROVIDER}/workspaces/*/delete",
        f"{PROVIDER}/workspaces/*/write",
        f"{PROVIDER}/workspaces/read",
    ),
    (
        f"{PROVIDER}/workspaces/delete",
        f"{PROVIDER}/workspaces/write",
        f"{PROVIDER}/workspaces/computes/*/write",
        f"{PROVIDER}/workspaces/computes/*/delete",
        f"{PROVIDER}/workspaces/computes/write",
        f"{PROVIDER}/workspaces/computes/delete",
        f"{PROVIDER}/workspaces/computes/listKeys/action",
        f"{PROVIDER}/workspaces/listKeys/action",
    ),
)
COMPUTE_OPERATOR = Role(
    "e503ece1-11d0-4e8e-8e2c-7a6c3bf38815",
    "AzureML Compute Operator",
    "May create, manage, delete and use compute.",
    (f"{PROVIDER}/workspaces/computes/*", f"{PROVIDER}/workspaces/read"),
)
METRICS_WRITER = Role(
    "635dd51f-9968-44d3-b7fb-6d9a6bd613ae",
    "AzureML Metrics Writer",
    "May write metrics.",
    (f"{PROVIDER}/workspaces/metrics/*/write", f"{PROVIDER}/workspaces/metrics/write"),
)

# From the narrowest to the widest, so that a refusal can name the narrowest role that would do.
BUILT_IN_ROLES: Mapping[str, Role] = {
    role.name: role
    for role in (
        METRICS_WRITER, REGISTRY_USER, COMPUTE_OPERATOR, DATA_SCIENTIST, READER, USER_ACCESS_ADMINISTRATOR,
        CONTRIBUTOR, OWNER,
    )
}  # fmt: skip


def find_role(text: str) -> Role | None:
    """Return the built-in role of this name, GUID or role definition id; None if there is none."""
    wanted = text.rstrip("/").rpartition("/")[2].lower()
    for role in BUILT_IN_ROLES.values():
        if wanted in (role.id, role.name.lower()):
            return role
    return None


def narrowest_role(action: str) -> Role:
    """Return the narrowest built-in role that grants the action."""
    return next((role for role in BUILT_IN_ROLES.values() if role.grants(action)), OWNER)
