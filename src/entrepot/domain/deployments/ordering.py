"""Which resources of a template wait for which, and what about a template cannot be carried out at all. Pure."""

import uuid
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from entrepot.core.errors import InvalidRequest
from entrepot.core.nouns import PROVIDER
from entrepot.domain.deployments.making import Maker
from entrepot.domain.deployments.template import Resource, Template

Json = Any

LEFT_OUT = (
    "microsoft.storage/", "microsoft.keyvault/", "microsoft.insights/", "microsoft.operationalinsights/",
    "microsoft.containerregistry/", "microsoft.managedidentity/", "microsoft.network/",
)  # fmt: skip
"""What Azure needs beside a workspace and this server has within: accepted, and nothing is made."""


def is_left_out(resource: Resource) -> bool:
    """Say whether nothing is to be made for a resource: this server has within what it stands for."""
    return any(f"/providers/{prefix}" in resource.key for prefix in LEFT_OUT)


def checked(template: Template, maker: Maker) -> Mapping[str, Sequence[str]]:
    """Return {resource's id: ids that it waits for}, in an order in which that works.

    Raises InvalidRequest for a type that is not made here, a resource named twice, one that waits for itself.
    """
    seen: dict[str, Resource] = {}
    for resource in template.resources:
        other = seen.setdefault(resource.key, resource)
        if other is not resource and resource.is_wanted and other.is_wanted:
            raise InvalidRequest(
                f"{resource.where}: {resource.type} {resource.name} is in the template twice, first as {other.where}",
                target=resource.where,
            )
        if resource.is_wanted and not is_left_out(resource) and not maker.takes(resource.id):
            raise InvalidRequest(_unmade(resource), target=resource.where)
    waits = {resource.key: _awaited(template, resource) for resource in template.resources}
    _check_circles(waits)
    return waits


def _awaited(template: Template, resource: Resource) -> list[str]:
    found: list[str] = []
    for named in resource.after:
        others = template.found_all(named)
        if not others and resource.is_wanted and not named.startswith("/"):
            raise InvalidRequest(
                f"{resource.where}.dependsOn names {named[:200]!r}, and the template has no such resource",
                target=f"{resource.where}.dependsOn",
            )
        found += [other.key for other in others]
    return found


def _check_circles(waits: Mapping[str, Sequence[str]]) -> None:
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as error:
        circle = " -> ".join(key.rpartition("/")[2] for key in reversed(error.args[1]))
        raise InvalidRequest(f"Resources of the template depend on each other in a circle: {circle[:1000]}") from error


def _unmade(resource: Resource) -> str:
    return (
        f"{resource.where}: the resource {resource.name!r} has the type {resource.type}, which this server does not "
        f"make: it makes what is of {PROVIDER}, Microsoft.Authorization and Microsoft.Resources; "
        "`az provider show -n Microsoft.MachineLearningServices` lists its types"
    )


def stand_in(resource: Resource, tenant: str) -> dict[str, Json]:
    """Return what reference() tells of a resource for which nothing is made."""
    principal = str(uuid.uuid5(uuid.NAMESPACE_URL, resource.key))
    is_identity = resource.type.lower().startswith("microsoft.managedidentity/")
    told = {"principalId": principal, "clientId": principal, "tenantId": tenant} if is_identity else {}
    return {"id": resource.id, "name": resource.name, "type": resource.type, "properties": told}
