"""How a distributed step is started: by the launcher of `runtime/ranks.py`, laid out beside the step's code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Json = Any

FOLDER = "launcher"
_PROGRAM = Path(__file__).parents[3] / "runtime" / "ranks.py"


def lay_out(folder: Path) -> Path:
    """Put the launcher into an attempt's folder and return the folder that the step has to see."""
    place = folder / FOLDER
    place.mkdir()
    (place / _PROGRAM.name).write_bytes(_PROGRAM.read_bytes())
    return place


def argv_of(folder: Path, told: Mapping[str, Json], command: str) -> tuple[str, ...]:
    """Return what starts a command as the processes that are told of a distribution."""
    return ("python", "-u", str(folder / FOLDER / _PROGRAM.name), json.dumps({**told, "command": command}))


def remark(told: Mapping[str, Json]) -> str:
    """Return what the log has to say before the step begins, '' when nothing is unlike Azure ML."""
    instances = told.get("instances", 1)
    if instances == 1:
        return ""
    if not told["kind"]:
        return f"instance_count is {instances} without a distribution: the command runs once"
    return f"instance_count is {instances}: all of them are on this machine"
