"""What all iterations of a `parallel_for` left, as one output: an MLTable over their folders, or a list of values."""

import json
from collections.abc import Mapping
from typing import Any

from entrepot.core.digests import Digest
from entrepot.core.manifests import FileEntry, Manifest
from entrepot.domain.hub import Hub
from entrepot.domain.jobs.records import Record
from entrepot.domain.scopes import home
from entrepot.store import snapshots

Json = Any


def together(hub: Hub, record: Record, kind: str, made: Mapping[str, Json]) -> Digest:
    """Keep {iteration: its output's entry} as one snapshot. `kind`: `string` for values, else `mltable`.

    Values become a JSON list of texts, in the order of the items.
    """
    blobs = hub.depots.of(home(hub, record.scope).region)
    if kind == "string":
        return _written(hub, record, {"values": json.dumps([entry["value"] for entry in made.values()])}, ())
    files = []
    for name, entry in made.items():
        files += list(snapshots.read(blobs, Digest(entry["snapshot"])).prefixed(name).files)
    lines = ["type: mltable", "paths:", *(f"  - folder: ./{name}" for name in made), ""]
    return _written(hub, record, {"MLTable": "\n".join(lines)}, tuple(files))


def _written(hub: Hub, record: Record, texts: Mapping[str, str], files: tuple[FileEntry, ...]) -> Digest:
    blobs = hub.depots.of(home(hub, record.scope).region)
    made = []
    for name, text in texts.items():
        data = text.encode()
        made.append(FileEntry(name, snapshots.keep(blobs, data), len(data)))
    return snapshots.write(blobs, Manifest((*made, *files)))
