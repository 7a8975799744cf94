"""Gateways in processes of their own: they follow the server through its death, and serve on without it."""

import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from entrepot.core.errors import InvalidRequest, StateConflict
from entrepot.domain.endpoints.tallies import Tally
from entrepot.server.gateway.sources import Api, read_url
from entrepot.server.gateway.standalone import Leader
from entrepot.wire.endpoints import gateways as wire
from entrepot.wire.endpoints.gateways import Report
from tests.journey.console import CommandLine

Json = Any
LIMIT_S = 120.0
SCORE = "def init(): pass\ndef run(data): return data\n"
DEPLOYMENT = """
name: blue
code_configuration: {code: ./code, scoring_script: score.py}
environment: azureml:plain:1
instance_type: Standard_DS2_v2
instance_count: 1
request_settings: {request_timeout_ms: 60000}
"""


@dataclass
class Place:
    """A server with the endpoints `keys` and `tokens`, and how many requests blue of the first has answered."""

    az: CommandLine
    paths: dict[str, str]
    answered: int = 0
    secrets: dict[str, str] = field(default_factory=dict)

    def ask(self, url: str, *, endpoint: str = "keys", secret: str = "") -> int:
        """Return the status of a scoring request that is sent to a gateway; 0 when nobody listens."""
        place = urlsplit(url)
        assert place.hostname
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=LIMIT_S)
        try:
            authorization = {"Authorization": f"Bearer {secret or self.secrets[endpoint]}"}
            connection.request("POST", self.paths[endpoint], "x", authorization)
            answer = connection.getresponse()
            answer.read()
        except OSError:
            return 0
        finally:
            connection.close()
        self.answered += endpoint == "keys" and answer.status == 200
        return answer.status

    def kill(self, *words: str) -> None:
        """Kill a server or gateway as a power cut would, and return when it is gone."""
        pid = int(self.az(*words, "status")["pid"])
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.az.run(*words, "status").code != 0, what=f"the end of {pid}")

    def counted(self) -> float:
        """Return how many answers of blue the server's metrics tell of."""
        token = (self.az.home / "run" / "token").read_text().strip()
        place = urlsplit(self.az("status")["url"])
        assert place.hostname
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=LIMIT_S)
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}"})
        text = connection.getresponse().read().decode()
        connection.close()
        lines = [line for line in text.splitlines() if line.startswith("entrepot_deployment_requests_total{")]
        return sum(float(line.rpartition(" ")[2]) for line in lines if 'endpoint="keys"' in line)

    def written(self) -> float:
        """Return how many answers of blue the minutes of its endpoint tell of."""
        url = f"{self.az('ml', 'online-endpoint', 'show', '-n', 'keys')['id']}/providers/Microsoft.Insights/metrics"
        query = "metricnames=RequestsPerMinute&interval=FULL&aggregation=total&api-version=2023-10-01"
        told = self.az("rest", "--method", "get", "--url", f"{url}?{query}")
        return sum(point.get("total") or 0 for one in told["value"][0]["timeseries"] for point in one["data"])


def until(condition: Callable[[], object], *, what: str) -> None:
    """Return when the condition holds."""
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    top = tmp_path_factory.mktemp("following")
    (top / "files" / "code").mkdir(parents=True)
    (top / "files" / "code" / "score.py").write_text(SCORE)
    (top / "files" / "blue.yml").write_text(DEPLOYMENT)
    (top / "files" / "plain.yml").write_text("name: plain\nversion: '1'\nimage: docker.io/python\n")
    az = CommandLine(top / "home", folder=top / "files")
    az.text("up", "--detach")
    try:
        az("group", "create", "-n", "rg", "-l", "eastus")
        az("configure", "--defaults", "group=rg", "workspace=dev", "location=eastus")
        az("ml", "workspace", "create", "-n", "dev")
        az("ml", "environment", "create", "-f", "plain.yml")
        made = Place(az, {})
        for name, mode, field_ in (("keys", "key", "primaryKey"), ("tokens", "aml_token", "accessToken")):
            uri = az("ml", "online-endpoint", "create", "-n", name, "--auth-mode", mode)["scoring_uri"]
            made.paths[name] = urlsplit(uri).path
            az("ml", "online-deployment", "create", "-f", "blue.yml", "-e", name, "--all-traffic")
            made.secrets[name] = az("ml", "online-endpoint", "get-credentials", "-n", name)[field_]
        yield made
    finally:
        for name in ("default", "tls"):
            az.run("gateway", "down", "--name", name)
        az.run("up", "--detach")  # one that was killed: its gateway and replicas end with the next
        az.run("down")


