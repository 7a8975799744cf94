"""A throw-away PostgreSQL server for tests, from the binaries of the `pgserver` wheel. Only its binaries are used."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_START_S = 30.0
_STOP_S = 20.0
# A test's data need not outlive the machine; what is tested is that we commit, not that PostgreSQL flushes.
_SETTINGS = ("fsync=off", "full_page_writes=off", "listen_addresses=", "max_connections=60", "shared_buffers=32MB")


def postgres_binaries() -> Path | None:
    """Return the folder that holds `initdb` and `postgres`, None when the wheel has none for this platform."""
    spec = find_spec("pgserver")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "pginstall" / "bin"
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return None


@contextmanager
def running_postgres(folder: Path) -> Iterator[str]:
    """Run a fresh server, log in `folder`; yield its URL; stop it and remove its data at the end.

    It listens on a Unix socket only. Its data is in a temporary folder with a short name, as sockets need, which a
    root's PostgreSQL can reach too: the server refuses to run as root and then runs as `nobody`.
    """
    binaries = postgres_binaries()
    if binaries is None:
        raise FileNotFoundError("The pgserver wheel has no PostgreSQL binaries for this platform")
    home = Path(tempfile.mkdtemp(prefix="entrepot-pg-"))
    try:
        binaries = _reachable(binaries, home)
        data = home / "data"
        with (folder / "postgres.log").open("ab") as log:
            initialise = [str(binaries / "initdb"), "-D", str(data), "--username=postgres", "--auth=trust", "--no-sync"]
            initialise += ["--encoding=UTF8", "--locale=C", "--no-instructions"]
            subprocess.run(initialise, check=True, stdout=log, stderr=log, **_as_user(home))
            command = [str(binaries / "postgres"), "-D", str(data), "-k", str(home)]
            command += [part for setting in _SETTINGS for part in ("-c", setting)]
            server = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **_as_user(home))
        try:
            _wait_until_ready(server, binaries, home, folder)
            yield f"postgresql://postgres@/postgres?host={home}"
        finally:
            _stop(server)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _as_user(home: Path) -> dict[str, Any]:
    """Return what subprocess needs to run as a user that PostgreSQL accepts, who comes to own `home`."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": home}


def _reachable(binaries: Path, home: Path) -> Path:
    """Return the binaries' folder, or that of a copy in `home` when `nobody` may not go there."""
    is_open = all(parent.stat().st_mode & 0o001 for parent in (binaries, *binaries.parents))
    if os.geteuid() != 0 or is_open:
        return binaries
    shutil.copytree(binaries.parent, home / "install", symlinks=True)
    for file in (home / "install").rglob("*"):
        if not file.is_symlink():
            file.chmod(file.stat().st_mode | 0o055)
    (home / "install").chmod(0o755)
    return home / "install" / "bin"


def _wait_until_ready(server: subprocess.Popen[bytes], binaries: Path, home: Path, folder: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and server.poll() is None:
        asked = subprocess.run([str(binaries / "pg_isready"), "-q", "-h", str(home)], check=False)
        if asked.returncode == 0:
            return
        time.sleep(0.05)
    log = (folder / "postgres.log").read_text(errors="replace")[-2000:]
    raise RuntimeError(f"PostgreSQL did not start within {_START_S} s (exit code {server.poll()}):\n{log}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGINT)  # fast shutdown: it does not wait for clients
    try:
        server.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
