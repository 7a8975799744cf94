"""The genuine clients in an environment of their own, pointed at a live server by nothing but what `env` prints."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from entrepot.testing.live import LiveServer, live

TOP = Path(__file__).resolve().parents[2]
LOCK = TOP / "requirements" / "sdk.txt"
ENVIRONMENT = TOP / "build" / "sdk"
PYTHON = ENVIRONMENT / "bin" / "python"
_INSTALL = """
set -eu; python="$1"; uv="$2"; . tools/index.sh
"$uv" venv --quiet --allow-existing -p "$python" build/sdk
"$uv" pip sync --quiet --require-hashes --compile-bytecode -p build/sdk/bin/python requirements/sdk.txt
"""


def ensure_clients() -> None:
    """Make build/sdk from its locked requirements, unless it is as they say."""
    made_of = ENVIRONMENT / "made-of.txt"
    if made_of.exists() and made_of.read_text() == LOCK.read_text():
        return
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run(["sh", "-c", _INSTALL, "install", sys.executable, uv], cwd=TOP, check=True, timeout=1200)
    made_of.write_text(LOCK.read_text())


@dataclass(frozen=True, slots=True)
class Clients:
    """Runs scripts of Azure's and MLflow's users, as they would."""

    server: LiveServer
    folder: Path
    exports: Mapping[str, str]

    def run(self, script: Path, *words: str, timeout_s: float = 900, **more: str) -> "subprocess.CompletedProcess[str]":
        """Run a script and return how it ended, with its output."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return subprocess.run(
            [str(PYTHON), str(script), *words], cwd=self.folder, env={**kept, **self.exports, **more},
            capture_output=True, text=True, check=False, timeout=timeout_s,
        )  # fmt: skip


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """The genuine clients, and a server of their own."""
    ensure_clients()
    folder = tmp_path_factory.mktemp("sdk")
    with live(folder / "home") as server:
        command = [sys.executable, "-m", "entrepot.cli.main", "env", "--format", "json", "--home", str(server.home)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True)
        yield Clients(server, folder, json.loads(printed.stdout))
