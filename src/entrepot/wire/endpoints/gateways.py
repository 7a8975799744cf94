"""What the server and the gateways that follow it from elsewhere tell each other. Pure.

A gateway tells who it is, how far it has followed and what it counted; it is told all endpoints, with what opens the
replicas and the digests of the keys.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from entrepot.core.errors import InvalidRequest
from entrepot.domain.endpoints import tallies
from entrepot.domain.endpoints.routing import DeploymentRoute, EndpointRoute
from entrepot.domain.endpoints.tallies import Tally

Json = Any


@dataclass(frozen=True, slots=True)
class Report:
    """What a gateway tells. `name`: of the Envoy that counted, '' while none runs; `tallies` by cluster."""

    name: str
    epoch: int
    tallies: Mapping[str, Tally]


@dataclass(frozen=True, slots=True)
class State:
    """What it is told."""

    epoch: int
    endpoints: tuple[EndpointRoute, ...]


def report(told: Report) -> bytes:
    """Return a report as it is sent."""
    counted = {cluster: tally.stored() | {"inFlight": tally.in_flight} for cluster, tally in told.tallies.items()}
    return msgspec.json.encode({"name": told.name, "epoch": told.epoch, "tallies": counted})


def read_report(body: Mapping[str, Json]) -> Report:
    """Read a report. Raises InvalidRequest."""
    try:
        counted = {
            str(cluster): replace(tallies.read(stored), in_flight=int(stored["inFlight"]))
            for cluster, stored in body["tallies"].items()
        }
        return Report(str(body["name"]), int(body["epoch"]), counted)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InvalidRequest("A gateway tells its name, its epoch and its tallies") from error


def state(epoch: int, endpoints: Iterable[EndpointRoute]) -> bytes:
    """Return the endpoints as they are sent: of replicas only what a gateway needs."""
    return msgspec.json.encode({"epoch": epoch, "endpoints": [_slim(endpoint) for endpoint in endpoints]})


def read_state(data: bytes) -> State:
    """Read them. Raises ValueError."""
    return msgspec.json.decode(data, type=State)


def _slim(endpoint: EndpointRoute) -> EndpointRoute:
    return replace(endpoint, deployments=tuple(map(_slim_deployment, endpoint.deployments)))


def _slim_deployment(deployment: DeploymentRoute) -> DeploymentRoute:
    return replace(
        deployment, replicas=tuple(replace(replica, recipe={}, error=None) for replica in deployment.replicas)
    )
