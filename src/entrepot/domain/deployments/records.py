"""A deployment's documents: its record as ARM shows it, its template, and, while it runs, what it was given, sealed.

Keys: `{scope}/deployments/{name}`, below it `template` and `run`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from entrepot.core.clock import from_iso, to_iso
from entrepot.core.digests import digest_of
from entrepot.core.errors import EntrepotError
from entrepot.domain import groups
from entrepot.domain.authorization import delegation
from entrepot.domain.deployments.parameters import is_secure
from entrepot.domain.deployments.places import Place, scope_of
from entrepot.domain.deployments.template import Resource, Template
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Put

Json = Any

TYPE = "Microsoft.Resources/deployments"
ACCEPTED, RUNNING, SUCCEEDED, FAILED, CANCELED = "Accepted", "Running", "Succeeded", "Failed", "Canceled"
FINAL = (SUCCEEDED, FAILED, CANCELED)
NOT_STARTED, SKIPPED = "NotStarted", "Skipped"
"""The states of an operation that waits, and of one that has nothing to do: its condition is false, or it is within."""


@dataclass(frozen=True, slots=True)
class Target:
    """A deployment's place and name; no group: it is of the subscription."""

    subscription: str
    resource_group: str
    name: str

    @property
    def scope_key(self) -> str:
        """The key of the group or subscription."""
        if self.resource_group:
            return groups.key_of(self.subscription, self.resource_group)
        return f"subscriptions/{self.subscription}".lower()

    @property
    def collection(self) -> str:
        """The key prefix of all deployments of the scope."""
        return f"{self.scope_key}/deployments"

    @property
    def key(self) -> str:
        """The deployment document's key."""
        return f"{self.collection}/{self.name.lower()}"

    @property
    def template_key(self) -> str:
        """The key of the template's document."""
        return f"{self.key}/template"

    @property
    def run_key(self) -> str:
        """The key of what the deployment was given, while it runs."""
        return f"{self.key}/run"

    @property
    def id(self) -> str:
        """The ARM id."""
        return f"{scope_of(self.subscription, self.resource_group)}/providers/{TYPE}/{self.name}"


def target_of(id: str) -> Target:
    """Return the deployment that an ARM id names."""
    parts = id.strip("/").split("/")
    is_group = parts[2].lower() == "resourcegroups"
    return Target(parts[1], parts[3] if is_group else "", parts[-1])


def body(hub: Hub, target: Target, template: Template, *, state: str, request_id: str = "") -> dict[str, Json]:
    """Return a deployment as ARM shows it. Parameters that are secrets have no value in it."""
    now = to_iso(hub.clock.now())
    properties = {
        "provisioningState": state,
        "mode": "Incremental",
        "parameters": _shown(template),
        "timestamp": now,
        "duration": "PT0S",
        "correlationId": hub.new_id(),
        "providers": _providers(template.resources),
        "dependencies": [],
        "outputs": {},
        "outputResources": [],
    }
    shown = {"id": target.id, "name": target.name, "type": TYPE, "properties": properties}
    if not target.resource_group:
        shown["location"] = template.place.location
    return {**shown, "entrepot": {"started": now, "requestId": request_id, "operations": _operations(template)}}


def ended(record: Json, *, state: str, now: float, error: EntrepotError | None = None, details: Json = None) -> None:
    """Note how a deployment ended."""
    properties = record["properties"]
    properties |= {"provisioningState": state, "timestamp": to_iso(now)}
    properties["duration"] = f"PT{max(now - from_iso(record['entrepot']['started']), 0):.3f}S"
    if error is not None:
        properties["error"] = {"code": error.code, "message": error.message, "details": details or []}


def kept(target: Target, template: Json) -> Put:
    """Return the change that keeps the template, for `export`."""
    return Put(target.template_key, {"template": template})


def sealed(hub: Hub, target: Target, principal: Principal, template: Template, text: Json) -> Put:
    """Return the change that keeps, sealed, what a running deployment needs: its values may be secrets."""
    place = template.place
    run = {
        "template": text,
        "values": template.parameters,
        "place": [place.location, place.now],
        "principal": delegation.remembered(hub, principal),
        "via": principal.via,
    }
    return Put(target.run_key, {"sealed": hub.sealer.seal(json.dumps(run), at=target.run_key)})


def opened(hub: Hub, target: Target) -> tuple[Principal, Template] | None:
    """Return by whom, as it stands now, and what is deployed; None when nothing runs.

    Raises AccessDenied when the account is gone or switched off.
    """
    document = hub.documents.get(target.run_key)
    if document is None:
        return None
    run = json.loads(hub.sealer.open(document.body["sealed"], at=target.run_key))
    location, now = run["place"]
    place = Place(target.subscription, target.resource_group, location, hub.settings.tenant, target.name, now)
    principal = delegation.recalled(hub, run["principal"], via=f"the deployment {target.name}")
    return replace(principal, via=run["via"]), Template(run["template"], None, place, values=run["values"])


def operations(target: Target, record: Mapping[str, Json]) -> list[Json]:
    """Return a deployment's operations as ARM lists them, one for each resource that was begun.

    Azure lists no others either, and azure-ai-ml 1.35 stumbles over types that a workspace's template leaves out.
    """
    return [
        {
            "id": f"{target.id}/operations/{digest_of(item['id'].encode())[:16].upper()}",
            "operationId": digest_of(item["id"].encode())[:16].upper(),
            "properties": {
                "provisioningOperation": "Read" if item.get("existing") else "Create",
                "provisioningState": item["state"],
                "timestamp": item.get("ended") or item.get("started"),
                "statusCode": {SUCCEEDED: "OK", FAILED: "BadRequest"}.get(item["state"], "Accepted"),
                **({"statusMessage": {"error": item["error"]}} if item.get("error") else {}),
                "targetResource": {
                    "id": item["id"], "resourceType": item["type"], "resourceName": item["name"],
                },
            },
        }
        for item in (record.get("entrepot") or {}).get("operations", ())
        if item["state"] not in (NOT_STARTED, SKIPPED)
    ]  # fmt: skip


def _operations(template: Template) -> list[Json]:
    return [
        {"id": resource.id, "type": resource.type, "name": resource.name, "state": NOT_STARTED}
        | ({"existing": True} if resource.is_existing else {})
        for resource in template.resources
    ]


def _shown(template: Template) -> dict[str, Json]:
    return {
        name: {"type": str(spec.get("type", "string"))}
        | ({} if is_secure(spec) else {"value": template.parameters[name]})
        for name, spec in template.specs.items()
    }


def _providers(resources: Iterable[Resource]) -> list[Json]:
    types: dict[str, dict[str, Json]] = {}
    for resource in resources:
        namespace, _, kind = resource.type.partition("/")
        types.setdefault(namespace, {})[kind] = {"resourceType": kind, "locations": [None]}
    return [{"namespace": name, "resourceTypes": [*kinds.values()]} for name, kinds in types.items()]
