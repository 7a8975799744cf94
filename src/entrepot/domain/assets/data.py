"""Data assets: a file, a folder, or a folder with an MLTable; in a workspace they may also point outside."""

from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest
from entrepot.core.ids import AssetRef
from entrepot.domain.assets.kind import Content, Properties, Rules, other_contents, require_text, snapshot_contents

Json = Any

TYPES = ("uri_file", "uri_folder", "mltable")
_FILE = "MLTable"


def _normalise(ref: AssetRef, properties: Properties) -> None:
    properties["dataType"] = properties.get("dataType") or "uri_folder"
    require_text(properties, "dataType", choices=TYPES)


def _inspect(ref: AssetRef, properties: Properties, content: Content) -> None:
    kind = properties["dataType"]
    shown = content.name or "."
    if kind == "uri_file" and not content.is_file:
        raise InvalidRequest(
            f"{shown} is a folder, and {ref.name} is a uri_file: use type uri_folder", target="dataUri"
        )
    if kind != "uri_file" and content.is_file:
        raise InvalidRequest(f"{shown} is a file, and {ref.name} is a {kind}: use type uri_file", target="dataUri")
    if kind == "mltable" and content.manifest.find(_FILE) is None:
        raise InvalidRequest(f"{shown} has no file {_FILE}, which an mltable needs", target="dataUri")


def _contents(properties: Properties, ours: Mapping[str, Json]) -> dict[str, Json]:
    bytes_ = snapshot_contents(ours) or {"path": properties.get("dataUri")}
    known = ("dataType", "dataUri")
    return {"type": properties.get("dataType"), **bytes_, **other_contents(properties, known)}


RULES = Rules(
    address=("dataUri",), normalise=_normalise, contents=_contents, inspect=_inspect,
    may_be_outside=True, may_be_late=True,
)  # fmt: skip
