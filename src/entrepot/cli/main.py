"""The `entrepot` command: words to command, command to handler, result to stdout, failure to one line and a code.

Exit codes: 0 done, 1 failed, 2 the line is wrong, 3 what `show` was asked for is not there, 130 interrupted.
"""

from __future__ import annotations

import os
import sys

from entrepot.cli import parser
from entrepot.cli.call import Call
from entrepot.cli.configuration import home_of
from entrepot.cli.console import Console
from entrepot.cli.host import SHELL
from entrepot.client.failures import Failure, NoServer, ServiceFailure, UsageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from entrepot.cli.host import Host

NOT_FOUND = 3
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None, host: Host = SHELL) -> int:
    """Carry out a command line and return its exit code. The installed script calls it, and az's extension does."""
    if sys.stdout is None:  # closed by who called
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    ours, behind = parser.behind_dashes(sys.argv[1:] if argv is None else argv)
    words = ours if host.is_expanded else parser.expand_files(ours)
    console = Console(
        is_quiet="--only-show-errors" in words, is_verbose="--verbose" in words, is_debug="--debug" in words,
        spoken=host.spoken,
    )  # fmt: skip
    command = None
    try:
        command, prefix, rest = parser.find(words)
        if command is None:
            return _group(prefix, rest, console)
        return _command(command, rest, behind, console, host)
    except UsageFailure as failure:
        console.error(failure.message, hint=failure.hint, usage=failure.usage)
        return failure.exit_code
    except Failure as failure:
        from entrepot.cli.hints import placed

        console.error(failure.message, hint=placed(failure.hint, words))
        return _exit_code(failure, command)
    except KeyboardInterrupt:
        console.note("")
        return INTERRUPTED
    except BrokenPipeError:
        _swallow_stdout()
        return 1
    except Exception as error:
        return _unforeseen(error, console)


def _command(command: parser.Command, rest: list[str], behind: list[str], console: Console, host: Host) -> int:
    if behind and command.words != "run":
        raise UsageFailure(f"unrecognized arguments: {' '.join(behind)}")
    home_option = next((rest[i + 1] for i, word in enumerate(rest[:-1]) if word == "--home"), None)
    configuration = host.configuration(home_of(home_option))
    from entrepot.cli.handlers import handler_of

    handler = handler_of(command)
    options = parser.parse(command, rest, configuration, is_complete=handler is not None)
    if options.help:
        from entrepot.cli.helptext import command_help

        sys.stdout.write(console.spoken(command_help(command)))
        return 0
    if handler is None:
        raise Failure(f"'{command.words}' is not supported by this server.")
    home = home_of(options.home)
    if options.home:
        os.environ["ENTREPOT_HOME"] = home  # for what keeps caches in the home
    if home_option is None and options.home:  # written as --home=DIR
        configuration = host.configuration(home)
        options = parser.parse(command, rest, configuration)
    options.command = behind
    call = Call(command, options, home=home, configuration=configuration, console=console, opened=host.opened)
    query = _query(options)
    try:
        value = handler(call)
    finally:
        call.close()
    form = options.output or configuration.get("core", "output") or "json"
    if form == "table" and query is None:
        from entrepot.cli.columns import rows

        value = rows(call.command.name, value)
    _print(value, query, form)
    return 0


def _query(options: argparse.Namespace) -> Any:
    if options.query is None:
        return None
    from entrepot.cli.output import Query

    return Query(options.query)


def _print(value: Any, query: Any, form: str) -> None:
    if value is None or form == "none":
        return
    from entrepot.cli.output import render

    if query is not None:
        value = query.apply(value)
    is_colourful = form in ("jsonc", "yamlc") and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    sys.stdout.write(render(value, form=form, is_colourful=is_colourful))
    sys.stdout.flush()


def _group(prefix: str, rest: list[str], console: Console) -> int:
    """Show what a group holds; a group without a command is an error unless help was asked for."""
    from entrepot.cli import helptext

    if "--version" in rest and not prefix:
        from entrepot import __version__

        sys.stdout.write(f"entrepot {__version__}\n")
        return 0
    text = helptext.group_help(prefix)
    if not rest or "-h" in rest or "--help" in rest:
        sys.stdout.write(console.spoken(text))
        return 0 if rest or not prefix else UsageFailure.exit_code
    raise UsageFailure(f"{rest[0]!r} stands where a command is expected.", usage=helptext.group_usage(prefix))


def _exit_code(failure: Failure, command: parser.Command | None) -> int:
    verb = command.name.split()[-1] if command else ""
    is_absent = isinstance(failure, ServiceFailure) and failure.status == 404
    if (is_absent and verb == "show") or (isinstance(failure, NoServer) and verb == "status"):
        return NOT_FOUND
    return failure.exit_code


def _unforeseen(error: Exception, console: Console) -> int:
    """Tell of an error that is nobody's plan: a told error of the core in one line, others with their type."""
    if console.is_debug:
        import traceback

        traceback.print_exc()
    message, hint = getattr(error, "message", None), getattr(error, "hint", None)
    if isinstance(message, str):
        console.error(message, hint=hint or "")
    elif isinstance(error, OSError) and error.strerror:
        console.error(f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}.")
    else:
        console.error(f"{type(error).__name__}: {error}", hint="" if console.is_debug else "--debug tells more")
    return 1


def _swallow_stdout() -> None:
    """Keep Python from complaining at exit that the reader of a pipe went away."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
