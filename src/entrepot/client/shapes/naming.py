"""camelCase and snake_case, times and ids: what all views and bodies share in spelling. Standard library only."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Json = Any


def snake(name: str) -> str:
    """Return `modelUri` as `model_uri`."""
    out = []
    for index, letter in enumerate(name):
        if letter.isupper() and index and (not name[index - 1].isupper() or name[index + 1 : index + 2].islower()):
            out.append("_")
        out.append(letter.lower())
    return "".join(out)


def camel(name: str) -> str:
    """Return `model_uri` as `modelUri`."""
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def snake_fields(value: Mapping[str, Json]) -> dict[str, Json]:
    """Return a mapping with its own keys in snake_case; what lies deeper is kept, without what is None."""
    return {snake(name): item for name, item in value.items() if item is not None}


def camel_fields(value: Mapping[str, Json]) -> dict[str, Json]:
    """Return a mapping with its own keys in camelCase; what lies deeper is kept."""
    return {camel(name): item for name, item in value.items()}


def creation_context(system_data: Mapping[str, Json] | None) -> dict[str, Json]:
    """Return who made something and who changed it last, and when."""
    return snake_fields(system_data or {})


def group_of(identity: str) -> str | None:
    """Return the resource group that an ARM id names, as `az` adds it to results; None for other ids."""
    parts = identity.split("/")
    if len(parts) > 4 and parts[1].lower() == "subscriptions" and parts[3].lower() == "resourcegroups":
        return parts[4]
    return None


def reference(identity: Json) -> Json:
    """Return an id as YAML refers to it: ARM ids with `azureml:` in front."""
    return f"azureml:{identity}" if isinstance(identity, str) and identity.startswith("/subscriptions/") else identity


def resource(document: Mapping[str, Json]) -> dict[str, Json]:
    """Return what all views begin with: id, name, and the group of an ARM id."""
    view: dict[str, Json] = {"id": document.get("id"), "name": document.get("name")}
    group = group_of(str(document.get("id") or ""))
    if group:
        view["resourceGroup"] = group
    return view
