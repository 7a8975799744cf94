"""The gateway as callers meet it: a real Envoy that follows a hub, before stand-ins for replicas."""

import http.client
import json
import os
import signal
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from entrepot.core.errors import InvalidRequest
from entrepot.core.ids import RegistryScope, WorkspaceScope
from entrepot.domain import registries, workspaces
from entrepot.domain.endpoints import endpoints
from entrepot.domain.endpoints.places import DeploymentRef, EndpointRef
from entrepot.server.gateway import process, rendering
from entrepot.server.gateway.gateway import Gateway, open_gateway
from entrepot.server.tls import TlsFiles, ensure_certificate
from entrepot.testing.hub import OWNER, close_hub, make_hub
from entrepot.testing.live import wait_until
from tests.endpoints.house import SECRET, House, UpstreamServer, upstream

Json = Any
LIMIT_S = 60


@dataclass
class Site:
    """A house with a gateway, and endpoint `taxi` whose deployments blue and green have a stand-in each."""

    house: House
    gateway: Gateway
    tls: TlsFiles
    blue: UpstreamServer
    green: UpstreamServer

    def path(self, ref: EndpointRef, what: str = "score") -> str:
        slug = endpoints.get(self.house.hub, OWNER, ref).body["entrepot"]["slug"]
        return f"/{slug}/{what}"

    def key(self, ref: EndpointRef) -> str:
        return endpoints.list_keys(self.house.hub, OWNER, ref).primary

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.gateway.ports[0], timeout=LIMIT_S)

    def ask(
        self,
        ref: EndpointRef,
        body: Json = None,
        *,
        key: str | None = "",
        headers: Mapping[str, str] | None = None,
        what: str = "score",
        method: str = "POST",
        connection: http.client.HTTPConnection | None = None,
    ) -> "Answer":
        """Send a request. `key` '' is the endpoint's own, None none."""
        sent = dict(headers or {})
        if key is not None:
            sent["Authorization"] = f"Bearer {key or self.key(ref)}"
        kept = connection or self.connection()
        try:
            kept.request(method, self.path(ref, what), body=json.dumps(body or {}), headers=sent)
            answer = kept.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            if connection is None:
                kept.close()

    def until(self, ref: EndpointRef, status: int, **more: Any) -> "Answer":
        """Ask until this is the answer: the gateway follows within milliseconds, on a loaded machine later."""
        end = time.monotonic() + LIMIT_S
        while (answer := self.ask(ref, **more)).status != status:
            assert time.monotonic() < end, answer
            time.sleep(0.01)
        return answer

    def divided(self, ref: EndpointRef, **shares: int) -> None:
        """Divide the traffic and return when the gateway does."""
        self.house.traffic(ref, **shares)
        self.followed()

    def followed(self) -> None:
        """Return when what the store says is what the gateway does: a new endpoint answers."""
        assert self.gateway.follow(LIMIT_S)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        return json.loads(self.body)

    @property
    def deployment(self) -> str | None:
        return self.headers.get("azureml-model-deployment")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("gateway")
    hub = make_hub(folder, reserve_bytes=0, port=0, https_port=0)
    body = {"location": "eastus", "properties": {"regionDetails": [{"location": "eastus"}]}}
    registries.create(hub, OWNER, "s1", "rg", "contoso", body)
    dev = WorkspaceScope("s1", "rg", "dev")
    workspaces.create(hub, OWNER, dev, {"location": "eastus"})
    tls = ensure_certificate(folder / "tls", hosts=("127.0.0.1", "localhost"), now=time.time())
    gateway = open_gateway(hub, folder / "gateway", server="http://127.0.0.1:9", tls=tls)
    gateway.start()
    with upstream("blue") as blue, upstream("green") as green:
        made = Site(House(hub, dev, RegistryScope("contoso")), gateway, tls, blue, green)
        yield made
        made.gateway.stop()
    close_hub(hub)


