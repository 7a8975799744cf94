"""The genuine `az` in an environment of its own, pointed at a live server as docs/operations.md says."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from entrepot.testing.live import LiveServer, live
from tests.environments import TOP, made
from tests.journey.console import Result

EXAMPLES = TOP / "examples"
LIMIT_S = 300.0


@dataclass(frozen=True, slots=True)
class Az:
    """A user's shell: `az` on the PATH, settings of its own, a server to talk to."""

    server: LiveServer
    variables: Mapping[str, str]

    def __call__(self, *words: object, code: int = 0, **more: str) -> Result:
        """Run one command of az, which has to end with this code."""
        ended = self.shell(shlex.join(["az", *map(str, words)]), **more)
        assert ended.code == code, str(ended)
        return ended

    def shell(self, script: str, **more: str) -> Result:
        """Run a script with bash in the folder of the examples."""
        done = subprocess.run(
            ["bash", "-c", script], cwd=EXAMPLES, env={**self.variables, **more}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=LIMIT_S,
        )  # fmt: skip
        return Result((script,), done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server for the tests of az; environments are built when a job needs them."""
    with live(tmp_path_factory.mktemp("az") / "home", environment_builds_at_create=False) as server:
        yield server


@pytest.fixture(scope="session")
def unregistered(served: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> Az:
    """`az` with what `entrepot env --az` prints, before it knows our cloud."""
    command = [sys.executable, "-m", "entrepot.cli.main", "env", "--az", "--format", "json", "--home", str(served.home)]
    printed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    folder = tmp_path_factory.mktemp("settings")
    kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    variables = {
        **kept,
        **printed,
        "PATH": f"{made('az') / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "AZURE_CONFIG_DIR": str(folder / "config"),
        "AZURE_EXTENSION_DIR": str(folder / "extensions"),
        "AZURE_CORE_COLLECT_TELEMETRY": "no",
        "PIP_NO_INDEX": "1",  # the extension brings what it needs
    }
    return Az(served, variables)


@pytest.fixture(scope="session")
def az(unregistered: Az) -> Az:
    """`az` as its user has it: our cloud registered, signed in as the home's owner, the ml extension added."""
    for line in (
        f"az cloud register -n Entrepot --endpoint-resource-manager {unregistered.server.file.https_url}",
        "az cloud set -n Entrepot",
        "az login --identity",
        "az extension add -n ml -y",
    ):
        ended = unregistered.shell(line)
        assert ended.code == 0, str(ended)
    return unregistered
