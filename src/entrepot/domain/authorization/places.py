"""Where rights hold: document keys as scopes, and the ARM ids, asset ids and keys that people write for them. Pure."""

from entrepot.core.errors import InvalidRequest
from entrepot.core.nouns import PROVIDER

TENANT = ""
"""The scope above all others, written `/`."""


def scope_key_of(scope: str) -> str:
    """Return the document key that a scope names; '/' is the tenant ('').

    Reads `/subscriptions/../resourceGroups/../providers/Microsoft.MachineLearningServices/registries/r[/models/m]`,
    asset ids of registries, and keys themselves. Raises InvalidRequest for what is no scope of this server.
    """
    parts = [part for part in scope.removeprefix("azureml:").split("/") if part]
    lowered = [part.lower() for part in parts]
    if not parts:
        return TENANT
    if lowered[0] == "registries" and len(parts) > 1:
        return "/".join([*lowered[:2], *parts[2:]])
    is_group = len(parts) > 3 and lowered[2] == "resourcegroups"
    if lowered[0] != "subscriptions" or len(parts) < 2 or (len(parts) > 2 and not is_group):
        raise _no_scope(scope)
    if lowered[4:6] == ["providers", PROVIDER.lower()]:
        del parts[4:6], lowered[4:6]
    if len(parts) == 4 or len(parts) == 2:
        return "/".join(lowered)
    if len(parts) > 5 and lowered[4] == "registries":
        return "/".join([*lowered[4:6], *parts[6:]])
    if lowered[4] in ("workspaces", "deployments"):
        return "/".join([*lowered[:6], *parts[6:]])
    raise _no_scope(scope)


def _no_scope(scope: str) -> InvalidRequest:
    return InvalidRequest(
        f"{scope!r} is not a scope of this server: write /, /subscriptions/<id>, a resource group's, registry's or "
        "workspace's ARM id, or that of one asset in them",
        target="scope",
    )


def show_scope(scope_key: str) -> str:
    """Return a scope key as an ARM-like path for people."""
    return "/" + scope_key.strip("/")


def containing(scope_key: str) -> list[str]:
    """Return the scope and all that contain it by its key alone, without the tenant."""
    scopes = []
    rest = scope_key
    while rest:
        scopes.append(rest)
        rest = rest.rpartition("/")[0]
    return scopes


def home_key(scope_key: str) -> str | None:
    """Return the key of the registry, workspace or resource group in which a scope lies; None above them."""
    parts = scope_key.split("/")
    if parts[0] == "registries":
        return "/".join(parts[:2])
    if len(parts) > 5 and parts[4] == "workspaces":
        return "/".join(parts[:6])
    return "/".join(parts[:4]) if len(parts) > 3 else None
