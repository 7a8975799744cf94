"""Metrics of what is served and of the server: what was asked is what is counted, and not everybody may read it."""

import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from entrepot.testing.live import LiveServer, live, wait_until
from tests.cli.conftest import Run

Json = Any

SCORE = """
import json, time
def init():
    pass
def run(data):
    asked = json.loads(data)
    time.sleep(asked.get("sleeps", 0))
    if asked.get("fails"):
        raise ValueError("as you wish")
    return asked
"""
DEPLOYMENT = """
name: blue
code_configuration: {code: ./score, scoring_script: score.py}
environment: azureml://registries/azureml/environments/python-3.11/versions/1
request_settings: {request_timeout_ms: 700, max_concurrent_requests_per_instance: 4}
"""


def ask(uri: str, key: str, body: Json) -> int:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(uri, data=json.dumps(body).encode(), headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def numbers(text: str, name: str) -> dict[str, float]:
    """Read {labels: value} of one metric."""
    found = re.findall(rf"^{name}(?:\{{(.*?)\}})? (\S+)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def read(server: LiveServer, id: str, query: str) -> Json:
    answer = server.call("GET", f"{id}/providers/microsoft.insights/metrics?api-version=2023-10-01&{query}")
    assert answer.status == 200, answer.body
    return answer.json


def test_what_was_asked_is_counted_by_deployment_and_status(az: Run, served: LiveServer, tmp_path: Path) -> None:
    (tmp_path / "score").mkdir()
    (tmp_path / "score" / "score.py").write_text(SCORE)
    (tmp_path / "deploy.yml").write_text(DEPLOYMENT)
    endpoint = az("ml", "online-endpoint", "create", "--name", "counted").json
    made = az("ml", "online-deployment", "create", "-f", "deploy.yml", "-e", "counted", "--all-traffic")
    assert made.code == 0, made.err
    key = az("ml", "online-endpoint", "get-credentials", "-n", "counted").json["primaryKey"]
    bodies: list[Json] = [{}] * 7 + [{"fails": True}] * 2 + [{"sleeps": 1.5}]
    statuses = [ask(endpoint["scoring_uri"], key, body) for body in bodies]
    assert sorted(statuses) == [200] * 7 + [408] + [424] * 2

    labels = 'deployment="blue",endpoint="counted",workspace="dev"'
    wanted = {f'code="{code}",{labels}': count for code, count in (("200", 7), ("408", 1), ("424", 2))}

    def counted() -> bool:  # a request is counted when Envoy has done with it, a moment after its answer
        text = served.call("GET", "/metrics").body.decode()
        return numbers(text, "entrepot_deployment_requests_total") == wanted

    wait_until(counted, timeout_s=60, what=f"the count {wanted}")
    text = served.call("GET", "/metrics").body.decode()
    assert numbers(text, "entrepot_deployment_errors_total") == {labels: 3}
    assert numbers(text, "entrepot_deployment_replicas_ready") == {labels: 1}
    assert numbers(text, "entrepot_deployment_replicas_wanted") == {labels: 1}
    assert numbers(text, "entrepot_deployment_request_duration_seconds_count")[labels] >= 9
    assert set(numbers(text, "entrepot_deployment_request_duration_quantile_seconds")) == {
        f"{labels.replace(',workspace', f',quantile={chr(34)}{share}{chr(34)},workspace')}"
        for share in (0.5, 0.95, 0.99)
    }
    assert all(value > 1e6 for value in numbers(text, "entrepot_replica_memory_bytes").values())
    assert numbers(text, "entrepot_replica_cpu_seconds_total")
    assert numbers(text, "entrepot_gateway_up") == {"": 1}

    def told() -> list[Json]:
        query = "metricnames=RequestsPerMinute,RequestLatency_P50&aggregation=total,average"
        return [one["timeseries"][0]["data"] for one in read(served, endpoint["id"], query)["value"]]

    assert sum(point["total"] for point in told()[0]) == 10
    wait_until(lambda: any("average" in point for point in told()[1]), timeout_s=60, what="a time, which is told later")
    assert all(0 < point["average"] < 700 for point in told()[1] if "average" in point)
    split = quote("statusCode eq '*'")
    by_code = read(
        served, endpoint["id"], f"metricnames=RequestsPerMinute&interval=FULL&aggregation=total&$filter={split}"
    )
    series = by_code["value"][0]["timeseries"]
    counts = {one["metadatavalues"][0]["value"]: one["data"][0]["total"] for one in series}
    assert counts == {"200": 7, "408": 1, "424": 2}
    capacity = read(served, made.json["id"], "metricnames=DeploymentCapacity&interval=FULL&aggregation=maximum")
    assert capacity["value"][0]["timeseries"][0]["data"][0]["maximum"] == 1
    listed = served.call("GET", f"{endpoint['id']}/providers/microsoft.insights/metricDefinitions").json["value"]
    assert "RequestLatency_P99" in [one["name"]["value"] for one in listed]
    assert az("ml", "online-endpoint", "delete", "-n", "counted", "--yes").code == 0


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("metricnames=Luck", "There is no metric 'Luck' here"),
        ("interval=PT2M", "is not one of PT1M"),
        ("timespan=yesterday", "is not two times"),
        ("timespan=2026-01-02T00:00:00Z/2026-01-01T00:00:00Z", "ends before it begins"),
        ("aggregation=median", "is not one of average"),
        (f"$filter={quote('luck eq 1')}", "is not understood"),
        (f"$filter={quote(chr(108) + 'uck eq ' + chr(39) + '*' + chr(39))}", "there is no dimension 'luck'"),
    ],
)
def test_a_wrong_question_is_told_what_would_be_right(az: Run, served: LiveServer, query: str, words: str) -> None:
    id = az("ml", "online-endpoint", "create", "--name", "asked").json["id"]
    answer = served.call("GET", f"{id}/providers/Microsoft.Insights/metrics?api-version=2023-10-01&{query}")
    assert (answer.status, words in answer.json["error"]["message"]) == (400, True), answer.body


