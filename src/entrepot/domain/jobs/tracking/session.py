"""What every tracking function takes, and how request fields are read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from entrepot.core.errors import InvalidRequest
from entrepot.core.ids import WorkspaceScope
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.hub import Hub, Principal

Json = Any
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """Who asks, in which workspace."""

    hub: Hub
    principal: Principal
    scope: WorkspaceScope

    @property
    def now_ms(self) -> int:
        """The time as MLflow counts it."""
        return int(self.hub.clock.now() * 1000)

    def settled(self, key: str, act: Callable[[], T]) -> T:
        """Run a read-decide-commit on one document; calls of this process take turns, which spares retries."""
        with self.hub.locks.of(key):
            return settled(act)


def text(body: Mapping[str, Json], name: str) -> str:
    """Return a required field as text. Raises InvalidRequest."""
    value = body.get(name)
    if value is None or value == "" or isinstance(value, list | dict):
        raise InvalidRequest(f"Missing value for required parameter '{name}'", target=name)
    return str(value)


def run_id(body: Mapping[str, Json]) -> str:
    """Return the run that a request is about; old clients call it run_uuid."""
    return text(body if body.get("run_id") else {"run_id": body.get("run_uuid")}, "run_id")


def whole_number(body: Mapping[str, Json], name: str, default: int) -> int:
    """Return a number, which protobuf clients may send as text. Raises InvalidRequest."""
    value = body.get(name)
    if value is None or value == "":
        return default
    try:
        return int(value)
    except (TypeError, ValueError):
        raise InvalidRequest(f"{name} must be a whole number: got {value!r}", target=name) from None


def pairs(entries: Json, *, what: str) -> dict[str, str]:
    """Read `[{"key", "value"}, ...]`. Raises InvalidRequest."""
    found: dict[str, str] = {}
    for entry in entries or ():
        if not isinstance(entry, Mapping) or not entry.get("key"):
            raise InvalidRequest(f"Each of {what} needs a key: got {entry!r}")
        found[str(entry["key"])] = str(entry.get("value", ""))
    return found


def entries(values: Mapping[str, str]) -> list[Json]:
    """Render a mapping as `[{"key", "value"}, ...]`."""
    return [{"key": key, "value": value} for key, value in values.items()]
