"""The home and the defaults that `configure` keeps: `<home>/config`, an ini file with a `[defaults]` section.

`AZURE_DEFAULTS_GROUP` and the like go before the file, as they do in `az`.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def home_of(option: str | None) -> str:
    """Return the home: the option, ENTREPOT_HOME, or ~/.entrepot, absolute."""
    # entrepot.core.settings says the same for the server; importing it would cost 15 ms at start-up
    chosen = option or os.environ.get("ENTREPOT_HOME") or "~/.entrepot"
    return os.path.abspath(os.path.expanduser(chosen))


class Configuration:
    """The settings of one home's command line, by section and name."""

    def __init__(self, home: str, sections: dict[str, dict[str, str]] | None = None) -> None:
        self.file = f"{home}/config"
        self.sections = _read(self.file) if sections is None else sections

    def default(self, name: str) -> str | None:
        """Return the default for `group`, `workspace`, `location`, `registry`, ...; None when there is none."""
        from_environment = os.environ.get("AZURE_DEFAULTS_" + name.upper().replace("-", "_"))
        return from_environment or self.get("defaults", name)

    def get(self, section: str, name: str) -> str | None:
        """Return a setting; None when there is none."""
        environment = os.environ.get(f"AZURE_{section}_{name}".upper().replace("-", "_"))
        return environment or self.sections.get(section, {}).get(name) or None

    def defaults(self) -> list[dict[str, str]]:
        """Return all defaults as `az configure -l` lists them."""
        rows = [
            {"name": name, "source": self.file, "value": value}
            for name, value in self.sections.get("defaults", {}).items()
        ]
        prefix = "AZURE_DEFAULTS_"
        for name, value in os.environ.items():
            if name.startswith(prefix) and value:
                short = name[len(prefix) :].lower()
                rows = [row for row in rows if row["name"] != short]
                rows.append({"name": short, "source": name, "value": value})
        return sorted(rows, key=lambda row: row["name"])

    def save(self, section: str, values: Mapping[str, str]) -> None:
        """Set values; an empty one removes the setting."""
        table = self.sections.setdefault(section, {})
        for name, value in values.items():
            if value:
                table[name] = value
            else:
                table.pop(name, None)
        os.makedirs(os.path.dirname(self.file), mode=0o700, exist_ok=True)
        text = "".join(
            f"[{section}]\n" + "".join(f"{name} = {value}\n" for name, value in rows.items())
            for section, rows in self.sections.items()
            if rows
        )
        with open(f"{self.file}.new", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(f"{self.file}.new", self.file)


def _read(path: str) -> dict[str, dict[str, str]]:
    sections: dict[str, dict[str, str]] = {}
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError:
        return sections
    section: dict[str, str] = {}
    for line in map(str.strip, lines):
        if line.startswith("[") and line.endswith("]"):
            section = sections.setdefault(line[1:-1].strip(), {})
        elif "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            section[name.strip().lower()] = value.strip()
    return sections
