"""What goes wrong on the client's side of the wire, as exceptions that the command line prints in one line each."""

from __future__ import annotations


class Failure(Exception):
    """A told failure: `message` for people, `hint` for what to do next, `exit_code` for scripts."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageFailure(Failure):
    """The command line itself is wrong; `usage` shows how it is written."""

    exit_code = 2

    def __init__(self, message: str, *, usage: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.usage = usage


class FileFailure(Failure):
    """A file that the command was given is missing or says something wrong: names file, line and field."""


class NoServer(Failure):
    """No server of this home answers."""


class NoCommand(Failure):
    """The command that was to be run is not there; the code is a shell's."""

    exit_code = 127


class ServiceFailure(Failure):
    """The server refused or failed: its ARM `code` and HTTP `status` beside the message."""

    def __init__(self, message: str, *, code: str = "", status: int = 0, hint: str = "", body: str = "") -> None:
        super().__init__(f"({code}) {message}" if code else message, hint=hint)
        self.code = code
        self.status = status
        self.body = body
