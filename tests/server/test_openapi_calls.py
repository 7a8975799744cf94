"""Schemathesis makes calls of every kind that the server's own OpenAPI allows, and many that it does not: no 500s."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from entrepot.testing.live import LiveServer, live
from tests.environments import made

pytestmark = pytest.mark.slow

Json = Any
SCOPE = {"subscription": "s1", "group": "rg", "workspace": "dev", "registry": "contoso"}
GROUP = "/subscriptions/s1/resourceGroups/rg"
SETTINGS = "[checks.not_a_server_error]\nexpected-statuses = ['2xx', '3xx', '4xx', 501, 503, 507]\n"


def in_one_place(document: Json) -> Json:
    """Put the names of what is there into the paths, so that calls get further than a missing workspace."""
    paths: dict[str, Json] = {}
    for path, methods in document["paths"].items():
        for name, value in SCOPE.items():
            path = path.replace(f"{{{name}}}", value)
        for told in methods.values():
            told["parameters"] = [each for each in told["parameters"] if each["name"] not in SCOPE]
        paths.setdefault(path, {}).update(methods)
    return {**document, "paths": paths}


def furnish(server: LiveServer) -> None:
    provider = f"{GROUP}/providers/Microsoft.MachineLearningServices"
    regions = {"properties": {"regionDetails": [{"location": "eastus"}]}}
    for path, body in (
        (GROUP, {}),
        (f"{provider}/workspaces/dev", {}),
        (f"{provider}/registries/contoso", regions),
    ):
        assert server.call("PUT", path, {"location": "eastus", **body}).status < 300


def test_no_call_makes_the_server_fail(tmp_path: Path) -> None:
    program = made("fuzz") / "bin" / "schemathesis"
    with live(tmp_path / "home", sandbox="none", step_slots=1) as server:
        furnish(server)
        document = server.call("GET", "/openapi.json").json
        (tmp_path / "openapi.json").write_text(json.dumps(in_one_place(document)))
        (tmp_path / "schemathesis.toml").write_text(SETTINGS)
        done = subprocess.run(
            [
                str(program), "run", "openapi.json", "--url", server.url,
                "--header", f"Authorization: Bearer {server.token}", "--checks", "not_a_server_error",
                "--phases", "coverage,fuzzing", "--max-examples", "3", "--generation-deterministic",
                "--suppress-health-check", "all", "--warnings", "off", "--request-timeout", "120",
            ],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=900,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-1000:]
    assert "Tested: " in done.stdout
