"""The files by which a server is found, below `run/`: lock, server.json, token, identity. Standard library only."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from entrepot.core.errors import StateConflict
from entrepot.server.keys import private_folder, write_private


@dataclass(frozen=True, slots=True)
class ServerFile:
    """What `run/server.json` tells of the server that runs."""

    pid: int
    url: str
    https_url: str
    blob_url: str
    https_blob_url: str
    version: str
    authority: str  # the PEM file of the certificate authority to trust


def token_file(home: Path) -> Path:
    """Return the file that holds the owner's bearer token."""
    return home / "run" / "token"


def identity_file(home: Path) -> Path:
    """Return the file that holds the secret with which Azure clients of this user ask for tokens."""
    return home / "run" / "identity"


def write_server_file(home: Path, server: ServerFile) -> None:
    """Tell other processes of this user where the server is."""
    write_private(home / "run" / "server.json", json.dumps(asdict(server), indent=1))


def remove_server_file(home: Path) -> None:
    """Tell nobody any more; a file that is left behind by a killed server is not believed either."""
    (home / "run" / "server.json").unlink(missing_ok=True)


def read_server_file(home: Path) -> ServerFile | None:
    """Return what the running server told, None when no server uses this home now."""
    if not is_locked(home):
        return None
    try:
        return ServerFile(**json.loads((home / "run" / "server.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def is_locked(home: Path) -> bool:
    """Say whether a server uses this home now."""
    try:
        descriptor = os.open(home / "run" / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def lock(home: Path) -> Iterator[None]:
    """Hold the home for one server. Raises StateConflict when another one has it."""
    private_folder(home / "run")
    descriptor = os.open(home / "run" / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StateConflict(
                f"Another server uses the home {home}: process {_holder(descriptor)}",
                hint=f"stop it with `entrepot down --home {home}`, or start this one with another --home",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
        remove_server_file(home)
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
