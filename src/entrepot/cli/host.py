"""What the command line runs in: a shell, with a home and its server, or another program that has signed in (`az`)."""

from __future__ import annotations

from entrepot.cli.configuration import Configuration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from entrepot.client.session import Session

OURS = "entrepot"
THEIRS = "az"
SHARED = "ml|account|configure|deployment|group|login|logout|provider|resource|rest|role|tag"
"""The words after which a line is the same for `az` as for us."""


class Host:
    """What differs: the `program`'s name, where settings are kept, and how a session is opened.

    `is_expanded`: the program has put files in the place of `@file` already.
    """

    __slots__ = ("configuration", "is_expanded", "opened", "program")

    def __init__(
        self,
        program: str,
        *,
        configuration: Callable[[str], Configuration],
        opened: Callable[[str, str], Session],
        is_expanded: bool = False,
    ) -> None:
        self.program = program
        self.configuration = configuration  # of a home
        self.opened = opened  # with a home and a subscription, '' for the usual one
        self.is_expanded = is_expanded

    def spoken(self, text: str) -> str:
        """Return a text about commands with this program's name in those that it has.

        The server writes `az`, as its wire is Azure's and others than we read it; our own texts write `entrepot`.
        """
        other = THEIRS if self.program == OURS else OURS
        if other not in text:
            return text
        import re

        if other == OURS:
            text = re.sub(r"^    --home .*\n", "", text, flags=re.MULTILINE)
        return re.sub(rf"\b{other} (?=(?:{SHARED})\b)", f"{self.program} ", text)


def _opened(home: str, subscription: str) -> Session:
    from entrepot.client.session import Session

    return Session.open(home, subscription=subscription)


SHELL = Host(OURS, configuration=Configuration, opened=_opened)