@pytest.fixture
def taxi(site: Site, request: pytest.FixtureRequest) -> EndpointRef:
    """An endpoint of the test's own, blue at 100 %."""
    ref = site.house.endpoint(f"taxi{abs(hash(request.node.name)) % 10**9}")
    for name, server in (("blue", site.blue), ("green", site.green)):
        settings = {"requestTimeout": "PT30S", "maxConcurrentRequestsPerInstance": 64}
        site.house.serve(site.house.deploy(ref, name, requestSettings=settings), server.address)
    site.divided(ref, blue=100, green=0)
    return ref


def test_nothing_runs_before_the_first_endpoint(tmp_path: Path) -> None:
    hub = make_hub(tmp_path, port=0, https_port=0)
    tls = ensure_certificate(tmp_path / "tls", hosts=("127.0.0.1",), now=time.time())
    gateway = open_gateway(hub, tmp_path / "gateway", server="http://127.0.0.1:9", tls=tls)
    gateway.start()
    time.sleep(0.5)
    assert not gateway.is_running
    assert not (tmp_path / "gateway" / "gateway.json").exists()
    gateway.stop()
    close_hub(hub)


def test_a_request_with_a_key_reaches_a_replica_with_its_secret_and_without_the_key(
    site: Site, taxi: EndpointRef
) -> None:
    answer = site.until(taxi, 200, body={"a": 1})
    assert answer.deployment == "blue"
    assert answer.json["path"] == "/score"
    headers = answer.json["headers"]
    assert headers["x-entrepot-replica"] == SECRET
    assert "authorization" not in headers
    assert "x-entrepot-pick" not in headers
    forged = {"x-entrepot-replica": "mine", "x-entrepot-pick": "green"}
    answer = site.ask(taxi, headers=forged)
    assert answer.json["headers"]["x-entrepot-replica"] == SECRET
    assert answer.json["name"] == "blue"


def test_an_endpoint_answers_from_the_moment_it_was_followed(site: Site) -> None:
    for number in range(12):  # no second try: Envoy reads its files in no order, and one too early was the rule
        ref = site.house.endpoint(f"prompt{number}")
        site.house.serve(site.house.deploy(ref, "blue"), site.blue.address)
        site.divided(ref, blue=100)
        assert (site.ask(ref, key=None).status, site.ask(ref).status) == (401, 200)


@pytest.mark.parametrize("what", ["swagger.json", "", "score?verbose=1"])
def test_the_other_addresses_of_an_endpoint_are_behind_its_keys_too(site: Site, taxi: EndpointRef, what: str) -> None:
    assert site.ask(taxi, what=what, method="GET", key=None).status == 401
    answer = site.until(taxi, 200, what=what, method="GET")
    assert answer.json["path"] == "/" + what
    nothing = site.ask(taxi, what="metrics", method="GET")
    assert nothing.status == 404
    assert nothing.json["error"]["code"] == "NotFound"


def test_keys_are_taken_with_and_without_bearer_and_a_replaced_one_is_refused(site: Site, taxi: EndpointRef) -> None:
    hub = site.house.hub
    keys = endpoints.list_keys(hub, OWNER, taxi)
    site.until(taxi, 200)
    for value in (f"Bearer {keys.primary}", f"bearer {keys.secondary}", keys.primary):
        assert site.ask(taxi, key=None, headers={"Authorization": value}).status == 200
    for value in ("Bearer nonsense", "Bearer ", keys.primary[:-1], keys.primary + "x", f"Basic {keys.primary}"):
        refused = site.ask(taxi, key=None, headers={"Authorization": value})
        assert refused.status == 401
        assert refused.json["error"]["code"] == "AuthenticationFailed"
    missing = site.ask(taxi, key=None)
    assert missing.status == 401
    assert missing.headers["www-authenticate"].startswith("Bearer")
    endpoints.regenerate_keys(hub, OWNER, taxi, "primary", None)
    site.until(taxi, 401, key=keys.primary)
    assert site.ask(taxi, key=keys.secondary).status == 200
    other = site.house.endpoint("another")
    assert site.ask(taxi, key=site.key(other)).status == 401


