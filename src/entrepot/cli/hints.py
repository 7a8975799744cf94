"""Hints name commands: those of a workspace get the workspace that was typed, or they would look into the usual one."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_GROUPS = "job|schedule|datastore|compute|connection|(?:online|batch)-(?:endpoint|deployment)"
_OPTIONS = {"-w": "-w", "--workspace-name": "-w", "-g": "-g", "--resource-group": "-g"}


def placed(hint: str, typed: Sequence[str]) -> str:
    """Return a hint whose commands have the workspace and resource group of the words that were typed."""
    found: dict[str, str] = {}
    for word, following in zip(typed, (*typed[1:], ""), strict=False):
        name, equals, value = word.partition("=")
        if name in _OPTIONS:
            found[_OPTIONS[name]] = value if equals else following
    if not found or not hint:
        return hint
    import re
    import shlex

    words = " ".join(f"{option} {shlex.quote(value)}" for option, value in found.items())
    command = re.compile(rf"\b(?:az|entrepot) ml (?:{_GROUPS}) [a-z-]+(?!.* (?:-w|--workspace-name) )")
    return command.sub(lambda match: f"{match[0]} {words}", hint)
