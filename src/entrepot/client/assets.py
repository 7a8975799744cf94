"""The verbs that models, environments, components and data assets have in common: show, list, update, archive, share.

Imported by every `show`: nothing here may need more than the session. Creating is in `publishing/`.
"""

from __future__ import annotations

from entrepot.client.connection import quote
from entrepot.client.failures import Failure, UsageFailure
from entrepot.client.shapes import asset_views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from entrepot.client.scopes import Target
    from entrepot.client.session import Session

    Json = Any

PLURALS = {"model": "models", "environment": "environments", "component": "components", "data": "data",
           "deployment-template": "deploymenttemplates"}  # fmt: skip
VIEW_TYPES = {(False, False): "ActiveOnly", (True, False): "All", (False, True): "ArchivedOnly"}
MUTABLE = {"description": "description", "tags": "tags", "stage": "stage", "properties": "properties"}
TEMPLATES = {
    "default_deployment_template": "defaultDeploymentTemplate",
    "allowed_deployment_templates": "allowedDeploymentTemplates",
}
"""What may change of models only."""
DERIVED = ("creation_context", "provenance", "regions", "digest", "id", "resourceGroup")


def get(session: Session, target: Target, plural: str, name: str, *, version: str | None, label: str | None) -> Json:
    """GET a version by its number or its label; a component's newest, as azure-ai-ml does, where neither is given.

    Raises ServiceFailure, UsageFailure for both or neither.
    """
    if version and label:
        raise UsageFailure("Cannot specify both version and label.")
    if version:
        return session.get(target.version(plural, name, version))
    if plural == PLURALS["component"]:
        label = label or "latest"
    if label:
        return session.get(f"{target.container(plural, name)}/labels/{quote(label)}")
    raise UsageFailure("Must provide either version or label.", hint="--version 1, or --label latest")


def listed(
    session: Session, target: Target, plural: str, *, name: str | None, with_archived: bool, only_archived: bool
) -> Iterator[dict[str, Json]]:
    """Yield the versions of a name, newest first, or all names with their newest version."""
    if with_archived and only_archived:
        raise UsageFailure("Cannot provide both archived-only and include-archived.")
    query = f"listViewType={VIEW_TYPES[with_archived, only_archived]}"
    if name:
        versions = session.pages(f"{target.container(plural, name)}/versions?{query}&$orderBy=createdtime%20desc")
        return (asset_views.view(plural, document) for document in versions)
    return (asset_views.container_view(document) for document in session.pages(f"{target.base}/{plural}?{query}"))


def set_archived(
    session: Session,
    target: Target,
    plural: str,
    name: str,
    *,
    version: str | None,
    label: str | None,
    is_archived: bool,
) -> None:
    """Archive or restore a version, or, when none is named, the name with all its versions."""
    if version or label:
        document = get(session, target, plural, name, version=version, label=label)
        address = target.version(plural, name, str(document["name"]))
    else:
        address = target.container(plural, name)
        document = session.get(address)
    session.put(address, {"properties": {**document["properties"], "isArchived": is_archived}})


def update(
    session: Session, target: Target, plural: str, document: Mapping[str, Json], entity: Mapping[str, Json]
) -> Json:
    """PUT the version with what changed in its view (`entity`). Raises Failure for fields that never change."""
    before = asset_views.view(plural, document)
    changed = [name for name in {**before, **entity} if before.get(name) != entity.get(name) and name not in DERIVED]
    mutable = MUTABLE | TEMPLATES if plural == "models" else MUTABLE
    fixed = sorted(name for name in changed if name not in mutable)
    name, version = asset_views.name_and_version(document)
    if fixed:
        raise Failure(
            f"{fixed[0]!r} of {name}:{version} cannot change: of a version only {', '.join(mutable)} can.",
            hint="create a new version",
        )
    properties = {**document["properties"]}
    for field in changed:
        properties[mutable[field]] = _texts(entity.get(field))
    return session.put(target.version(plural, name, version), {"properties": properties})


def _texts(value: Json) -> Json:
    """Return tags and properties with texts as values, as the server keeps them."""
    if not isinstance(value, dict):
        return value
    return {name: item if isinstance(item, str) else str(item) for name, item in value.items() if item is not None}


def share(
    session: Session,
    target: Target,
    plural: str,
    name: str,
    *,
    version: str,
    registry: str,
    new_name: str | None,
    new_version: str | None,
) -> Json:
    """Copy a workspace's version to a registry, and return the version that is there now."""
    body = {"registryName": registry, "destinationName": new_name, "destinationVersion": new_version}
    sent = {field: text for field, text in body.items() if text}
    return session.post(f"{target.version(plural, name, version)}/share", sent)


def transfer_of(answer: Mapping[str, Json]) -> tuple[str, str]:
    """Return (address, path) of an answer about where bytes are."""
    reference = answer["blobReferenceForConsumption"]
    return str(reference["transferUri"]), str(reference.get("prefix") or "")
