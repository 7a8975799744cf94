"""MLflow's REST conventions: errors, request fields from queries, artifact lists. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from entrepot.core.errors import Category, EntrepotError

Json = Any

_CODES: Mapping[Category, tuple[str, int]] = {
    Category.BAD_REQUEST: ("INVALID_PARAMETER_VALUE", 400),
    Category.NOT_FOUND: ("RESOURCE_DOES_NOT_EXIST", 404),
    Category.CONFLICT: ("RESOURCE_ALREADY_EXISTS", 400),
    Category.FORBIDDEN: ("PERMISSION_DENIED", 403),
    Category.UNAUTHENTICATED: ("UNAUTHENTICATED", 401),
    Category.UNSUPPORTED: ("NOT_IMPLEMENTED", 501),
    Category.TOO_LARGE: ("INVALID_PARAMETER_VALUE", 413),
    Category.UNAVAILABLE: ("TEMPORARILY_UNAVAILABLE", 503),
    Category.PRECONDITION: ("ABORTED", 409),
    Category.NO_ROOM: ("RESOURCE_LIMIT_EXCEEDED", 507),
}
_LISTS = frozenset({"experiment_ids", "run_ids", "filter_names"})


def error_of(error: EntrepotError) -> tuple[int, dict[str, Json]]:
    """Return the status and body with which MLflow clients are told of an error."""
    code, status = _CODES.get(error.category, ("INTERNAL_ERROR", 500))
    return status, {"error_code": code, "message": error.message}


def fields_of_query(pairs: Sequence[tuple[str, str]]) -> dict[str, Json]:
    """Return the request fields of a GET; repeated ones, and those that are lists by name, become lists."""
    fields: dict[str, Json] = {}
    for name, value in pairs:
        known = fields.get(name)
        if isinstance(known, list):
            known.append(value)
        elif name in fields:
            fields[name] = [known, value]
        else:
            fields[name] = [value] if name in _LISTS else value
    return fields


def artifact_list(files: Iterable[tuple[str, int]], folders: Iterable[str]) -> dict[str, Json]:
    """Return the proxy's list of artifacts; paths are relative to the folder that was asked for."""
    found: list[Json] = [{"path": path.rstrip("/"), "is_dir": True} for path in folders]
    found += [{"path": path, "is_dir": False, "file_size": size} for path, size in files]
    return {"files": sorted(found, key=lambda entry: str(entry["path"]))}
