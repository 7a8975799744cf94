"""What a deployment's replicas print, as `get-logs` shows it: how each stands, then the last lines of its log."""

from pathlib import Path

from entrepot.domain.endpoints.replicas import records
from entrepot.domain.endpoints.replicas.kits import deployment_folder
from entrepot.domain.hub import Hub

SERVER, INITIALIZER = "inference-server", "storage-initializer"
"""Azure's containers of a replica: the server itself, and what brings model, code and environment before it starts."""

_FILES = {SERVER: "log.txt", INITIALIZER: "prepare.txt"}
_MOST_BYTES = 4 << 20
ERROR_LINES = 20


def logs(hub: Hub, deployment_key: str, *, tail: int, container: str = SERVER) -> str:
    """Return the last `tail` lines of each replica's log, the newest replica last."""
    folder = deployment_folder(hub, deployment_key)
    parts = []
    for replica in records.all_of(hub, deployment_key):
        told = f"Instance {replica.id}: {replica.state}, generation {replica.generation}, {replica.restarts} restarts"
        if replica.error:
            told += f"\n{replica.error}"
        text = last_lines(folder / replica.id / _FILES.get(container, _FILES[SERVER]), tail)
        parts.append(f"{told}\n{text}" if text else told)
    return "\n\n".join(parts) + "\n" if parts else "There is no replica\n"


def last_lines(file: Path, count: int, *, start: int = 0) -> str:
    """Return the last lines of a file, of what it has from byte `start` on; '' when there is none."""
    try:
        with file.open("rb") as reading:
            size = reading.seek(0, 2)
            reading.seek(max(0, size - _MOST_BYTES, start if start <= size else 0))
            text = reading.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.rstrip("\n").split("\n")[-count:]) if count > 0 else ""