def test_traffic_is_divided_exactly(site: Site, taxi: EndpointRef) -> None:
    site.divided(taxi, blue=90, green=10)
    connection = site.connection()
    key = site.key(taxi)
    path = site.path(taxi)
    seen: Counter[str | None] = Counter()
    for _ in range(1000):
        connection.request("POST", path, body=b"{}", headers={"Authorization": key})
        answer = connection.getresponse()
        answer.read()
        seen[answer.getheader("azureml-model-deployment")] += 1
    connection.close()
    assert abs(seen["green"] - 100) <= 2
    assert seen["blue"] + seen["green"] == 1000


def test_a_header_names_the_deployment_also_one_without_traffic(site: Site, taxi: EndpointRef) -> None:
    answer = site.until(taxi, 200, headers={"azureml-model-deployment": "green"})
    assert (answer.json["name"], answer.deployment) == ("green", "green")
    unknown = site.ask(taxi, headers={"azureml-model-deployment": "red"})
    assert unknown.status == 404
    assert "no deployment of the name" in unknown.json["error"]["message"]


def test_no_deployment_with_traffic_is_404(site: Site, taxi: EndpointRef) -> None:
    site.divided(taxi, blue=0, green=0)
    answer = site.until(taxi, 404)
    assert answer.json["error"]["message"] == "No deployment of this endpoint has traffic"


def test_a_sticky_header_keeps_its_deployment_and_a_larger_share_only_adds(site: Site, taxi: EndpointRef) -> None:
    hub = site.house.hub
    endpoints.patch(hub, OWNER, taxi, {"properties": {"sticky": {"header": "x-user"}}})
    site.divided(taxi, blue=80, green=20)
    users = [f"user{number}" for number in range(60)]

    def where() -> dict[str, str | None]:
        answers = {user: site.ask(taxi, headers={"x-user": user}) for user in users}
        assert {answer.status for answer in answers.values()} == {200}, answers
        return {user: answer.deployment for user, answer in answers.items()}

    first = where()
    assert where() == first
    canaries = {user for user, name in first.items() if name == "green"}
    assert 0 < len(canaries) < 40
    site.divided(taxi, blue=50, green=50)
    assert canaries <= {user for user, name in where().items() if name == "green"}


def test_a_mirror_gets_copies_and_answers_nobody(site: Site, taxi: EndpointRef) -> None:
    endpoints.patch(site.house.hub, OWNER, taxi, {"properties": {"mirrorTraffic": {"green": 50}}})
    site.followed()
    before = site.green.requests
    answers = {site.ask(taxi, connection=None).deployment for _ in range(100)}
    assert answers == {"blue"}
    wait_until(lambda: site.green.requests - before > 20, timeout_s=LIMIT_S, what="copies")
    assert site.green.requests - before < 80
    copied = site.green.requests
    for _ in range(20):
        site.ask(taxi, headers={"azureml-model-deployment": "blue"})
    time.sleep(0.2)
    assert site.green.requests == copied, "calls that name a deployment are never mirrored"


def test_statuses_are_azures(site: Site, taxi: EndpointRef) -> None:
    site.until(taxi, 200)
    assert site.ask(taxi, {"status": 424}).headers["ms-azureml-model-error-statuscode"] == "424"
    slow = site.house.deploy(taxi, "slow", requestSettings={"requestTimeout": "PT0.2S"})
    site.house.serve(slow, site.blue.address)
    site.followed()
    named = {"azureml-model-deployment": "slow"}
    answer = site.until(taxi, 408, body={"waits": True}, headers=named)
    assert (answer.status, answer.json["error"]["code"]) == (408, "RequestTimeout")
    assert "request_timeout_ms" in answer.json["error"]["message"]
    nobody = site.house.deploy(taxi, "nobody")
    site.house.replica(nobody, "r1", "Starting")
    site.followed()
    answer = site.until(taxi, 503, headers={"azureml-model-deployment": "nobody"})
    assert (answer.status, answer.json["error"]["code"]) == (503, "NoReplica")
    lost = http.client.HTTPConnection("127.0.0.1", site.gateway.ports[0], timeout=LIMIT_S)
    lost.request("POST", "/nowhere-12345678/score", body=b"{}")
    assert lost.getresponse().status == 404
    lost.close()


