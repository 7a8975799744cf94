"""Limits by control groups, version 1 and 2, where this process may make them; what can't be held is said.

A launch gets groups of its own below those of the server, so that limits put on the server hold for its launches.
"""

import hashlib
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from entrepot.compute.backend import Limits

_CPU_PERIOD_US = 100_000


@dataclass(frozen=True, slots=True)
class Enforcement:
    """How a launch's limits are held: groups to enter, counters of kills (file, key), and rlimits otherwise."""

    folders: tuple[str, ...] = ()
    oom_counters: tuple[tuple[str, str], ...] = ()
    address_space: int | None = None
    processors: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def enforce(id: str, limits: Limits, *, wrapper_processes: int) -> Enforcement:
    """Make the groups that the limits need; `wrapper_processes` are not counted as the command's own."""
    wanted: dict[str, dict[str, str]] = {}
    if limits.memory_bytes:
        wanted["memory"] = {"bytes": str(limits.memory_bytes)}
    if limits.processes:
        wanted["pids"] = {"count": str(limits.processes + wrapper_processes)}
    if limits.cpus:
        wanted["cpu"] = {"quota": str(max(1000, int(limits.cpus * _CPU_PERIOD_US)))}
    if not wanted:
        return Enforcement()
    name = "entrepot-" + hashlib.sha256(id.encode()).hexdigest()[:24]
    groups = {controller: _group(controller, name, values) for controller, values in wanted.items()}
    held = {controller: path for controller, path in groups.items() if path is not None}
    counters = tuple(pair for path in [held.get("memory")] if path for pair in _oom_counters(path))
    missing = [controller for controller in wanted if controller not in held]
    return Enforcement(
        folders=tuple(dict.fromkeys(str(path) for path in held.values())),
        oom_counters=counters,
        address_space=limits.memory_bytes if "memory" in missing else None,
        processors=_processors(limits.cpus) if "cpu" in missing and limits.cpus else (),
        notes=tuple(_NOTES[controller] for controller in missing),
    )


_NOTES: Mapping[str, str] = {
    "memory": "no permission for memory control groups: the limit bounds the address space of each process",
    "cpu": "no permission for cpu control groups: the limit is rounded up to whole processors",
    "pids": "no permission for pids control groups: the number of processes is not limited",
}


def _processors(cpus: float) -> tuple[int, ...]:
    available = sorted(os.sched_getaffinity(0))
    return tuple(available[: max(1, math.ceil(cpus))])


def _group(controller: str, name: str, values: Mapping[str, str]) -> Path | None:
    """Make or find the launch's group for one controller; None where that is not allowed or not there."""
    parents = _own_groups()
    if controller in parents:
        return _make(parents[controller] / name, _V1[controller], values)
    if "" in parents:
        own = parents[""]
        for parent in (
            own,
            own.parent,
        ):  # a group with processes of its own can't have limited children, except the root
            with suppress(OSError):
                (parent / "cgroup.subtree_control").write_text(f"+{controller}")
            path = _make(parent / name, _V2[controller], values)
            if path is not None and os.access(path / "cgroup.procs", os.W_OK):
                return path
    return None


_V1: Mapping[str, Mapping[str, str]] = {
    "memory": {"memory.limit_in_bytes": "{bytes}", "memory.memsw.limit_in_bytes": "?{bytes}"},
    "pids": {"pids.max": "{count}"},
    "cpu": {"cpu.cfs_period_us": str(_CPU_PERIOD_US), "cpu.cfs_quota_us": "{quota}"},
}
_V2: Mapping[str, Mapping[str, str]] = {
    "memory": {"memory.max": "{bytes}", "memory.swap.max": "?0", "memory.oom.group": "?1"},
    "pids": {"pids.max": "{count}"},
    "cpu": {"cpu.max": "{quota} " + str(_CPU_PERIOD_US)},
}  # "?": written if it can be


def _make(path: Path, files: Mapping[str, str], values: Mapping[str, str]) -> Path | None:
    is_new = not path.exists()
    try:
        path.mkdir(exist_ok=True)
        for file, template in files.items():
            text = template.lstrip("?").format(**values)
            try:
                (path / file).write_text(text)
            except OSError:
                if not template.startswith("?"):
                    raise
    except OSError:
        if is_new:
            with suppress(OSError):
                path.rmdir()
        return None
    return path


def _oom_counters(path: Path) -> list[tuple[str, str]]:
    files = [("memory.oom_control", "oom_kill"), ("memory.events", "oom_kill")]
    return [(str(path / file), key) for file, key in files if (path / file).exists()]


def _own_groups() -> dict[str, Path]:
    """Return {controller: our own group's folder}; the key of version 2 is the empty string."""
    found: dict[str, Path] = {}
    mounts = _mounts()
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            if controller in mounts:
                folder = mounts[controller] / path.lstrip("/")
                found[controller] = folder if folder.exists() else mounts[controller]  # inside a container
    return found


def _mounts() -> dict[str, Path]:
    found: dict[str, Path] = {}
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        _, target, kind, options = line.split()[:4]
        if kind == "cgroup2":
            found.setdefault("", Path(target))
        elif kind == "cgroup":
            for option in options.split(","):
                if option in ("memory", "cpu", "pids"):
                    found.setdefault(option, Path(target))
    return found
