"""What replicas collected of their requests, on its way from their folders to the workspace's blob store.

`<replica>/collected/<collection>/<rolled time>/<id>.jsonl` appears as `<path of the collection>/<rolled time>/
<id>.jsonl`, `<id>.bin` as `<id>`: bytes first, then the name, then the file goes. So nothing is lost when the server
is killed, and nothing appears twice.
"""

import logging
import os
import re
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from entrepot.core.errors import EntrepotError
from entrepot.domain.hub import Hub
from entrepot.store import snapshots

Json = Any

_QUIET_S = 30.0  # a part that has not grown for so much longer than writers keep one open is a dead worker's
_MOST_BYTES = 256 << 20  # more than a body and than any writer's file
_NAME = re.compile(r"\d{4}(/\d\d){0,4}/[0-9a-f-]{36}\.(jsonl|part|bin)")

log = logging.getLogger(__name__)


def folder_of(replica: Path) -> Path:
    """Return where a replica writes what it collects."""
    return replica / "collected"


def order_of(collect: Mapping[str, Json], folder: Path, *, flush_s: float) -> dict[str, Json]:
    """Return what a replica is told."""
    collections = {name: one["rate"] for name, one in collect["collections"].items()}
    return {
        "collections": collections, "roll": collect["roll"], "headers": collect["headers"],
        "source": collect["source"], "folder": str(folder), "flush_s": flush_s,
        "places": {name: one["uri"] for name, one in collect["collections"].items()},
    }  # fmt: skip


def publish(hub: Hub, collect: Mapping[str, Json], replica: Path, *, is_over: bool = False) -> bool:
    """Bring what is complete to where it belongs; of a replica that is over, all. Return whether that went well.

    Trouble is told in the log, and what cannot be brought now stays for the next time. The folder is the user's code's
    to write in: no link is followed, no pipe opened, and names other than a writer's are left alone.
    """
    is_well = True
    for name, collection in collect["collections"].items():
        top = folder_of(replica) / name
        for folder, _, files, descriptor in os.fwalk(top) if top.is_dir() else ():
            rolled = Path(folder).relative_to(top).as_posix()
            for file in sorted(files):
                if _NAME.fullmatch(f"{rolled}/{file}") is None:
                    continue
                try:
                    if complete := _complete(file, descriptor, hub.settings.collection_flush_s, is_over=is_over):
                        _bring(hub, collection, rolled, complete, descriptor)
                except (EntrepotError, OSError) as error:
                    log.warning("%s/%s could not be brought to the blob store yet: %s", folder, file, error)
                    is_well = False
    return is_well


def _complete(file: str, folder: int, flush_s: float, *, is_over: bool) -> str | None:
    """Return the name under which a file may be taken, None while somebody writes it."""
    base, _, kind = file.rpartition(".")
    if kind != "part":
        return file
    if not is_over and time.time() - os.stat(file, dir_fd=folder, follow_symlinks=False).st_mtime < flush_s + _QUIET_S:
        return None
    os.rename(file, f"{base}.jsonl", src_dir_fd=folder, dst_dir_fd=folder)
    return f"{base}.jsonl"


def _bring(hub: Hub, collection: Mapping[str, Json], rolled: str, file: str, folder: int) -> None:
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as reading:
        found = os.fstat(descriptor)
        data = reading.read(_MOST_BYTES + 1) if stat.S_ISREG(found.st_mode) else b""
    if 0 < len(data) <= _MOST_BYTES:
        digest = snapshots.keep(hub.containers.store(collection["container"]), data)
        shown = f"{collection['path']}/{rolled}/{file.removesuffix('.bin')}"
        hub.containers.put(collection["container"], shown, digest, len(data))
    os.unlink(file, dir_fd=folder)
