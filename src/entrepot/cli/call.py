"""One command being carried out: its options, the server, the configuration and the console."""

from __future__ import annotations

import os

from entrepot.client.failures import Failure, UsageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from entrepot.cli.configuration import Configuration
    from entrepot.cli.console import Console
    from entrepot.cli.parser import Command
    from entrepot.cli.progress import Spinner
    from entrepot.client.scopes import Target
    from entrepot.client.session import Session


class Call:
    """What a handler is given. `options` has one attribute per option of the grammar."""

    __slots__ = ("_opened", "_session", "_spinner", "command", "configuration", "console", "home", "options")

    def __init__(
        self,
        command: Command,
        options: argparse.Namespace,
        *,
        home: str,
        configuration: Configuration,
        console: Console,
        opened: Callable[[str, str], Session],
    ) -> None:
        self.command = command
        self.options = options
        self.home = home
        self.configuration = configuration
        self.console = console
        self._opened = opened
        self._session: Session | None = None
        self._spinner: Spinner | None = None

    @property
    def noun(self) -> str:
        """The group's word: `model` of `model show`."""
        return self.command.name.split()[0]

    @property
    def verb(self) -> str:
        """The command's last word: `show` of `model show`."""
        return self.command.name.split()[-1]

    @property
    def session(self) -> Session:
        """The signed-in connection to the server. Raises NoServer when none runs."""
        if self._session is None:
            chosen = self.options.subscription or self.configuration.get("cloud", "subscription") or ""
            self._session = self._opened(self.home, chosen)
            if self.console.is_verbose:
                self._session.log = self.console.tell
            self._spinner = self.console.spinner(f"Waiting for {self.command.words}")
            self._session.waiting = self._spinner
        return self._session

    def close(self) -> None:
        """Close the connection, if there was one, and take the sign of life away."""
        if self._session is not None:
            self._session.close()
        if self._spinner is not None:
            self._spinner.close()

    def has(self, option: str) -> bool:
        """Say whether the command knows an option, by its attribute's name."""
        return hasattr(self.options, option)

    def text(self, option: str) -> str | None:
        """Return an option's text; None when it is not given or the command does not know it."""
        value: str | None = getattr(self.options, option, None)
        return value

    def flag(self, option: str) -> bool:
        """Say whether a flag is given."""
        return bool(getattr(self.options, option, False))

    def is_default(self, option: str) -> bool:
        """Say whether an option's value is the one that the grammar gives it."""
        name = "--" + option.replace("_", "-")
        defaults = [entry[1].get("default") for entry in self.command.options if entry[0][0] == name and len(entry) > 1]
        return self.text(option) in defaults

    def words(self, option: str) -> list[str]:
        """Return the words of an option that takes several."""
        return list(getattr(self.options, option, None) or ())

    def number(self, option: str) -> int | None:
        """Return an option's whole number, None when it is not given. Raises UsageFailure when it is none."""
        value = self.text(option)
        if value is None:
            return None
        try:
            return int(value)
        except ValueError as error:
            raise UsageFailure(f"argument --{option.replace('_', '-')}: {value!r} is not a whole number") from error

    def tags(self, option: str = "tags") -> dict[str, str] | None:
        """Return `a=b c=d` as a table; None when the option is not given."""
        if getattr(self.options, option, None) is None:
            return None
        pairs = (word.partition("=") for part in self.words(option) for word in part.split() or [""])
        return {name: value for name, _, value in pairs if name}

    def target(self) -> Target:
        """Return the registry or the workspace that the line or the configuration names."""
        from entrepot.client import scopes

        registry = self.text("registry_name")
        if registry and self.verb != "share":
            return scopes.registry(self.session, registry)
        return self.workspace()

    def workspace(self) -> Target:
        """Return the workspace that the line or the configuration names."""
        from entrepot.client import scopes

        group, name = self.text("resource_group"), self.text("workspace_name")
        if not group or not name:
            raise Failure("This command works in a workspace: give --resource-group and --workspace-name.")
        return scopes.workspace(self.session, group=group, name=name)

    def file(self, option: str = "file") -> str | None:
        """Return the path of a file or pipe that an option names. Raises Failure when there is none."""
        path = self.text(option)
        if path is not None and (not os.path.exists(path) or os.path.isdir(path)):
            problem = f"{path!r} is a folder, not a file" if os.path.isdir(path) else f"There is no file {path!r}"
            raise Failure(f"{problem} (argument --{option.replace('_', '-')}).")
        return path
