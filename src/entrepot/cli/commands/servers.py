"""`up`, `down`, `status`, `version`: the server of a home."""

from __future__ import annotations

import json
import os
import sys
import time

from entrepot.client.failures import Failure, NoServer, UsageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any

READY_LIMIT_S = 120.0  # a first start makes certificates and curated assets
GLANCE_S = 0.02
LOG_LINES = 20
WHERE = ("host", "hostname", "port", "https_port")  # options that say where a server is to listen
SERVER_FILE, GATEWAY_FILE = "server.json", "gateway.json"


def up(call: Call) -> None:
    """Serve the home until SIGTERM or Ctrl-C; with --detach in the background, returning when it is ready."""
    running = running_in(call.home)
    if running and call.flag("detach") and not _is_elsewhere(call, running):
        sys.stdout.write(f"ready {running['url']}\n")
        return
    if running:
        raise Failure(
            f"The server of {call.home} runs already: {running['url']}, process {running['pid']}.",
            hint="entrepot down stops it",
        )
    if call.flag("detach"):
        words = ["up", "--home", call.home, *_words(call, WHERE)]
        detach(words, home=call.home, log="server.log", told=SERVER_FILE)
        return
    from pathlib import Path

    from entrepot.core.settings import load_settings
    from entrepot.server.process import serve  # the one place where cli reaches into the server

    serve(load_settings(Path(call.home), overrides=places(call)))


def places(call: Call) -> Json:
    """Return the settings that say where to listen. Raises UsageFailure."""
    return {
        "host": call.text("host"), "hostname": call.text("hostname"), "port": _port(call, "port"),
        "https_port": _port(call, "https_port"),
    }  # fmt: skip


def _is_elsewhere(call: Call, running: Json) -> bool:
    """Say whether another port is asked for than the running server's."""
    asked = {"url": _port(call, "port"), "https_url": _port(call, "https_port")}
    return any(port and str(running.get(key)).rpartition(":")[2].strip("/") != str(port) for key, port in asked.items())


def _port(call: Call, option: str) -> int | None:
    number = call.number(option)
    if number is not None and not 0 <= number <= 65535:
        raise UsageFailure(f"argument --{option.replace('_', '-')}: {number} is no port; 0 takes any free one")
    return number


def _words(call: Call, options: tuple[str, ...]) -> list[str]:
    """Return options as they are typed."""
    given = [option for option in options if call.text(option) is not None]
    return [word for option in given for word in (f"--{option.replace('_', '-')}", str(call.text(option)))]


def detach(words: list[str], *, home: str, log: str, told: str) -> None:
    """Run a command of ours in the background and return when it has told, in `run/<told>`, where it answers."""
    import subprocess

    folder = f"{home}/logs"
    for made in (home, folder):  # each by itself: the mode is that of the last folder only
        os.makedirs(made, mode=0o700, exist_ok=True)
    path = f"{folder}/{log}"
    start = os.path.getsize(path) if os.path.exists(path) else 0
    with open(path, "ab") as file:
        child = subprocess.Popen(
            [sys.executable, "-m", "entrepot.cli.main", *words],
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True, cwd="/",
        )  # fmt: skip
    _await_ready(child, home, told=told, log=path, start=start)


def _await_ready(child: Any, home: str, *, told: str, log: str, start: int) -> None:
    end = time.monotonic() + READY_LIMIT_S
    while time.monotonic() < end:
        running = running_in(home, told)
        if running and (running["pid"] == child.pid or child.poll() is not None):  # or one begun at the same moment
            sys.stdout.write(f"ready {running['url']}\n")
            sys.stdout.flush()
            return
        if child.poll() is not None and _holder(home) is None:
            raise Failure(f"It ended at once, with exit code {child.returncode}. Its log {log}:\n{_tail(log, start)}")
        time.sleep(GLANCE_S)
    child.terminate()
    raise Failure(f"It was not ready after {READY_LIMIT_S:.0f} s. Its log {log}:\n{_tail(log, start)}")


def _tail(path: str, start: int) -> str:
    with open(path, "rb") as file:
        file.seek(start)
        lines = file.read().decode("utf-8", "replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-LOG_LINES:])


def down(call: Call) -> None:
    """Ask the server of the home to end, and wait until it has."""
    end_in(call, call.home, what="server")


def end_in(call: Call, home: str, *, what: str) -> None:
    """Ask what runs in a folder to end, and wait until it has."""
    import signal

    pid = _holder(home)
    if pid is None:
        call.console.note(f"No {what} runs with the home {home}.")
        return
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGCONT)  # one that was stopped could not end
    limit = float(call.number("timeout") or 60)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if _holder(home) is None:
            call.console.note(f"Stopped the {what} of {home}.")
            return
        time.sleep(GLANCE_S)
    raise Failure(f"The {what} of {home} (process {pid}) has not ended in {limit:.0f} s.")


def status(call: Call) -> Json:
    """Return where the server of the home is. Raises NoServer."""
    running = running_in(call.home)
    if not running:
        raise NoServer(f"No Entrepot server runs with the home {call.home}.", hint="entrepot up")
    shown = {name: item for name, item in running.items() if item is not None}
    return {"home": call.home, "state": "running", **shown}


def version(_: Call) -> Json:
    """Return the versions of what runs this command."""
    from entrepot import __version__

    return {"entrepot": __version__, "python": sys.version.split()[0]}


def running_in(home: str, file_name: str = SERVER_FILE) -> Json:
    """Return what runs in a home and tells of itself; None when there is none, or it does not answer yet."""
    pid = _holder(home)
    try:
        with open(f"{home}/run/{file_name}", "rb") as file:
            told = json.loads(file.read())
    except (OSError, ValueError):
        return None
    return told if pid is not None and told["pid"] == pid else None


def _holder(home: str) -> int | None:
    """Return the process that holds the home: a server keeps a lock for as long as it lives, however it ends."""
    import fcntl

    try:
        descriptor = os.open(f"{home}/run/lock", os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        text = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(descriptor)
    return None
