"""Make `ml/*.json` from a table of `az ml` options: `python -m entrepot.cli.grammar az_ml_grammar.json`.

The table has {"commands": {"model show": {"args": [{"opts", "required", "flag", "nargs", "default",
"configured_default", "choices_doc"}], "confirm"}}}: names only. What we add to it stands in ADDITIONS.
"""

import json
import sys
from pathlib import Path
from typing import Any

IGNORED = ("--acquire-policy-token", "--change-reference")  # accepted in every command, without meaning here


def main(source: Path) -> None:
    """Write one file per group beside this module."""
    commands = {name: entry["args"] for name, entry in json.loads(source.read_text())["commands"].items()}
    _add_ours(commands)
    tables: dict[str, dict[str, list[Any]]] = {}
    for name in sorted(commands):
        options = [_option(argument) for argument in commands[name] if argument["opts"][0] not in IGNORED]
        tables.setdefault(name.split()[0], {})[name] = sorted(options, key=lambda option: option[0][0])
    target = Path(__file__).parent / "ml"
    for group, table in tables.items():
        lines = ",\n".join(
            f"{json.dumps(name)}: [\n " + ",\n ".join(json.dumps(option) for option in options) + "]"
            for name, options in table.items()
        )
        (target / f"{group}.json").write_text("{\n" + lines + "\n}\n")


def _option(argument: dict[str, Any]) -> list[Any]:
    special = {key: argument[key] for key in ("required", "flag", "nargs", "default") if argument.get(key)}
    if "choices_doc" in argument:
        special["choices"] = argument["choices_doc"]
    if "configured_default" in argument:
        special["configured"] = argument["configured_default"]
    for option, default in (("--registry-name", "registry"), ("--location", "location")):
        if option in argument["opts"]:
            special["configured"] = default
    return [argument["opts"], special] if special else [argument["opts"]]


def _add_ours(commands: dict[str, list[dict[str, Any]]]) -> None:
    """Say all verbs for all kinds; a share without new name or version keeps those it has."""
    commands["component share"] = commands["environment share"]
    for noun in ("model", "environment", "data"):
        for argument in commands[f"{noun} share"]:
            argument["required"] = argument["required"] and "--share-with-" not in argument["opts"][0]
    registry = {"opts": ["--registry-name"]}
    for verb in ("archive", "restore"):
        commands[f"data {verb}"] = [*commands[f"data {verb}"], registry]
    commands["registry who-can"] = [
        {"opts": ["--name", "-n"], "required": True}, {"opts": ["--action"]}, {"opts": ["--role"]},
    ]  # fmt: skip
    for verb in ("create", "update"):
        commands[f"registry {verb}"] += [{"opts": ["--read-access"], "choices_doc": ["rbac", "tenant"]}]
    commands["registry delete"] += [{"opts": ["--yes", "-y"], "flag": True}, {"opts": ["--no-wait"], "flag": True}]
    commands["deployment-template delete"] = [
        *commands["deployment-template archive"], {"opts": ["--yes", "-y"], "flag": True},
    ]  # fmt: skip
    for noun in ("environment", "component", "data"):
        commands[f"{noun} download"] = commands["model download"]
    for package in commands["online-deployment create"]:
        if "--package-model" in package["opts"]:
            package["opts"] = [*package["opts"], "--with-package"]  # seen in samples, undocumented


if __name__ == "__main__":
    main(Path(sys.argv[1]))
