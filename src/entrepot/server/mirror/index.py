"""What az reads before it installs an extension: the index of what there is, and which commands are in it."""

import json
from typing import Any

from entrepot.server.mirror.wheel import NAME, SOURCE, wheel

Json = Any


def index(base: str) -> Json:
    """Return the index from which az installs; `base` is the address below which the wheel is."""
    made = wheel()
    entry = {
        "downloadUrl": f"{base}/{made.filename}",
        "filename": made.filename,
        "sha256Digest": made.digest,
        "metadata": made.metadata,
    }
    return {"formatVersion": "1", "extensions": {NAME: [entry]}}


def command_tree() -> Json:
    """Return which extension has which command: az offers to install it when one is typed."""
    tree: dict[str, Json] = {}
    for file in sorted((SOURCE / "cli" / "grammar" / "ml").glob("*.json")):
        for command in json.loads(file.read_text()):
            *groups, last = command.split()
            place = tree
            for group in groups:
                place = place.setdefault(group, {})
            place[last] = NAME
    return {NAME: tree}
