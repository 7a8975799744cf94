"""One live server for the command line's tests, with a registry and a workspace."""

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from entrepot.cli.main import main
from entrepot.testing.live import LiveServer, live

Json = Any


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Json:
        """What stdout holds, as JSON."""
        import json

        return json.loads(self.out)


Run = Callable[..., Ended]


def run(*words: object) -> Ended:
    """Carry out a command line in this process, with nobody at the terminal."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.stdin = sys.stdin, io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = main([str(word) for word in words])
    finally:
        sys.stdin = before
    return Ended(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A running server whose home has a group, a workspace and a registry."""
    with live(tmp_path_factory.mktemp("cli") / "home") as server:
        home = ("--home", server.home)
        for words in (
            ("group", "create", "-n", "rg", "-l", "eastus"),
            ("configure", "--defaults", "group=rg", "workspace=dev", "location=eastus"),
            ("ml", "workspace", "create", "-n", "dev"),
            ("ml", "registry", "create", "-n", "contoso", "--set", "replication_locations[0].location=eastus"),
        ):
            ended = run(*words, *home)
            assert ended.code == 0, ended.err
        yield server


@pytest.fixture
def az(served: LiveServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run command lines against the live server, typed in an empty folder."""
    monkeypatch.setenv("ENTREPOT_HOME", str(served.home))
    monkeypatch.chdir(tmp_path)
    return run
