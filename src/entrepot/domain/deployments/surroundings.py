"""The functions by which a template asks where and when it is deployed, and for ids. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from entrepot.domain.deployments.language.dates import formatted
from entrepot.domain.deployments.places import (
    Place,
    extension_resource_id,
    resource_id,
    scope_of,
    subscription_resource_id,
    typed_path,
)

Json = Any


def surroundings(place: Place) -> Mapping[str, Callable[..., Json]]:
    """Return subscription(), resourceGroup(), resourceId() and the like for a place."""
    return {
        "deployment": lambda: {"name": place.deployment, "location": place.location},
        "environment": lambda: {"name": "Entrepot"},
        "extensionResourceId": extension_resource_id,
        "resourceGroup": lambda: _group(place),
        "resourceId": lambda *parts: resource_id(place, *parts),
        "subscription": lambda: _subscription(place),
        "subscriptionResourceId": lambda *parts: subscription_resource_id(place, *parts),
        "tenant": lambda: {"tenantId": place.tenant},
        "tenantResourceId": lambda kind, *names: f"/providers/{typed_path(kind, list(names))}",
        "utcNow": lambda form="yyyyMMddTHHmmssZ": formatted(place.now, form),
    }


def _subscription(place: Place) -> Json:
    return {
        "id": scope_of(place.subscription),
        "subscriptionId": place.subscription,
        "tenantId": place.tenant,
        "displayName": "Entrepot",
    }


def _group(place: Place) -> Json:
    if not place.resource_group:
        raise ValueError("a deployment of a subscription is in no resource group")
    return {
        "id": place.scope,
        "name": place.resource_group,
        "type": "Microsoft.Resources/resourceGroups",
        "location": place.location,
        "properties": {"provisioningState": "Succeeded"},
    }
