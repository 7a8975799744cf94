"""What the scripts beside this share: a workspace and a registry of their own, and checks that are run one by one.

A script's functions named `check_*` are run in order; each that fails is told with its trace, the others go on.
"""

import logging
import os
import sys
import tempfile
import time
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
os.environ.setdefault("AZUREML_RUN_POLLING_INTERVAL_MIN", "1")
os.environ.setdefault("AZUREML_RUN_POLLING_INTERVAL_MAX", "2")

from azure.ai.ml import MLClient  # noqa: E402
from azure.ai.ml.entities import Environment, Registry, RegistryRegionDetails, Workspace  # noqa: E402
from azure.identity import DefaultAzureCredential  # noqa: E402

SUBSCRIPTION, GROUP = "11111111-2222-3333-4444-555555555555", "scripts-rg"
IMAGE = "python:3.11-slim"
SUFFIX = uuid.uuid4().hex[:6]
CLUSTER = "cpu-cluster"
FINAL = ("Completed", "Failed", "Canceled", "NotResponding", "Paused")
_JOB_S = 300


def home(name: str) -> MLClient:
    """Return the client of a workspace, made if need be, with the environment `plain`."""
    name += SUFFIX
    ml = MLClient(DefaultAzureCredential(), SUBSCRIPTION, GROUP, name)
    ml.workspaces.begin_create(Workspace(name=name, location="eastus")).result()
    ml.environments.create_or_update(Environment(name="plain", version="1", image=IMAGE))
    return ml


def registry(ml: MLClient, name: str) -> MLClient:
    """Return the client of a registry, made if need be, with the environment `plain`."""
    name += SUFFIX
    details = [RegistryRegionDetails(location="eastus")]
    ml.registries.begin_create(Registry(name=name, location="eastus", replication_locations=details)).result()
    shared = MLClient(DefaultAzureCredential(), registry_name=name)
    shared.environments.create_or_update(Environment(name="plain", version="1", image=IMAGE))
    return shared


@contextmanager
def refused(kind: type[Exception] | tuple[type[Exception], ...], *words: str) -> Iterator[None]:
    """Expect this exception, and these words in it."""
    try:
        yield
    except kind as error:
        text = str(error)
        assert all(word.lower() in text.lower() for word in words), f"no {words} in {text}"
        return
    raise AssertionError(f"not refused with {kind}")


def finished(ml: MLClient, name: str) -> str:
    """Wait for a job's end and return its status."""
    end = time.monotonic() + _JOB_S
    while (status := ml.jobs.get(name).status) not in FINAL:
        assert time.monotonic() < end, f"job {name} is still {status}"
        time.sleep(0.3)
    return str(getattr(status, "value", status))


def same(got: Any, wanted: Any) -> None:
    """Check that two values are equal."""
    assert got == wanted, f"got {got!r}, not {wanted!r}"


def texts(folder: Path) -> dict[str, str]:
    """Return the text of every file below a folder by its path."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_text() for file in files}


def scratch() -> Path:
    """Return a new folder."""
    return Path(tempfile.mkdtemp(prefix="scripts-"))


def run(names: dict[str, Any]) -> None:
    """Run a script's checks; exit with 1 if one failed. Arguments choose by a part of the name."""
    checks: list[Callable[[], None]] = [value for name, value in names.items() if name.startswith("check_")]
    failed = 0
    for check in checks:
        if sys.argv[1:] and not any(word in check.__name__ for word in sys.argv[1:]):
            continue
        began = time.monotonic()
        try:
            check()
        except BaseException as error:
            failed += 1
            print(f"FAIL {check.__name__}: {type(error).__name__}: {error}")
            traceback.print_exc(file=sys.stdout)
        else:
            print(f"ok   {check.__name__} {time.monotonic() - began:.1f}s")
    sys.exit(1 if failed else 0)
