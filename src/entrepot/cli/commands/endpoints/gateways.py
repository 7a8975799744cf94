"""`gateway`: scoring gateways beside the server's own, each a process that follows the server."""

from __future__ import annotations

import os

from entrepot.cli.commands.servers import GATEWAY_FILE, WHERE, detach, end_in, places, running_in
from entrepot.client.failures import Failure, NoServer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any

LEADER = ("server", "key_file", "authority")


def up(call: Call) -> None:
    """Run a gateway until SIGTERM or Ctrl-C; with --detach in the background, returning when it answers."""
    home = _home(call)
    if running := running_in(home, GATEWAY_FILE):
        raise Failure(
            f"The gateway {call.text('name')} runs already: {running['url']}, process {running['pid']}.",
            hint=f"entrepot gateway down --name {call.text('name')} stops it",
        )
    if call.flag("detach"):
        words = ["gateway", "up", "--home", call.home]
        for option in ("name", *WHERE, *LEADER):
            value = call.text(option)
            if value is not None:
                words += [f"--{option.replace('_', '-')}", _absolute(value) if option in LEADER[1:] else value]
        detach(words, home=home, log="gateway.log", told=GATEWAY_FILE)
        return
    from pathlib import Path

    from entrepot.core.settings import load_settings
    from entrepot.server.gateway.standalone import Leader, serve  # with `entrepot up`, all that starts what serves

    given = {name: Path(_absolute(str(call.text(name)))) for name in LEADER[1:] if call.text(name)}
    leader = Leader(Path(call.home), call.text("server") or "", **given)
    nowhere = {"host": "127.0.0.1", "hostname": "", "port": 0, "https_port": 0}  # not where the server is told to be
    asked = nowhere | {name: value for name, value in places(call).items() if value is not None}
    serve(load_settings(Path(home), overrides=asked), leader)


def down(call: Call) -> None:
    """Ask a gateway to end once it has answered what it was asked, and wait until it has."""
    end_in(call, _home(call), what="gateway")


def status(call: Call) -> Json:
    """Return where a gateway is. Raises NoServer."""
    home = _home(call)
    running = running_in(home, GATEWAY_FILE)
    if not running:
        raise NoServer(f"No gateway {call.text('name')} runs with the home {home}.", hint="entrepot gateway up")
    return {"name": call.text("name"), "home": home, "state": "running", **running}


def _home(call: Call) -> str:
    name = str(call.text("name"))
    if not name.replace("-", "").replace("_", "").isalnum():
        raise Failure(f"{name!r} cannot be the name of a gateway: it is a folder's, of letters, digits, '-' and '_'.")
    return f"{call.home}/gateways/{name}"


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))
