"""Components and environments as files again: the YAML that `create --file` takes, and the folders that it names.

What the server added on its own is left out; references stay the pinned ids that they were made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from entrepot.client import files
from entrepot.client.assets import DERIVED
from entrepot.client.connection import quote
from entrepot.client.failures import FileFailure
from entrepot.client.scopes import registry
from entrepot.client.session import Session
from entrepot.client.shapes import asset_views
from entrepot.core.manifests import is_safe_path

Json = Any

CONDA = "conda.yml"
_NOT_WRITTEN = (*DERIVED, "is_archived", "_source")
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that `holder[field]` names. `identity`: the id of the code in it, '' for the asset's own bytes."""

    holder: dict[str, Json]
    field: str
    identity: str

    def named(self, prefix: str) -> str:
        """Have the folder named in the YAML as it was when it was uploaded, to `prefix`; return its name.

        The name is part of what makes two versions equal.
        """
        name = prefix.rstrip("/").rpartition("/")[2]
        name = name if is_safe_path(name) else self.field
        self.holder[self.field] = f"./{name}"
        return name


@dataclass(frozen=True, slots=True)
class Definition:
    """The YAML file of an asset and what lies beside it. `texts`: {file: text}."""

    file: str
    data: dict[str, Json]
    texts: dict[str, str] = field(default_factory=dict)
    folders: list[Folder] = field(default_factory=list)

    def write(self, folder: Path) -> Path:
        """Write the files, each whole or not at all, and return the YAML's path. Raises FileFailure."""
        folder.mkdir(parents=True, exist_ok=True)
        text = yaml.dump(self.data, Dumper=_DUMPER, sort_keys=False, allow_unicode=True)
        for name, content in {**self.texts, self.file: str(text)}.items():
            if (folder / name).is_dir():
                raise FileFailure(f"{folder / name} is a folder, and a file of that name is to be written.")
            part = folder / f".{name}.part"
            part.unlink(missing_ok=True)
            part.write_text(content, encoding="utf-8")
            part.replace(folder / name)
        return folder / self.file


def of_component(document: Json) -> Definition:
    """Return a component's definition with the folder of its code, or of its task's."""
    data = _plain("components", document)
    found = Definition("component.yml", data)
    for side in ("inputs", "outputs"):
        data[side] = {name: _port(port) for name, port in data[side].items()}
    if isinstance(data.get("task"), dict):
        data["task"] = dict(data["task"])
    for holder in (data, data.get("task") or {}):
        if holder.get("code"):
            found.folders.append(Folder(holder, "code", str(holder["code"])))
    return found


def of_environment(document: Json) -> Definition:
    """Return an environment's definition, with its conda file or the folder of its build context beside it."""
    data, properties = _plain("environments", document), document["properties"]
    found = Definition("environment.yml", data)
    if properties.get("osType") == "Linux":  # what it is when nothing is said
        del data["os_type"]
    if "conda_file" in data:
        text = properties["condaFile"]
        found.texts[CONDA] = text if isinstance(text, str) else files.dump(text)
        data["conda_file"] = f"./{CONDA}"
    context = properties.get("build") or {}
    data.pop("build", None)
    if context:
        data["build"] = {"path": context.get("contextUri"), "dockerfile_path": context.get("dockerfilePath")}
        if (document.get("entrepot") or {}).get("snapshot"):
            found.folders.append(Folder(data["build"], "path", ""))
    return found


OF = {"components": of_component, "environments": of_environment}


def address_of(session: Session, identity: str) -> str:
    """Return the server's address of an asset version from its id, as specifications hold it. Raises ServiceFailure."""
    plain = identity.removeprefix("azureml:/subscriptions/")
    if plain != identity:
        return f"/subscriptions/{quote(plain, safe='/')}"
    name, plural, asset, _, version = identity.removeprefix("azureml://registries/").split("/")
    return registry(session, name).version(plural, asset, version)


def _plain(plural: str, document: Json) -> dict[str, Json]:
    shown = asset_views.view(plural, document)
    kept = {name: value for name, value in shown.items() if name not in _NOT_WRITTEN}
    return {name: value for name, value in kept.items() if value not in (None, {}) or name in ("inputs", "outputs")}


def _port(port: dict[str, Json]) -> dict[str, Json]:
    """Return a port with its literals in its own type: the wire has text for all of them."""
    if port.get("type") not in ("integer", "number", "boolean"):
        return dict(port)
    typed = ("default", "min", "max")
    return {name: _literal(value) if name in typed else value for name, value in port.items()}


def _literal(value: Json) -> Json:
    return files.scalar(value.lower()) if isinstance(value, str) else value