def test_the_server_counts_its_own_requests_jobs_work_and_commits(served: LiveServer) -> None:
    assert served.call("GET", "/nowhere").status == 404
    assert served.call("GET", "/openapi.json").status == 200
    answer = served.call("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    text = answer.body.decode()
    counts = numbers(text, "entrepot_http_requests_total")
    assert counts['code_class="4xx",family="none",method="GET"'] >= 1
    assert counts['code_class="2xx",family="openapi",method="GET"'] >= 1
    assert counts['code_class="2xx",family="workspaces",method="PUT"'] >= 1
    took = numbers(text, "entrepot_http_request_duration_seconds_bucket")
    assert took['family="workspaces",le="+Inf"'] >= 1
    assert numbers(text, "entrepot_store_commit_duration_seconds_count")[""] > 0
    assert "# TYPE entrepot_jobs gauge" in text
    assert "# TYPE entrepot_work_items gauge" in text


def test_metrics_are_for_those_who_may_read_them(served: LiveServer) -> None:
    assert served.call("GET", "/metrics", token=None).status == 401
    assert served.call("GET", "/metrics", token="wrong").status == 401


def test_a_scraper_has_a_key_of_its_own_and_openness_is_asked_for(tmp_path: Path) -> None:
    with live(tmp_path / "keyed", fsync=False, metrics_key="scraper-key") as server:
        assert server.call("GET", "/metrics", token="scraper-key").status == 200
        assert server.call("GET", "/metrics", token="scraper-kez").status == 401
        assert server.call("GET", "/metrics", token=None).status == 401
        assert server.call("GET", "/subscriptions", token="scraper-key").status == 401
    with live(tmp_path / "open", fsync=False, metrics_open=True) as server:
        assert server.call("GET", "/metrics", token=None).status == 200
        assert server.call("GET", "/metrics", token="wrong").status == 401


def test_a_timespan_that_is_encoded_twice_is_read_as_az_means_it(az: Run, served: LiveServer) -> None:
    id = az("ml", "online-endpoint", "create", "--name", "spans").json["id"]
    spans = quote(quote("2026-01-01T00:00:00.883184/2026-01-01T01:00:00", safe=""), safe="")
    told = read(served, id, f"metricnames=RequestsPerMinute&timespan={spans}")
    assert told["timespan"] == "2026-01-01T00:00:00Z/2026-01-01T01:00:00Z"
    assert az("ml", "online-endpoint", "delete", "-n", "spans", "--yes").code == 0
