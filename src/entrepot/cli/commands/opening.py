"""`open`: a browser that is signed in as who runs the command."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from entrepot.cli.call import Call

_SCREENS = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")


def open_(call: Call) -> None:
    """Open a browser with a link that signs it in once, or print the link."""
    link = call.session.post("/login/tickets")["url"]
    if call.flag("no_browser") or not _is_opened(call.home, link):
        sys.stdout.write(f"{link}\n")
        return
    call.console.note(f"A browser opens. If it shows nothing, this link works once, for five minutes:\n{link}")


def _is_opened(home: str, link: str) -> bool:
    """Say whether a browser took a page that leads to the link.

    The link itself would stand among the browser's arguments, where every user of the machine reads it.
    """
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in _SCREENS):
        return False
    import webbrowser
    from pathlib import Path

    path = f"{home}/run/open.html"
    if os.path.lexists(path):
        os.unlink(path)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(
            '<!doctype html><meta charset="utf-8"><title>Entrepot</title><meta name="referrer" content="no-referrer">'
            f'<meta http-equiv="refresh" content="0; url={link}"><a href="{link}">Sign in</a>\n'
        )
    return webbrowser.open(Path(path).absolute().as_uri())
