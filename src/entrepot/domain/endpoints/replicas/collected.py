"""What replicas collected of their requests, on its way from their folders to the workspace's blob store.

`<replica>/collected/<collection>/<rolled time>/<id>.jsonl` appears as `<path of the collection>/<rolled time>/
<id>.jsonl`, `<id>.bin` as `<id>`: bytes first, then the name, then the file goes. So nothing is lost when the server
is killed, and nothing appears twice. `<replica>/collect.json` says where to, also when the replica is over.
"""

import json
import logging
import os
import re
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from entrepot.core.errors import EntrepotError, NotFound
from entrepot.domain.hub import Hub
from entrepot.store import snapshots
from entrepot.store.blobs import BlobStore

Json = Any

_QUIET_S = 30.0  # a part that has not grown for so much longer than writers keep one open is a dead worker's
_MOST_BYTES = 256 << 20  # more than a body and than any writer's file
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 300.0
_ORDER = "collect.json"
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


def remember(collect: Mapping[str, Json], replica: Path) -> None:
    """Write down where a replica's data goes, for whoever finds its folder when there is no record of it any more."""
    draft = replica / f".{_ORDER}"
    draft.write_text(json.dumps(collect))
    draft.replace(replica / _ORDER)


def remembered(replica: Path) -> Json:
    """Return where a replica's data goes; None for one that collects nothing."""
    try:
        return json.loads((replica / _ORDER).read_text())
    except (OSError, ValueError):
        return None


class Courier:
    """Brings what one replica collected, again and again; what goes wrong is told once and tried ever more rarely."""

    def __init__(
        self, hub: Hub, collect: Mapping[str, Json], replica: Path, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._hub = hub
        self._collect = collect
        self._replica = replica
        self._clock = clock
        self._trouble = ""
        self.failures = 0
        self._not_before = 0.0

    def bring(self, *, is_over: bool = False) -> bool:
        """Bring what is complete, of a replica that is over all; say whether nothing is left that should not be."""
        if self._clock() < self._not_before:
            return False
        try:
            trouble = publish(self._hub, self._collect, self._replica, is_over=is_over)
        except NotFound as error:
            trouble = f"what was collected in {self._replica} has no place any more: {error.message}"
            if is_over:
                log.error("%s; it is lost", trouble)
                return True
        if trouble:
            pause = min(_FIRST_PAUSE_S * 2 ** min(self.failures, 20), _LONGEST_PAUSE_S)
            self.failures += 1
            self._not_before = self._clock() + pause
            if trouble != self._trouble:
                log.warning("%s; it is tried again, at last every %d s", trouble, _LONGEST_PAUSE_S)
        else:
            self.failures = 0
            if self._trouble:
                log.info("what was collected in %s comes to the blob store again", self._replica)
        self._trouble = trouble
        return not trouble


def publish(hub: Hub, collect: Mapping[str, Json], replica: Path, *, is_over: bool = False) -> str:
    """Bring what is complete to where it belongs; of a replica that is over, all. Return what went wrong first.

    What cannot be brought now stays for the next time. Raises NotFound when all that stays is of a container that is
    gone.
    """
    trouble, gone = "", None
    for name, collection in collect["collections"].items():
        try:
            store = hub.containers.store(collection["container"])
            trouble = _published(hub, collection, store, folder_of(replica) / name, is_over=is_over) or trouble
        except NotFound as error:
            gone = error
        except (EntrepotError, OSError) as error:
            trouble = f"what was collected in {replica} cannot be brought to the blob store: {_told(error)}"
    if gone is not None and not trouble:
        raise gone
    return trouble


def _published(hub: Hub, collection: Mapping[str, Json], store: BlobStore, top: Path, *, is_over: bool) -> str:
    """Bring one collection. The folder is the user's code's to write in.

    So no link is followed, no pipe opened, and names other than a writer's are left alone.
    """
    trouble = ""
    for folder, _, files, descriptor in os.fwalk(top) if top.is_dir() else ():
        rolled = Path(folder).relative_to(top).as_posix()
        for file in sorted(files):
            if _NAME.fullmatch(f"{rolled}/{file}") is None:
                continue
            try:
                if complete := _complete(file, descriptor, hub.settings.collection_flush_s, is_over=is_over):
                    _bring(hub, collection, store, rolled, complete, descriptor)
            except (EntrepotError, OSError) as error:
                trouble = trouble or f"what was collected in {top} cannot be brought to the blob store: {_told(error)}"
    return trouble


def _told(error: Exception) -> str:
    return error.message if isinstance(error, EntrepotError) else str(error)


def _complete(file: str, folder: int, flush_s: float, *, is_over: bool) -> str | None:
    """Return the name under which a file may be taken, None while somebody writes it."""
    base, _, kind = file.rpartition(".")
    if kind != "part":
        return file
    if not is_over and time.time() - os.stat(file, dir_fd=folder, follow_symlinks=False).st_mtime < flush_s + _QUIET_S:
        return None
    os.rename(file, f"{base}.jsonl", src_dir_fd=folder, dst_dir_fd=folder)
    return f"{base}.jsonl"


def _bring(hub: Hub, collection: Mapping[str, Json], store: BlobStore, rolled: str, file: str, folder: int) -> None:
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as reading:
        found = os.fstat(descriptor)
        data = reading.read(_MOST_BYTES + 1) if stat.S_ISREG(found.st_mode) else b""
    if 0 < len(data) <= _MOST_BYTES:
        digest = snapshots.keep(store, data)
        shown = f"{collection['path']}/{rolled}/{file.removesuffix('.bin')}"
        hub.containers.put(collection["container"], shown, digest, len(data))
    os.unlink(file, dir_fd=folder)
