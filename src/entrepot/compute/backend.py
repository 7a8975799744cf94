"""The ComputeBackend protocol: where code runs. Knows processes and folders, nothing of machine learning.

Implementations: `local.py`. A job's step and a deployment's replica are both launches; a replica has an address.
"""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol


class State(Enum):
    """The life of a launch. LOST: the backend no longer knows it (machine died): run it again."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class EnvironmentSpec:
    """What code needs around it: an image name, conda dependencies (as parsed from conda.yml), or a build context."""

    image: str | None = None
    conda: Mapping[str, object] | None = None
    context: Path | None = None
    dockerfile: str = "Dockerfile"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A ready environment. `bin_path` goes first on PATH; `substitutions` says what was not had exactly.

    `base` is the interpreter of the machine that it stands on: what the environment itself holds is not believed.
    """

    id: str
    python: Path
    bin_path: Path
    substitutions: tuple[str, ...] = ()
    description: str = ""
    is_cached: bool = False
    base: Path | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """A program of ours for users' environments: locked requirements (with hashes) and a package of our own modules."""

    name: str  # what the package is called there
    requirements: str
    package: Path


@dataclass(frozen=True, slots=True)
class Mount:
    """A host folder or file that the launch sees at its own path, read-only unless said otherwise."""

    path: Path
    is_writable: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a launch; None: none."""

    cpus: float | None = None
    memory_bytes: int | None = None
    processes: int | None = None
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """One process tree to run. `id` is unique per attempt; launching the same id twice runs it once.

    `folder` belongs to the launch: the backend keeps its state there (pid, exit), the log goes to `log`.
    One that `listens` is a replica: its command finds in ENTREPOT_LISTEN where, either `fd:N`, a socket that listens
    already, or `HOST:PORT` to bind. `listener` is a socket to take for that, where the backend runs on this machine.
    """

    id: str
    argv: tuple[str, ...]
    folder: Path
    log: Path
    cwd: Path
    environment: Mapping[str, str]
    prepared: Prepared | None = None
    mounts: tuple[Mount, ...] = ()
    limits: Limits = field(default_factory=Limits)
    layer: Path | None = None  # of `lay_beside`
    installs: bool = False  # its command may install packages, for itself alone
    listens: bool = False
    listener: socket.socket | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """What became of a launch. `reason` is one sentence for people: `killed: over its memory limit of 200 MB`."""

    state: State
    exit_code: int | None = None
    reason: str = ""
    started: float | None = None
    ended: float | None = None
    sandbox: str = ""  # bwrap | none, as recorded on the job
    notes: tuple[str, ...] = ()  # what was not held as asked: no sandbox, a limit that could not be set
    cpu_s: float | None = None  # used in all, once ended
    memory_bytes: int | None = None  # of the largest process, once ended


class ComputeBackend(Protocol):
    """Runs launches. All methods are synchronous and thread-safe."""

    name: str

    def prepare(self, spec: EnvironmentSpec, *, log: Callable[[str], None]) -> Prepared:
        """Build or find the environment: content-addressed, single flight. Raises BuildFailed naming the culprit."""
        ...

    def lay_beside(self, prepared: Prepared, layer: Layer, *, log: Callable[[str], None]) -> Path:
        """Return the folder that has a layer for this environment's interpreter; the environment is left as it is.

        Whoever launches with it appends the folder to the module path. Content-addressed. Raises BuildFailed.
        """
        ...

    def launch(self, launch: Launch) -> None:
        """Start it; returns when the process exists. It survives the death of this server process."""
        ...

    def poll(self, id: str, folder: Path) -> Status:
        """Return the state now, also of launches of an earlier server process (from `folder`)."""
        ...

    def wait(self, id: str, folder: Path, *, timeout_s: float) -> Status:
        """Return when the launch ended (at once, not at a polling interval) or at the timeout."""
        ...

    def cancel(self, id: str, folder: Path, *, grace_s: float = 5) -> None:
        """End the whole process tree: SIGTERM, then SIGKILL after the grace; idempotent."""
        ...

    def protects_mounts(self) -> bool:
        """Say whether launches are kept from changing what is mounted read-only; if not, give them copies."""
        ...

    def address(self, id: str, folder: Path) -> tuple[str, int] | None:
        """Return host and port of a replica that is running, else None; it may not answer yet."""
        ...