def test_a_gateway_follows_its_server_through_its_death_and_its_own(place: Place) -> None:
    az = place.az
    url = az.text("gateway", "up", "--detach").removeprefix("ready ")
    assert az("gateway", "status")["url"] == url
    until(lambda: place.ask(url) == 200, what="the first answer")
    own = az("ml", "online-endpoint", "show", "-n", "keys")["scoring_uri"]
    for _ in range(3):
        assert place.ask(own) == 200
    until(lambda: place.counted() == place.answered, what="the counts of both gateways")
    place.kill()
    assert [place.ask(url) for _ in range(5)] == [200] * 5
    assert place.ask(url, secret="wrong") == 401
    place.kill("gateway")
    assert place.ask(url) == 200
    assert az.text("gateway", "up", "--detach") == f"ready {url}"
    assert place.ask(url) == 200
    az.text("up", "--detach")
    az("ml", "online-endpoint", "regenerate-keys", "-n", "keys", "--key-type", "secondary")
    before = place.secrets["keys"]
    az("ml", "online-endpoint", "regenerate-keys", "-n", "keys", "--key-type", "primary")
    until(lambda: place.ask(url, secret=before) == 401, what="the change of the key")
    place.secrets["keys"] = az("ml", "online-endpoint", "get-credentials", "-n", "keys")["primaryKey"]
    assert place.ask(url) == 200
    until(lambda: place.counted() == place.answered, what="the counts of both gateways after all that")
    assert place.written() == place.answered
    assert "runs already" in az.refusal("gateway", "up", "--detach")
    assert place.ask(url) == 200
    az.text("gateway", "down")
    assert place.ask(url) == 0
    assert place.ask(own) == 200
    az.text("down")
    az.text("up", "--detach")
    assert place.written() == place.answered, "what was answered just before the end counts too"
    own = az("ml", "online-endpoint", "show", "-n", "keys")["scoring_uri"]
    until(lambda: place.ask(own) == 200, what="the replica's return")
    until(lambda: place.written() == place.answered, what="the minutes after that")
    assert place.ask(own) == 200


def test_a_gateway_that_starts_while_the_server_is_down_serves_what_it_knew(place: Place) -> None:
    az = place.az
    url = az.text("gateway", "up", "--detach").removeprefix("ready ")
    until(lambda: place.ask(url) == 200, what="the first answer")
    az.text("gateway", "down")
    place.kill()
    assert az.text("gateway", "up", "--detach") == f"ready {url}"
    assert place.ask(url) == 200
    az.text("up", "--detach")
    az.text("gateway", "down")


def test_a_gateway_follows_over_tls_with_the_key_and_the_authority_of_the_server(place: Place, tmp_path: Path) -> None:
    az = place.az
    https = az("status")["https_url"]
    key, authority = az.home / "keys" / "gateway.key", az.home / "tls" / "ca.pem"
    words = ("gateway", "up", "-n", "tls", "--detach", "--server", https)
    url = az.text(*words, "--key-file", key, "--authority", authority).removeprefix("ready ")
    until(lambda: place.ask(url, endpoint="tokens") == 200, what="an answer to a token, which the server checks")
    assert place.ask(url, endpoint="tokens", secret="e30.e30.e30") == 401
    az.text("gateway", "down", "-n", "tls")
    (tmp_path / "wrong.key").write_text("wrong")
    refused = az.run(*("gateway", "up", "-n", "other", "--server", https), "--key-file", tmp_path / "wrong.key",
                     "--authority", authority)  # fmt: skip
    assert refused.code == 1
    assert "refuses the key" in refused.err


def test_leaders_that_cannot_be_followed_are_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(StateConflict, match="No server has run"):
        Leader(tmp_path).finder()
    with pytest.raises(InvalidRequest, match="plain HTTP to another machine"):
        Leader(tmp_path, "http://10.0.0.1:7420").finder()
    with pytest.raises(InvalidRequest, match=r"no file .*ca\.pem"):
        Leader(tmp_path, "https://10.0.0.1:7443", authority=tmp_path / "ca.pem").finder()
    with pytest.raises(InvalidRequest, match="cannot be read"):
        Leader(tmp_path).secret()
    for url in ("ftp://x:1", "x:1", "http://", "http://x:y", "http://x/path"):
        with pytest.raises(InvalidRequest, match="no address"):
            read_url(url)
    assert read_url("http://[::1]:7420/") == Api("::1", 7420)
    assert read_url("https://score.contoso.com") == Api("score.contoso.com", 443)


def test_a_report_comes_back_as_it_was_sent() -> None:
    report = Report("7-7", 3, {"taxi_blue": Tally({200: 3}, 1, 2, ((1.0, 2), (float("inf"), 3)), 4.5)})
    assert wire.read_report(json.loads(wire.report(report))) == report
    for body in ({}, {"name": "x", "epoch": "y", "tallies": {}}, {"name": "x", "epoch": 1, "tallies": {"c": []}}):
        with pytest.raises(InvalidRequest):
            wire.read_report(body)
