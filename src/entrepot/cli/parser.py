"""From words to a command and its options, by the rules of `az`: argparse's, with defaults that `configure` keeps.

Only the parser of the asked command is built. What a command does is decided in `handlers.py`.
"""

from __future__ import annotations

import argparse
import os
import sys

from entrepot.cli import grammar
from entrepot.client.failures import UsageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

    from entrepot.cli.configuration import Configuration

OUTPUTS = ("json", "jsonc", "none", "table", "tsv", "yaml", "yamlc")
GLOBAL: list[list[Any]] = [
    [["--debug"], {"flag": True}],
    [["--help", "-h"], {"flag": True}],
    [["--home"]],
    [["--only-show-errors"], {"flag": True}],
    [["--output", "-o"]],
    [["--query"]],
    [["--subscription"]],
    [["--verbose"], {"flag": True}],
]
IGNORED = ("--acquire-policy-token", "--change-reference")  # Azure Policy's; they mean nothing to this server
NAMING = frozenset(
    {"--file", "--label", "--name", "--registry-name", "--resource-group", "--version", "--workspace-name"}
)  # an empty value of one of these comes from a variable that is not set, and must not pass for "not given"
ORDERED = ("--set", "--add", "--remove")  # of `update`: applied in the order given


class Command:
    """A command of the grammar: its words as typed, and its options."""

    __slots__ = ("area", "name", "options")

    def __init__(self, area: str, name: str, options: list[list[Any]]) -> None:
        self.area = area
        self.name = name
        self.options = options

    @property
    def words(self) -> str:
        """The command as it is typed: `ml model show`."""
        return f"ml {self.name}" if self.area == "ml" else self.name


def find(argv: Sequence[str]) -> tuple[Command | None, str, list[str]]:
    """Return (command, the words understood so far, the rest); no command when only a group was named.

    Raises UsageFailure for a word that names nothing.
    """
    words = list(argv)
    area = "core"
    if words[:1] == ["ml"]:
        area, words = "ml", words[1:]
    leading = _leading(words)
    prefix = "ml" if area == "ml" else ""
    if not leading:
        return None, prefix, words
    table = grammar.load(area, leading[0]) if "/" not in leading[0] and "." not in leading[0] else None
    if table is None:
        raise _misspelled(leading[0], prefix, grammar.groups(area) + (["ml"] if area == "core" else []))
    for length in range(len(leading), 0, -1):
        name = " ".join(leading[:length])
        if name in table:
            return Command(area, name, table[name]), f"{prefix} {name}".strip(), words[length:]
    return _group_of(table, leading, words, prefix)


def _group_of(
    table: dict[str, Any], leading: list[str], words: list[str], prefix: str
) -> tuple[Command | None, str, list[str]]:
    known = leading[:1]
    for word in leading[1:]:
        below = {name.split()[len(known)] for name in table if name.split()[: len(known)] == known}
        if word not in below:
            raise _misspelled(word, f"{prefix} {' '.join(known)}".strip(), sorted(below))
        known.append(word)
    return None, f"{prefix} {' '.join(known)}".strip(), words[len(known) :]


def _leading(words: list[str]) -> list[str]:
    for index, word in enumerate(words):
        if word.startswith("-"):
            return words[:index]
    return words


def _misspelled(word: str, group: str, known: list[str]) -> UsageFailure:
    import difflib

    close = difflib.get_close_matches(word, known, n=3)
    usage = f"usage: entrepot {group} ".rstrip() + " <" + " | ".join(known) + ">"
    hint = f"did you mean: {', '.join(close)}" if close else ""
    where = f" in the group 'entrepot {group}'" if group else ""
    return UsageFailure(f"{word!r} is misspelled or not a command{where}.", usage=usage, hint=hint)


def parse(
    command: Command, argv: Sequence[str], configuration: Configuration, *, is_complete: bool = True
) -> argparse.Namespace:
    """Return the options of a command, filled up with configured defaults.

    Raises UsageFailure; for missing options only when the line has to be complete.
    The namespace has one attribute per option and `ordered`: [(set|add|remove, [words])].
    """
    is_update = command.name.endswith(" update")
    parser = _Parser(prog=f"entrepot {command.words}", add_help=False, formatter_class=_Formatter)
    parser.command = command
    for entry in command.options + GLOBAL:
        _add(parser, entry[0], entry[1] if len(entry) > 1 else {}, is_update=is_update)
    if command.area == "ml":
        for name in IGNORED:
            parser.add_argument(name, nargs="?", help=argparse.SUPPRESS)
    parser.set_defaults(ordered=[])
    namespace = parser.parse_args(argv)
    if is_complete and not namespace.help:
        _complete(command, namespace, configuration, parser)
    return namespace


