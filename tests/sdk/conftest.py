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
from tests.environments import made


@dataclass(frozen=True, slots=True)
class Clients:
    """Runs scripts of Azure's and MLflow's users, as they would."""

    python: Path
    server: LiveServer
    folder: Path
    exports: Mapping[str, str]

    def run(self, script: Path, *words: str, timeout_s: float = 900, **more: str) -> "subprocess.CompletedProcess[str]":
        """Run a script and return how it ended, with its output."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return subprocess.run(
            [str(self.python), str(script), *words], cwd=self.folder, env={**kept, **self.exports, **more},
            capture_output=True, text=True, check=False, timeout=timeout_s,
        )  # fmt: skip


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """The genuine clients, and a server of their own."""
    python = made("sdk") / "bin" / "python"
    folder = tmp_path_factory.mktemp("sdk")
    with live(folder / "home") as server:
        command = [sys.executable, "-m", "entrepot.cli.main", "env", "--format", "json", "--home", str(server.home)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True)
        yield Clients(python, server, folder, json.loads(printed.stdout))
