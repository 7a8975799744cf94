"""Control outputs of a step: one file each, which holds the value of a boolean, number or text.

The step writes it to the path `${{outputs.x}}`, or says it in the property or tag `azureml.pipeline.control` of its
run, JSON with a value for each output, as components made of Python functions do.
"""

import json
import os
import stat
from pathlib import Path
from typing import Any

from entrepot.core.errors import UserCodeFailed
from entrepot.domain.hub import Hub
from entrepot.domain.jobs import records
from entrepot.domain.jobs.records import Record
from entrepot.domain.jobs.spec import LITERAL_TYPES

Json = Any

PROPERTY = "azureml.pipeline.control"


def complete(hub: Hub, record: Record, folder: Path) -> None:
    """Write the control outputs that the step only said. Raises UserCodeFailed for one that has no value at all."""
    wanted = {name: place["type"] for name, place in record.ours["order"]["outputs"].items()}
    open_ones = [
        (name, kind) for name, kind in wanted.items() if kind in LITERAL_TYPES and not _is_written(folder / name / name)
    ]
    if not open_ones:
        return
    said = _said(hub, record)
    for name, kind in open_ones:
        if name not in said:
            raise UserCodeFailed(
                f"The step ended well, but its output {name} ({kind}) has no value: write it to the file "
                f"${{{{outputs.{name}}}}}"
            )
        with (folder / name / name).open("x") as file:  # never through a link that the step left there
            file.write(str(said[name]))


def _is_written(file: Path) -> bool:
    """Say whether the step wrote the file. Raises UserCodeFailed for what is no file: a link, a pipe."""
    if file.parent.is_symlink() or (os.path.lexists(file) and not stat.S_ISREG(file.lstat().st_mode)):
        raise UserCodeFailed(f"The output {file.name} is not a plain file: write its value to the file that was named")
    return file.exists()


def _said(hub: Hub, record: Record) -> dict[str, Json]:
    logged = hub.documents.get(records.run_key(record.scope, record.name))
    fresh = records.load(hub, record.scope, record.name).properties
    places = ((logged.body["tags"] if logged else {}), fresh.get("properties") or {}, fresh.get("tags") or {})
    text = next((place[PROPERTY] for place in places if place.get(PROPERTY)), "{}")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UserCodeFailed(f"The property {PROPERTY} is no JSON: {error}") from error
    return found if isinstance(found, dict) else {}
