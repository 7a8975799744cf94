"""Logs of jobs: a live file while a job runs, a blob afterwards, and for pipelines a text made of their events."""

from typing import Any

from entrepot.core.ids import WorkspaceScope
from entrepot.domain.hub import Hub
from entrepot.domain.jobs import outputs, records
from entrepot.domain.jobs.records import Record
from entrepot.domain.jobs.tracking import interactive
from entrepot.store import paths

Json = Any

STD_LOG = "user_logs/std_log.txt"
PIPELINE_LOG = "logs/azureml/executionlogs.txt"  # the name under which azure-ai-ml looks for a pipeline's log
LIMIT_BYTES = 32 << 20
TAIL_LINES = 20


def names(record: Record) -> tuple[str, ...]:
    """Return the names of the log files that a job has: none when it is a run that MLflow began elsewhere."""
    if record.ours.get("kind") == records.RUN:
        return ()
    return (PIPELINE_LOG,) if record.is_parent else (STD_LOG,)


def read(
    hub: Hub, scope: WorkspaceScope, job: str, name: str, offset: int, *, limit_bytes: int = LIMIT_BYTES
) -> tuple[str, int]:
    """Return what a log holds from a byte offset on, and the offset to read on from. Raises NotFound for the job.

    A log that does not exist (yet) is empty. A character that is written only half is left for the next time.
    """
    record = records.find(hub, scope, job)
    if record is None:
        interactive.load(hub, scope, job)  # or there is no such job
        return "", offset
    if record.is_parent:
        data = _pipeline_log(hub, record).encode()[offset : offset + limit_bytes]
    else:
        data = _file_part(hub, record, name, offset, limit_bytes)
    text = data.decode("utf-8", "ignore") if _ends_half(data) else data.decode("utf-8", "replace")
    return text, offset + (len(text.encode()) if _ends_half(data) else len(data))


def tail(hub: Hub, record: Record, *, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a step's live log."""
    file = records.log_of(hub.settings.home, record.scope, record.name)
    try:
        with file.open("rb") as reading:
            size = reading.seek(0, 2)
            reading.seek(max(0, size - (64 << 10)))
            text = reading.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.rstrip("\n").split("\n")[-lines:])


def _file_part(hub: Hub, record: Record, name: str, offset: int, limit_bytes: int) -> bytes:
    live = records.log_of(hub.settings.home, record.scope, record.name)
    if name == STD_LOG:
        try:
            with live.open("rb") as reading:
                reading.seek(offset)
                return reading.read(limit_bytes)
        except FileNotFoundError:
            pass  # not begun, or finished: then it is a blob
    entry = record.ours.get("artifacts") or outputs.artifacts_entry(hub, record.scope, record.name)
    item = hub.containers.stat(entry["container"], f"{entry['path']}/{name}")
    if item is None or offset >= item.size_bytes:
        return b""
    blobs = hub.containers.store(entry["container"])
    with blobs.open(
        paths.content(item.digest), start=offset, length=min(limit_bytes, item.size_bytes - offset)
    ) as blob:
        return blob.read()


def _ends_half(data: bytes) -> bool:
    """Say whether the data end inside a UTF-8 character."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        needed = 2 if byte & 0xE0 == 0xC0 else 3 if byte & 0xF0 == 0xE0 else 4 if byte & 0xF8 == 0xF0 else 1
        return needed > back
    return False


def _pipeline_log(hub: Hub, record: Record) -> str:
    lines = []
    position = 0
    stream = records.events_of(record.scope, record.name)
    while entries := hub.documents.read(stream, after=position):
        lines += [_line(entry.body) for entry in entries]
        position = entries[-1].position
    return "".join(lines)


def _line(event: Json) -> str:
    time = event["time"][:19].replace("T", " ") + "Z"
    said = f": {event['message']}" if event.get("message") else ""
    return f"[{time}] {event['node']} ({event['job']}) {event['status']}{said}\n"
