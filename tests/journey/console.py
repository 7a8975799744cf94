"""The real command line, in a process of its own, as a user or a script meets it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
EXAMPLES = TOP / "examples"
COMMAND = Path(sys.executable).with_name("entrepot")
LIMIT_S = 300.0

Json = Any


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """Return this process's environment for a home of its own: free ports, no settings from outside."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ENTREPOT_", "AZURE_"))}
    return {
        **kept,
        "PATH": f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}",
        "ENTREPOT_HOME": str(home),
        "ENTREPOT_PORT": "0",
        "ENTREPOT_HTTPS_PORT": "0",
        "ENTREPOT_RESERVE_BYTES": "1",
        **more,
    }


@dataclass(frozen=True, slots=True)
class Result:
    """What a command printed and how it ended."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def json(self) -> Json:
        """What stdout holds, as JSON."""
        return json.loads(self.out)

    def __str__(self) -> str:
        return f"$ {' '.join(self.words)}\nexit {self.code}\n{self.out}\n{self.err}"


@dataclass(frozen=True, slots=True)
class CommandLine:
    """`entrepot` of one home, typed in one folder."""

    home: Path
    folder: Path = EXAMPLES
    settings: Mapping[str, str] = field(default_factory=dict)

    def run(self, *words: object, timeout_s: float = LIMIT_S) -> Result:
        """Run a command, whatever comes of it."""
        texts = tuple(str(word) for word in words)
        done = subprocess.run(
            [str(COMMAND), *texts],
            cwd=self.folder,
            env=clean_environment(self.home, **self.settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return Result(("entrepot", *texts), done.returncode, done.stdout, done.stderr)

    def text(self, *words: object, timeout_s: float = LIMIT_S) -> str:
        """Run a command that must succeed; return its stdout without the last line end."""
        result = self.run(*words, timeout_s=timeout_s)
        assert result.code == 0, str(result)
        return result.out.rstrip("\n")

    def __call__(self, *words: object, timeout_s: float = LIMIT_S) -> Json:
        """Run a command that must succeed; return the JSON that it printed, None when it printed nothing."""
        text = self.text(*words, timeout_s=timeout_s)
        return json.loads(text) if text else None

    def refusal(self, *words: object, code: int = 1) -> str:
        """Run a command that must fail with this exit code, say nothing on stdout and one ERROR; return stderr."""
        result = self.run(*words)
        assert result.code == code, str(result)
        assert result.out == "", str(result)
        assert result.err.count("ERROR: ") == 1, str(result)
        assert "Traceback" not in result.err, str(result)
        return result.err

    def finished(self, job: str, *more: object, timeout_s: float = LIMIT_S) -> Json:
        """Follow a job to its end and return what `job show` says then."""
        self.run("ml", "job", "stream", "-n", job, *more, timeout_s=timeout_s)
        return self("ml", "job", "show", "-n", job, *more)
