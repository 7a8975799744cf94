"""Rendering: pure, the same for the same state, and closed: no way to a replica but by what the script decides."""

import json
from typing import Any

from entrepot.domain.endpoints.replicas.records import Replica
from entrepot.domain.endpoints.routing import DeploymentRoute, EndpointRoute
from entrepot.server.gateway.files import LINGER_S, WatchedFolder
from entrepot.server.gateway.rendering import CLUSTERS, EPOCH, PICK, ROUTES, Files, render
from entrepot.server.gateway.sources import Api

Json = Any


def deployment(name: str, *replicas: Replica, timeout_s: float = 5, concurrency: int = 2) -> DeploymentRoute:
    return DeploymentRoute(name, timeout_s, concurrency, 3, replicas)


def endpoint(slug: str, *deployments: DeploymentRoute, **more: Any) -> EndpointRoute:
    shares: dict[str, int] = {}
    known: dict[str, Any] = {"traffic": shares, "mirror": shares, "auth_mode": "Key", "key_digests": ("d1", "d2")}
    return EndpointRoute(key=f"k/{slug}", slug=slug, deployments=deployments, **{**known, **more})


def rendered(*endpoints: EndpointRoute) -> Files:
    return render(endpoints, api=Api("127.0.0.1", 7420))


def host_of(files: Files, number: int = 0) -> Json:
    return json.loads(files.routes)["resources"][number]["route_configuration"]["virtual_hosts"][0]


READY = Replica("r1", "1", "Ready", "secret", 0.0, address="127.0.0.1:9001")


def test_the_same_state_gives_the_same_bytes() -> None:
    state = endpoint("a-1", deployment("blue", READY), traffic={"blue": 100})
    assert rendered(state) == rendered(state)


def test_no_route_leads_to_a_deployment_without_the_scripts_header() -> None:
    state = endpoint(
        "a-1", deployment("blue"), deployment("green"), traffic={"blue": 100}, mirror={"green": 10},
        cors={"allowOrigins": ["*"]},
    )  # fmt: skip
    leading = [
        route for route in host_of(rendered(state))["routes"] if "_" in route.get("route", {}).get("cluster", "")
    ]
    assert len(leading) == 2 * 4
    for route in leading:
        assert any(h["name"] == PICK and "string_match" in h for h in route["match"]["headers"])


def test_a_replica_that_comes_changes_only_its_own_cluster_and_no_route() -> None:
    before = rendered(endpoint("a-1", deployment("blue")), endpoint("b-1", deployment("blue")))
    after = rendered(endpoint("a-1", deployment("blue", READY)), endpoint("b-1", deployment("blue")))
    assert before.routes == after.routes
    changed = {name for name in after.clusters if before.clusters[name] != after.clusters[name]}
    assert changed == {"a-1_blue"}


def test_what_envoy_watches_does_not_grow_with_the_deployments() -> None:
    many = [endpoint(f"a-{number}", deployment("blue", READY), deployment("green")) for number in range(200)]
    files = rendered(*many)
    assert b"path_config_source" not in files.routes
    assert "path_config_source" not in json.dumps(files.clusters)


def test_a_sleeping_replica_is_waited_for() -> None:
    asleep = Replica("r1", "1", "Asleep", "secret", 0.0, address="127.0.0.1:9001")
    for replica, timeout in ((READY, "5.000s"), (asleep, "185.000s")):
        routes = host_of(rendered(endpoint("a-1", deployment("blue", replica))))["routes"]
        assert routes[0]["route"]["timeout"] == timeout


def test_what_routes_may_still_need_goes_later(tmp_path: Any) -> None:
    now = [0.0]
    folder = WatchedFolder(tmp_path / "config", clock=lambda: now[0])
    both = rendered(endpoint("a-1", deployment("blue", READY), deployment("green")))
    assert folder.write_clusters(both) and folder.write_routes(both)
    assert not folder.write_clusters(both) and not folder.write_routes(both)
    folder.mark("1")

    def clusters() -> set[str]:
        return {item["name"] for item in json.loads((tmp_path / "config" / CLUSTERS).read_text())["resources"]}

    alone = rendered(endpoint("a-1", deployment("blue", READY)))
    assert not folder.write_clusters(alone) and folder.write_routes(alone)
    assert clusters() == {"entrepot", "a-1_blue", "a-1_green"}
    assert "a-1_green" not in (tmp_path / "config" / ROUTES).read_text()
    assert not folder.is_settled
    now[0] = LINGER_S
    assert folder.write_clusters(alone) and not folder.write_routes(alone)
    assert clusters() == {"entrepot", "a-1_blue"}
    assert sorted(file.name for file in (tmp_path / "config").iterdir()) == [CLUSTERS, EPOCH, ROUTES]