def test_more_requests_than_may_wait_are_429(site: Site, taxi: EndpointRef) -> None:
    small = site.house.deploy(
        taxi, "small", requestSettings={"requestTimeout": "PT30S", "maxConcurrentRequestsPerInstance": 1}
    )
    site.house.serve(small, site.blue.address)
    site.followed()
    statuses: list[int] = []

    def ask() -> None:
        answer = site.ask(taxi, {"waits": True}, headers={"azureml-model-deployment": "small"})
        statuses.append(answer.status)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(statuses) >= 5, timeout_s=LIMIT_S, what="refusals")
    site.blue.gate.set()
    for thread in threads:
        thread.join()
    site.blue.gate.clear()
    counted = Counter(statuses)
    assert set(counted) == {200, 429}
    assert counted[200] in (2, 3)


def test_browsers_of_named_origins_may_call_and_others_may_not(site: Site, taxi: EndpointRef) -> None:
    endpoints.patch(
        site.house.hub, OWNER, taxi, {"properties": {"cors": {"allowOrigins": ["https://app.example.com"]}}}
    )
    site.followed()
    asked = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    preflight = site.ask(taxi, headers=asked, method="OPTIONS", key=None)
    assert preflight.status == 200
    assert preflight.headers["access-control-allow-origin"] == "https://app.example.com"
    answer = site.ask(taxi, headers={"Origin": "https://app.example.com"})
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
    stranger = site.ask(taxi, headers={**asked, "Origin": "https://evil.example.com"}, method="OPTIONS", key=None)
    assert "access-control-allow-origin" not in stranger.headers


