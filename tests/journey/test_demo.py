"""`make demo` without make: the script that it runs, from a fresh home to its last line."""

import os
import subprocess
from pathlib import Path

from tests.journey.console import COMMAND, EXAMPLES

LIMIT_S = 1200


def demo(temporary: Path, *, path: str) -> "subprocess.CompletedProcess[str]":
    """Run the demonstration with its home below a folder of the test."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("ENTREPOT_", "AZURE_", "DEMO_"))
    }
    return subprocess.run(
        ["sh", str(EXAMPLES / "demo.sh")],
        env={**environment, "PATH": path, "TMPDIR": str(temporary), "XDG_CACHE_HOME": str(temporary / "cache")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def test_the_demonstration_runs_to_its_end_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = demo(tmp_path, path=f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    for shown in (
        "$ entrepot deployment group create",
        "azureml://registries/contoso/components/train_linear_regression_model/versions/1",
        "test_r2",
        "azureml://registries/contoso/models/taxi/versions/1",
        "mean_absolute_error",
        "azureml-model-deployment: blue",
        "azureml-model-deployment: green",
        '"green": 10',
        "How to go on:",
    ):
        assert shown in done.stdout, shown
    assert "green has 100 % of the live traffic" in done.stderr
    assert list(tmp_path.glob("entrepot-demo.*")) == []
    assert list(tmp_path.glob("cache/entrepot/environments/envs/*/.ok"))  # what the next demonstration begins with


def test_a_demonstration_whose_step_fails_fails(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "entrepot"
    command.write_text('#!/bin/sh\n[ "$1" = up ] && exit 1\nexit 0\n')
    command.chmod(0o755)
    done = demo(tmp_path, path=f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 1
    assert "failed" in done.stderr
    assert "How to go on:" not in done.stdout
