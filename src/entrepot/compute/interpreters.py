"""The Python interpreters of this machine: found where people put them, each run once for its exact version.

A property of the machine, never assumed: which versions exist decides which environments can be had exactly.
"""

import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_ASK = (
    "import sys; print(*sys.version_info[:3], getattr(getattr(sys, 'implementation', None), 'name', 'cpython'),"
    " sys.version_info[3])"
)
_FRESH_S = 10.0  # a search takes some ms; every job step asks
_OLDEST = (3, 6)  # uv makes environments for nothing older


@dataclass(frozen=True, slots=True, order=True)
class Interpreter:
    """One interpreter. `path` has its links resolved."""

    version: tuple[int, int, int]
    path: Path

    @property
    def minor(self) -> tuple[int, int]:
        """Return `(3, 11)` of 3.11.7."""
        return self.version[:2]

    @property
    def title(self) -> str:
        """Return `CPython 3.11.7`."""
        return "CPython " + ".".join(map(str, self.version))


class Interpreters:
    """Discovers interpreters and remembers their versions in a file, by path, time and size."""

    def __init__(
        self, cache_file: Path, *, extra: Iterable[Path] = (), environ: Mapping[str, str] | None = None
    ) -> None:
        self._cache_file = cache_file
        self._extra = tuple(extra)
        self._environ = os.environ if environ is None else environ
        self._guard = threading.Lock()
        self._found: tuple[Interpreter, ...] = ()
        self._found_at = -math.inf

    def discover(self) -> tuple[Interpreter, ...]:
        """Return one interpreter per exact version, oldest first; new ones are seen without a restart."""
        with self._guard:
            if time.monotonic() - self._found_at > _FRESH_S:
                self._found, self._found_at = self._search(), time.monotonic()
            return self._found

    def _search(self) -> tuple[Interpreter, ...]:
        known = self._load()
        found: dict[str, list[object]] = {}
        for path in dict.fromkeys(_resolved(self._candidates())):
            stat = path.stat()
            stamp = [stat.st_mtime_ns, stat.st_size]
            entry = known.get(str(path))
            if entry is None or entry[:2] != stamp:
                entry = [*stamp, _ask(path)]
            found[str(path)] = entry
        if found != known:
            self._save(found)
        usable: dict[tuple[int, ...], Interpreter] = {}
        for text, (_, _, version) in found.items():
            if isinstance(version, list) and tuple(version[:2]) >= _OLDEST:
                usable.setdefault(tuple(version), Interpreter((version[0], version[1], version[2]), Path(text)))
        return tuple(sorted(usable.values()))

    def _candidates(self) -> Iterator[Path]:
        yield from self._extra
        yield Path(getattr(sys, "_base_executable", sys.executable))
        home = Path(self._environ.get("HOME") or Path.home())
        pyenv = Path(self._environ.get("PYENV_ROOT") or home / ".pyenv")
        yield from sorted(pyenv.glob("versions/*/bin/python"))
        uv = Path(self._environ.get("UV_PYTHON_INSTALL_DIR") or home / ".local" / "share" / "uv" / "python")
        yield from sorted(uv.glob("*/bin/python3"))
        for folder in self._environ.get("PATH", os.defpath).split(os.pathsep):
            if folder and not Path(folder).is_relative_to(pyenv / "shims"):  # shims say another version in each folder
                yield from sorted(path for path in Path(folder).glob("python3*") if _is_name(path.name))

    def _load(self) -> dict[str, list[object]]:
        try:
            document: dict[str, list[object]] = json.loads(self._cache_file.read_bytes())
        except (OSError, ValueError):
            return {}
        return document

    def _save(self, found: Mapping[str, list[object]]) -> None:
        self._cache_file.parent.mkdir(parents=True, exist_ok=True)
        new = self._cache_file.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps(found, indent=1))
        new.replace(self._cache_file)


def newest(interpreters: Iterable[Interpreter], accepts: Callable[[tuple[int, int, int]], bool]) -> Interpreter | None:
    """Return the newest interpreter whose version is accepted."""
    return max((one for one in interpreters if accepts(one.version)), default=None)


def nearest(interpreters: Iterable[Interpreter], minor: tuple[int, int]) -> Interpreter | None:
    """Return the interpreter of the minor version closest to the asked one; of two equally close ones the newer."""
    return min(
        (one for one in interpreters if one.version[0] == minor[0]),
        key=lambda one: (abs(one.version[1] - minor[1]), [-part for part in one.version]),
        default=None,
    )


def _is_name(name: str) -> bool:
    return name == "python3" or (name.startswith("python3.") and name[8:].isdigit())


def _resolved(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        try:
            resolved = path.resolve(strict=True)
        except OSError:
            continue
        if resolved.is_file() and os.access(resolved, os.X_OK):
            yield resolved


def _ask(path: Path) -> list[int] | None:
    """Run an interpreter for its version; None when it is no released CPython or doesn't run."""
    try:
        done = subprocess.run(
            [str(path), "-I", "-S", "-c", _ASK], capture_output=True, text=True, timeout=20, check=True, env={}
        )
        major, minor, micro, implementation, level = done.stdout.split()
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return [int(major), int(minor), int(micro)] if implementation == "cpython" and level == "final" else None