def test_without_public_access_only_private_networks_are_answered(
    site: Site, taxi: EndpointRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, closed = site.house.hub, {"properties": {"publicNetworkAccess": "disabled"}}
    assert endpoints.patch(hub, OWNER, taxi, closed).body["properties"]["publicNetworkAccess"] == "Disabled"
    site.followed()
    assert site.ask(taxi).status == 200
    monkeypatch.setattr(rendering, "PRIVATE", ("^10%.",))  # so that loopback passes for the world outside
    endpoints.patch(hub, OWNER, taxi, {"tags": {"a": "b"}})
    site.followed()
    refused = site.ask(taxi)
    assert (refused.status, refused.json["error"]["code"]) == (403, "PublicNetworkAccessDisabled")
    assert site.ask(taxi, headers={"x-forwarded-for": "10.0.0.1"}).status == 403
    endpoints.patch(hub, OWNER, taxi, {"properties": {"publicNetworkAccess": "Enabled"}})
    site.followed()
    assert site.ask(taxi).status == 200
    with pytest.raises(InvalidRequest, match="Enabled or Disabled"):
        endpoints.patch(hub, OWNER, taxi, {"properties": {"publicNetworkAccess": "off"}})


def test_large_bodies_pass_and_larger_ones_are_refused(site: Site, taxi: EndpointRef) -> None:
    site.until(taxi, 200)
    size = 100 * 1024 * 1024
    connection = site.connection()
    headers = {"Authorization": site.key(taxi), "Content-Type": "application/octet-stream"}
    connection.request("POST", site.path(taxi), body=b"x" * size, headers=headers)
    answer = connection.getresponse()
    assert json.loads(answer.read())["size"] == size
    connection.close()
    connection = site.connection()
    connection.putrequest("POST", site.path(taxi))
    for name, value in {**headers, "Content-Length": str(size + 1)}.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_the_tls_port_shows_the_homes_certificate(site: Site, taxi: EndpointRef) -> None:
    site.until(taxi, 200)
    context = ssl.create_default_context(cafile=str(site.tls.authority))
    connection = http.client.HTTPSConnection("127.0.0.1", site.gateway.ports[1], timeout=LIMIT_S, context=context)
    connection.request("POST", site.path(taxi), body=b"{}", headers={"Authorization": site.key(taxi)})
    assert connection.getresponse().status == 200
    connection.close()


def test_no_request_is_lost_while_traffic_and_replicas_change(site: Site, taxi: EndpointRef) -> None:
    site.until(taxi, 200)
    key, path = site.key(taxi), site.path(taxi)
    stop = threading.Event()
    seen: Counter[int | str] = Counter()
    guard = threading.Lock()

    def load() -> None:
        connection = site.connection()
        while not stop.is_set():
            connection.request("POST", path, body=b"{}", headers={"Authorization": key})
            answer = connection.getresponse()
            answer.read()
            with guard:
                seen[answer.status] += 1
        connection.close()

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    green = DeploymentRef(taxi, "green")
    for turn in range(10):
        site.house.traffic(taxi, blue=100 - 10 * turn, green=10 * turn)
        site.house.serve(green, site.green.address, id=f"n{turn}")
        time.sleep(0.05)
        site.house.ended(green, f"n{turn - 1}" if turn else "r1")
        time.sleep(0.05)
    stop.set()
    for thread in threads:
        thread.join()
    assert set(seen) == {200}
    assert seen[200] > 50


def test_several_gateways_follow_one_server(site: Site, taxi: EndpointRef, tmp_path: Path) -> None:
    first_key = site.key(taxi)
    gateway = open_gateway(site.house.hub, tmp_path / "second", server="http://127.0.0.1:9", tls=site.tls)
    gateway.start()
    sites = (site, replace(site, gateway=gateway))
    try:
        for turn, name in enumerate(("green", "blue", "green")):
            site.house.traffic(taxi, **{"blue": 0, "green": 0, name: 100})
            for one in sites:
                one.followed()
                assert one.ask(taxi).deployment == name, turn
        endpoints.regenerate_keys(site.house.hub, OWNER, taxi, "primary", None)
        for one in sites:
            one.followed()
            assert [one.ask(taxi, key=key).status for key in (first_key, site.key(taxi))] == [401, 200]
        assert len({one.gateway.ports for one in sites}) == len({pid_of(one) for one in sites}) == 2
    finally:
        gateway.stop()
    assert site.ask(taxi).status == 200, "the end of one is nothing to the other"


def pid_of(site: Site) -> int:
    running = process.remembered(site.gateway.folder)
    assert running is not None and running.is_alive
    return running.pid


def test_envoy_is_started_again_when_it_dies(site: Site, taxi: EndpointRef) -> None:
    site.until(taxi, 200)
    running = process.remembered(site.gateway.folder)
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)

    def is_back() -> bool:
        try:
            return site.ask(taxi).status == 200
        except OSError:
            return False

    wait_until(is_back, timeout_s=LIMIT_S, what="a new gateway")
    again = process.remembered(site.gateway.folder)
    assert again is not None and again.pid != running.pid


def test_a_second_gateway_takes_over_an_envoy_that_outlived_its_server(site: Site, taxi: EndpointRef) -> None:
    hub, folder = site.house.hub, site.gateway.folder
    site.until(taxi, 200)
    before = process.remembered(folder)
    site.gateway._stopping.set()  # as if killed: nothing is said to Envoy
    assert site.gateway._thread is not None
    site.gateway._thread.join()
    for held in site.gateway._held:
        held.close()
    assert site.ask(taxi).status == 200, "scoring goes on without a server"
    site.gateway = open_gateway(hub, folder, server="http://127.0.0.1:9", tls=site.tls)
    site.gateway.start()
    site.divided(taxi, blue=0, green=100)
    assert site.until(taxi, 200).deployment == "green"
    assert process.remembered(folder) == before
