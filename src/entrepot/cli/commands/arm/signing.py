"""`login`, `logout` and `extension`: lines that scripts for `az` begin with, and that have nothing to do here.

This command line acts as the owner of its home, and the ml commands are its own. Others sign in with the genuine az.
"""

from __future__ import annotations

from entrepot.client.failures import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any

ML = "ml"


def login(call: Call) -> Json:
    """Return the subscriptions of the home's owner. Raises Failure when somebody else is to be signed in."""
    from entrepot.cli.commands import accounts

    if call.flag("service_principal") or call.text("username"):
        raise Failure(
            "This command line acts as the owner of its home, and signs nobody else in.",
            hint="the genuine az does, with our ml extension: docs/operations.md",
        )
    call.console.note("You act as the owner of this home; there is no need to sign in.")
    return accounts.list_(call)


def logout(call: Call) -> None:
    """Say that there is nothing to sign out of."""
    call.console.note("You act as the owner of this home, whose token lies in it: nothing was signed out of.")


def add(call: Call) -> None:
    """Say that the ml commands are here. Raises Failure for another extension."""
    if (call.text("name") or ML) != ML and "ml-" not in (call.text("source") or ""):
        raise Failure(f"There is no extension {call.text('name')!r}; the ml commands are part of this command line.")
    call.console.note("The ml commands are part of this command line: nothing to add.")


def remove(call: Call) -> None:
    """Say that there is nothing to remove."""
    call.console.note("The ml commands are part of this command line: nothing to remove.")


def update(call: Call) -> None:
    """Say that there is nothing to update."""
    add(call)


def list_(call: Call) -> Json:
    """Return the one extension that az would have."""
    return [show(call)]


def show(call: Call) -> Json:
    """Return the ml commands as az lists an extension. Raises Failure for another one."""
    from entrepot import __version__

    if (call.text("name") or ML) != ML:
        raise Failure(f"The extension {call.text('name')} is not installed.")
    return {"experimental": False, "extensionType": "built-in", "name": ML, "preview": False, "version": __version__}
