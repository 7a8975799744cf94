"""What goes to stderr: errors, warnings, hints, progress bars and questions. Results go to stdout, elsewhere."""

from __future__ import annotations

import os
import sys

from entrepot.client.failures import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from entrepot.cli.progress import Bar, Spinner

QUOTED = "    "
"""How the lines of logs begin that are shown inside messages: nothing in them is ours to change."""
RED, YELLOW, DIM, PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[0m"


class Console:
    """The user's terminal as seen from one command. `spoken` puts the program's name into what is said."""

    __slots__ = ("is_debug", "is_quiet", "is_terminal", "is_verbose", "spoken")

    def __init__(
        self,
        *,
        is_quiet: bool = False,
        is_verbose: bool = False,
        is_debug: bool = False,
        spoken: Callable[[str], str] = str,
    ) -> None:
        self.spoken = spoken
        self.is_quiet = is_quiet
        self.is_debug = is_debug
        self.is_verbose = is_verbose or is_debug
        self.is_terminal = sys.stderr.isatty()

    @property
    def is_colourful(self) -> bool:
        """True when stderr may be painted: a terminal, and NO_COLOR is not set (https://no-color.org)."""
        return self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def error(self, message: str, *, hint: str = "", usage: str = "") -> None:
        """Print an error in one line, then how the command is used and what to do next."""
        self._print("ERROR: " + message, RED)
        if usage:
            self._print(usage)
        if hint:
            self._print("hint: " + hint, DIM)

    def warn(self, message: str) -> None:
        """Print a warning, unless only errors are wanted."""
        if not self.is_quiet:
            self._print("WARNING: " + message, YELLOW)

    def tell(self, message: str) -> None:
        """Print what --verbose wants to know."""
        if self.is_verbose:
            self._print("INFO: " + message, DIM)

    def note(self, message: str) -> None:
        """Print a line for people beside the result, unless only errors are wanted."""
        if not self.is_quiet:
            self._print(message)

    def confirm(self, question: str, *, is_agreed: bool) -> None:
        """Ask before something is destroyed. Raises Failure when the answer is no, or nobody can be asked."""
        if is_agreed:
            return
        if not (sys.stdin and sys.stdin.isatty()):
            self.warn("Unable to prompt for confirmation as no tty available. Use --yes.")
            raise Failure("Operation cancelled.")
        sys.stderr.write(f"{question} (y/n): ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise Failure("Operation cancelled.")

    def bar(self, label: str) -> Bar | None:
        """Return a progress bar for bytes; None when nobody watches."""
        if not self.is_terminal or self.is_quiet:
            return None
        from entrepot.cli.progress import Bar

        return Bar(label, is_colourful=self.is_colourful)

    def spinner(self, label: str) -> Spinner | None:
        """Return a sign of life for a long wait; None when nobody watches."""
        if not self.is_terminal or self.is_quiet:
            return None
        from entrepot.cli.progress import Spinner

        return Spinner(label)

    def _print(self, line: str, colour: str = "") -> None:
        line = "\n".join(part if part.startswith(QUOTED) else self.spoken(part) for part in line.split("\n"))
        if colour and self.is_colourful:
            line = f"{colour}{line}{PLAIN}"
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