def behind_dashes(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words before the first `--`, and those behind it, which belong to a command that is to be run."""
    words = list(argv)
    if "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _add(parser: _Parser, names: list[str], special: dict[str, Any], *, is_update: bool) -> None:
    if special.get("flag"):
        parser.add_argument(*names, action="store_true")
    elif is_update and names[0] in ORDERED:
        parser.add_argument(*names, nargs="+", action=_InOrder)
    elif names[0] == "--output":
        parser.add_argument(*names, type=str.lower, choices=OUTPUTS)
    elif special.get("nargs") in ("+", "*"):
        parser.add_argument(*names, nargs=special["nargs"], action="extend")
    else:
        parser.add_argument(
            *names, nargs=special.get("nargs"), default=special.get("default"), const=special.get("const")
        )


def _complete(command: Command, namespace: argparse.Namespace, configuration: Configuration, parser: _Parser) -> None:
    """Fill in configured defaults. Raises UsageFailure when something required is missing."""
    specials = {entry[0][0]: entry[1] if len(entry) > 1 else {} for entry in command.options}
    takes_registry = "--registry-name" in specials and not specials["--registry-name"].get("required")
    in_registry = takes_registry and _chooses_registry(namespace, configuration, specials)
    missing = []
    for entry in command.options:
        name, special = entry[0][0], specials[entry[0][0]]
        is_scope = name in ("--resource-group", "--workspace-name")
        attribute = name[2:].replace("-", "_")
        value = getattr(namespace, attribute)
        if value == "" and name in NAMING:
            parser.error(f"argument {'/'.join(entry[0])}: expected a value, not an empty one")
        is_wanted = name != "--registry-name" or not takes_registry
        if value is None and "configured" in special and is_wanted and not (is_scope and in_registry):
            value = configuration.default(special["configured"])
            setattr(namespace, attribute, value)
        required = (special.get("required") or (is_scope and takes_registry)) and not (is_scope and in_registry)
        if required and value in (None, [], ""):
            missing.append("/".join(entry[0]))
    if missing:
        parser.error(f"the following arguments are required: {', '.join(missing)}")


def _chooses_registry(
    namespace: argparse.Namespace, configuration: Configuration, specials: dict[str, dict[str, Any]]
) -> bool:
    """Say whether a registry is meant: the line goes before what is configured, a workspace before a registry."""
    has_workspace = getattr(namespace, "workspace_name", None) or (
        "--workspace-name" in specials and configuration.default("workspace")
    )
    if namespace.registry_name is None and not has_workspace:
        namespace.registry_name = configuration.default("registry")
    return bool(namespace.registry_name)


class _InOrder(argparse.Action):
    """Collects --set, --add and --remove in the order in which they stand on the line."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        namespace.ordered = [*namespace.ordered, (self.dest, list(values))]
        setattr(namespace, self.dest, [*(getattr(namespace, self.dest) or []), *values])


class _Formatter(argparse.HelpFormatter):
    """argparse's own asks shutil for the terminal's width at each option: 5 ms for a page that it never prints."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=100)


class _Parser(argparse.ArgumentParser):
    """argparse, but an error is an exception and shows the command's usage line."""

    command: Command

    def error(self, message: str) -> NoReturn:
        from entrepot.cli.helptext import usage_of

        hint = ""
        if "--workspace-name" in message and "required" in message:
            takes_registry = any(entry[0][0] == "--registry-name" for entry in self.command.options)
            hint = "entrepot configure --defaults group=GROUP workspace=WORKSPACE"
            hint += ", or --registry-name REGISTRY" if takes_registry else ""
        raise UsageFailure(message, usage=usage_of(self.command), hint=hint)


def expand_files(argv: Sequence[str]) -> list[str]:
    """Put a file's content wherever a value is `@file`; a file that cannot be read is kept as it is written."""
    return [_expand(word) for word in argv]


def _expand(word: str) -> str:
    head, equals, value = word.partition("=")
    if word.startswith("@"):
        head, equals, value = "", "", word
    if not value.startswith("@") or len(value) == 1:
        return word
    try:
        if value == "@-":
            content = sys.stdin.read()
        else:
            with open(os.path.expanduser(value[1:]), encoding="utf-8-sig") as file:
                content = file.read()
    except (OSError, UnicodeDecodeError):
        return word
    return head + equals + content.removesuffix("\n")
