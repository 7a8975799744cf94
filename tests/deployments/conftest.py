"""A hub whose deployments are carried out through the server's own routes, tick by tick, on the test's thread."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import pytest

from entrepot.domain import groups
from entrepot.domain.deployments import deployments, running
from entrepot.domain.deployments.records import FINAL, Target
from entrepot.domain.hub import Hub, Principal
from entrepot.server.compose import ROUTES
from entrepot.server.inner.requests import Requests
from entrepot.server.routing import Router
from entrepot.server.site import Addresses, Site
from entrepot.testing.hub import OWNER, close_hub, make_hub

Json = Any

PROVIDER = "Microsoft.MachineLearningServices"
LIMIT_S = 60


def site_of(hub: Hub) -> Site:
    """As much of a site as requests without a socket and without a sign-in touch."""
    addresses = Addresses(*(f"https://127.0.0.1:{port}" for port in range(1, 1 + len(fields(Addresses)))))
    return cast(Site, SimpleNamespace(hub=hub, addresses=addresses, router=Router(ROUTES), stopping=Event()))


@dataclass(frozen=True, slots=True)
class Place:
    """Where templates are deployed, and by what."""

    hub: Hub
    maker: Requests

    def deploy(
        self, template: Json, *, by: Principal = OWNER, name: str = "made", group: str = "rg1", location: str = "",
        **parameters: Json,
    ) -> Json:  # fmt: skip
        """Deploy a template and return the properties of the deployment that has ended."""
        target = Target("s1", group, name)
        deployments.create(self.hub, by, target, body(template, location=location, **parameters), self.maker)
        self.run()
        return deployments.get(self.hub, OWNER, target).body["properties"]

    def run(self) -> None:
        """Work off the queue until it is empty."""
        runner = running.Runner(self.maker)
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            now = self.hub.clock.now()
            for work in self.hub.documents.lease([running.QUEUE], owner="test/", now=now, seconds=60):
                runner(self.hub, work)
            if not self._is_busy():
                return
            time.sleep(0.01)
        raise AssertionError("the deployment did not end")

    def _is_busy(self) -> bool:
        found = self.hub.documents.scan("subscriptions/s1/", limit=1000).documents
        states = [one.body["properties"]["provisioningState"] for one in found if _is_deployment(one.key)]
        return any(state not in FINAL for state in states)


def _is_deployment(key: str) -> bool:
    return key.split("/")[-2] == "deployments"


def body(template: Json, *, location: str = "", **parameters: Json) -> Json:
    """The body of a deployment."""
    given = {name: {"value": value} for name, value in parameters.items()}
    told = {"properties": {"mode": "Incremental", "template": template, "parameters": given}}
    return {**told, "location": location} if location else told


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub with the group rg1."""
    made = make_hub(tmp_path)
    groups.create(made, OWNER, "s1", "rg1", {"location": "eastus"})
    yield made
    close_hub(made)


@pytest.fixture
def place(hub: Hub) -> Place:
    """The group rg1, and who deploys to it."""
    return Place(hub, Requests(site_of(hub)))
