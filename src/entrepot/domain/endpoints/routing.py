"""What gateways need to know of the online endpoints, read in one go: who may call, how requests are divided, where to.

No secret leaves the store by this but the replicas' own; keys are told as digests.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from entrepot.domain.endpoints import bodies, endpoints, secrets, templating
from entrepot.domain.endpoints.places import SPACE, EndpointRef
from entrepot.domain.endpoints.replicas import records
from entrepot.domain.endpoints.replicas.records import Replica
from entrepot.domain.hub import Hub
from entrepot.domain.secrets.sealing import SealedElsewhere
from entrepot.store.documents import Document, View

Json = Any

_PAGE = 500

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeploymentRoute:
    """A deployment as a gateway sees it. `instances`: the most replicas it may have, which its limits are made of."""

    name: str
    timeout_s: float
    concurrency: int
    instances: int
    replicas: tuple[Replica, ...]
    key: str = ""
    scoring_path: str = ""  # beside /score


@dataclass(frozen=True, slots=True)
class EndpointRoute:
    """An endpoint as a gateway sees it. `slug` is its place in the path; shares are percentages by deployment."""

    key: str
    slug: str
    auth_mode: str
    key_digests: tuple[str, ...]
    traffic: Mapping[str, int]
    mirror: Mapping[str, int]
    deployments: tuple[DeploymentRoute, ...]
    sticky: str = ""
    cors: Mapping[str, Json] = field(default_factory=dict)
    is_private: bool = False  # answers callers of private networks only


def any_endpoint(hub: Hub) -> bool:
    """Say whether there is an endpoint at all: without one no gateway is needed."""
    return bool(hub.documents.find(SPACE, "kind", "online", view=View.ALL, limit=1).documents)


def read_all(hub: Hub) -> list[EndpointRoute]:
    """Return every endpoint that is not being deleted, oldest first."""
    found = [endpoint_route(hub, document) for document in _endpoints(hub)]
    return [route for route in reversed(found) if route is not None]


def _endpoints(hub: Hub) -> Iterator[Document]:
    after: str | None = None
    while True:
        page = hub.documents.find(SPACE, "kind", "online", view=View.ALL, after=after, limit=_PAGE)
        yield from page.documents
        after = page.next
        if after is None:
            return


def endpoint_route(hub: Hub, document: Document) -> EndpointRoute | None:
    """Return how requests to an endpoint go; None while it is being deleted."""
    body = document.body
    properties = body["properties"]
    if properties["provisioningState"] == bodies.DELETING:
        return None
    ref = endpoints.reference(document)
    return EndpointRoute(
        key=document.key,
        slug=body["entrepot"]["slug"],
        auth_mode=properties["authMode"],
        key_digests=_digests(hub, ref),
        traffic={name: percent for name, percent in properties["traffic"].items() if percent},
        mirror=properties.get("mirrorTraffic") or {},
        deployments=tuple(_deployment(hub, found) for found in endpoints.deployments_of(hub, ref)),
        sticky=(properties.get("sticky") or {}).get("header", ""),
        cors=properties.get("cors") or {},
        is_private=properties.get("publicNetworkAccess") == "Disabled",
    )


def _digests(hub: Hub, ref: EndpointRef) -> tuple[str, ...]:
    document = hub.documents.get(ref.secrets_key)
    try:
        return secrets.keys_of(hub, document).digests if document is not None else ()
    except SealedElsewhere as error:  # nobody may call then; the other endpoints are served on
        log.error("%s answers nobody: %s", ref, error.message)
        return ()


def _deployment(hub: Hub, document: Document) -> DeploymentRoute:
    body = document.body
    properties = body["properties"]
    instances = int(body["sku"]["capacity"])
    if properties["scaleSettings"]["scaleType"] != "Default":
        instances = max(instances, int(properties["scaleSettings"]["maxInstances"]))
    return DeploymentRoute(
        name=body["name"],
        timeout_s=bodies.timeout_s(properties),
        concurrency=int(properties["requestSettings"]["maxConcurrentRequestsPerInstance"]),
        instances=instances,
        replicas=records.routable(records.all_of(hub, document.key)),
        key=document.key,
        scoring_path=templating.scoring_path(properties),
    )
