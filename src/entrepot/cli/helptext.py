"""Help for every group and command, laid out from the grammar; the sentences are in `descriptions.py`."""

from __future__ import annotations

import textwrap

from entrepot.cli import descriptions, grammar
from entrepot.cli.parser import GLOBAL, OUTPUTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from entrepot.cli.parser import Command

WIDTH = 100
COLUMN = 34


def command_help(command: Command) -> str:
    """Return the help page of one command."""
    lines = [f"entrepot {command.words}: {descriptions.command_summary(command.area, command.name)}", ""]
    lines += [usage_of(command), "", "Arguments"]
    required = [entry for entry in command.options if _special(entry).get("required")]
    optional = [entry for entry in command.options if not _special(entry).get("required")]
    for entry in [*required, *optional]:
        lines += _argument(command, entry)
    if not command.options:
        lines.append("    none")
    lines += ["", "Global arguments"]
    for entry in GLOBAL:
        lines += _argument(command, entry)
    examples = descriptions.EXAMPLES.get(command.words, ())
    if examples:
        lines += ["", "Examples"]
        lines += [f"    {example}" for example in examples]
    return "\n".join(lines) + "\n"


def group_help(prefix: str) -> str:
    """Return the help page of a group: `ml`, `ml model`, `group`; empty prefix: everything."""
    if not prefix:
        return _front_page()
    entries = _entries(prefix)
    lines = [f"entrepot {prefix}: {descriptions.group_summary(prefix)}", "", group_usage(prefix), "", "Commands"]
    lines += [f"    {word:<{COLUMN - 4}}{summary}" for word, summary in entries]
    lines += ["", f"`entrepot {prefix} <command> -h` tells more about one of them."]
    return "\n".join(lines) + "\n"


def group_usage(prefix: str) -> str:
    """Return the usage line of a group."""
    return f"usage: entrepot {prefix} ".rstrip() + " <command> [options]"


def usage_of(command: Command) -> str:
    """Return the usage line of a command."""
    return _usage(
        f"entrepot {command.words}",
        (
            (entry[0], bool(_special(entry).get("required")), not _special(entry).get("flag"))
            for entry in command.options
        ),
    )


def _usage(prog: str, options: Iterable[tuple[Sequence[str], bool, bool]]) -> str:
    words = []
    for names, is_required, takes_value in sorted(options, key=lambda option: not option[1]):
        word = names[0] + (f" {names[0][2:].upper()}" if takes_value else "")
        words.append(word if is_required else f"[{word}]")
    indent = " " * len("usage: ")
    return textwrap.fill(
        f"usage: {prog} " + " ".join(w.replace(" ", "\0") for w in words), WIDTH, subsequent_indent=indent,
        break_long_words=False, break_on_hyphens=False,
    ).replace("\0", " ")  # fmt: skip


def _special(entry: list[Any]) -> dict[str, Any]:
    return entry[1] if len(entry) > 1 else {}


def _argument(command: Command, entry: list[Any]) -> list[str]:
    names, special = entry[0], _special(entry)
    text = descriptions.option_summary(command.area, command.name, names[0])
    if names[0] == "--output":
        text += f" One of {', '.join(OUTPUTS)}; json if nothing is configured."
    if "choices" in special:
        text += f" One of {', '.join(special['choices'])}."
    if "default" in special:
        text += f" Default: {special['default']}."
    if "configured" in special:
        text += f" `entrepot configure --defaults {special['configured']}=...` sets a default."
    if special.get("required"):
        text = f"[Required] {text}"
    head = "    " + " ".join(names)
    body = textwrap.wrap(text, WIDTH - COLUMN) or [""]
    if len(head) >= COLUMN:
        return [head, *(" " * COLUMN + line for line in body)]
    return [f"{head:<{COLUMN}}{body[0]}", *(" " * COLUMN + line for line in body[1:])]


def _entries(prefix: str) -> list[tuple[str, str]]:
    words = prefix.split()
    area = "ml" if words[0] == "ml" else "core"
    path = words[1:] if area == "ml" else words
    if not path:
        return [(group, descriptions.group_summary(f"ml {group}")) for group in grammar.groups("ml")]
    below: dict[str, str] = {}
    for name in grammar.load(area, path[0]) or {}:
        parts = name.split()
        if parts[: len(path)] != path:
            continue
        is_command = len(parts) == len(path) + 1
        inner = f"{prefix} {parts[len(path)]}"
        below[parts[len(path)]] = (
            descriptions.command_summary(area, name) if is_command else descriptions.group_summary(inner)
        )
    return sorted(below.items())


def _front_page() -> str:
    what = "entrepot: self-hosted Azure ML registries, with the commands of Azure's own command line."
    lines = [what, "", group_usage(""), ""]
    for title, groups in descriptions.FRONT_PAGE:
        lines.append(title)
        lines += [f"    {group:<{COLUMN - 4}}{descriptions.group_summary(group)}" for group in groups]
        lines.append("")
    lines.append("First steps: `entrepot up --detach`, `entrepot group create -n rg -l eastus`, `entrepot ml -h`.")
    return "\n".join(lines) + "\n"
