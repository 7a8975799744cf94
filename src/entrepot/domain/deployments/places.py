"""Where a template is deployed, and the ARM ids of what it names. Pure."""

from dataclasses import dataclass
from typing import Any

from entrepot.core.errors import InvalidRequest

Json = Any

GROUP_TYPE = "microsoft.resources/resourcegroups"
NESTED_TYPE = "microsoft.resources/deployments"


@dataclass(frozen=True, slots=True)
class Place:
    """What subscription(), resourceGroup(), tenant() and deployment() tell; no group: a deployment of a subscription.

    `location` is the group's, or that of the deployment itself.
    """

    subscription: str
    resource_group: str
    location: str
    tenant: str
    deployment: str
    now: float

    @property
    def scope(self) -> str:
        """The ARM id of the group or the subscription."""
        return scope_of(self.subscription, self.resource_group)


def scope_of(subscription: str, group: str = "") -> str:
    """Return the ARM id of a subscription or a group in it."""
    return f"/subscriptions/{subscription}" + (f"/resourceGroups/{group}" if group else "")


def resource_id(place: Place, *parts: str) -> str:
    """Return an ARM id: `[subscription,] [group,] type, name, ...`, as the template function does."""
    words = list(parts)
    at = next((index for index, word in enumerate(words) if "/" in word), None)
    if at is None or len(words) - at < 2:
        raise ValueError("a type such as 'Provider/kind' and a name are needed")
    subscription = words[0] if at == 2 else place.subscription
    group = words[at - 1] if at else place.resource_group
    return f"{scope_of(subscription, group)}/providers/{typed_path(words[at], words[at + 1 :])}"


def subscription_resource_id(place: Place, *parts: str) -> str:
    """Return an ARM id right below a subscription: `[subscription,] type, name, ...`."""
    has_own = "/" not in parts[0]
    subscription, words = (parts[0], parts[1:]) if has_own else (place.subscription, parts)
    return f"/subscriptions/{subscription}/providers/{typed_path(words[0], list(words[1:]))}"


def extension_resource_id(scope: str, kind: str, *names: str) -> str:
    """Return the ARM id of what extends another resource, such as a role assignment."""
    return f"{scope.rstrip('/')}/providers/{typed_path(kind, list(names))}"


def typed_path(kind: str, names: list[str]) -> str:
    """Return `Provider/kind/name/kind/name` of a type and its names. Raises ValueError when they do not fit."""
    provider, *kinds = kind.split("/")
    if len(kinds) != len(names):
        raise ValueError(f"type {kind} needs {len(kinds)} name(s), got {len(names)}")
    return "/".join([provider, *(word for pair in zip(kinds, names, strict=True) for word in pair)])


def id_in(place: Place, kind: str, name: str, body: dict[str, Json], *, where: str) -> str:
    """Return the ARM id of a template's resource; its body may name another scope, group or subscription."""
    subscription = str(body.get("subscriptionId") or place.subscription)
    group = str(body.get("resourceGroup") or place.resource_group)
    if kind.lower() == GROUP_TYPE:
        return scope_of(subscription, name)
    scope = str(body.get("scope") or scope_of(subscription, group))
    if not scope.startswith("/"):
        scope = f"{place.scope}/providers/{scope}"
    try:
        return f"{scope.rstrip('/')}/providers/{typed_path(kind, name.split('/'))}"
    except ValueError as error:
        raise InvalidRequest(
            f"{where}: {error}; a child's name holds its parents': parent/child", target=where
        ) from None
