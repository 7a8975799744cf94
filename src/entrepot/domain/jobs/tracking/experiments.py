"""Experiments: names under which runs are grouped. A job's experimentName is one, made with the job."""

import uuid
from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import AlreadyExists, InvalidRequest, NotFound, RevisionMismatch
from entrepot.core.ids import WorkspaceScope
from entrepot.domain.hub import Hub
from entrepot.domain.jobs.tracking import filters
from entrepot.domain.jobs.tracking.session import Session, pairs, text, whole_number
from entrepot.store.documents import ABSENT, Change, Document, Facet, Put, View

Json = Any

DEFAULT_NAME = "Default"
DEFAULT_ID = "0"  # what mlflow uses when no experiment was set
_VIEWS = {"ACTIVE_ONLY": View.ACTIVE, "DELETED_ONLY": View.ARCHIVED, "ALL": View.ALL}


def id_of(scope: WorkspaceScope, name: str) -> str:
    """Return the id that an experiment of this name gets."""
    return (
        DEFAULT_ID if name == DEFAULT_NAME else str(uuid.uuid5(uuid.NAMESPACE_URL, f"{scope.key}/experiments/{name}"))
    )


def key_of(scope: WorkspaceScope, experiment_id: str) -> str:
    """Return the document key of an experiment."""
    return f"{scope.key}/experiments/{experiment_id}"


def ensured(hub: Hub, scope: WorkspaceScope, name: str) -> list[Change]:
    """Return the changes that make an experiment unless it is there: for the commit of a job in it."""
    if find_by_name(hub, scope, name):
        return []
    return [_put(scope, _new(scope, name, id_of(scope, name), int(hub.clock.now() * 1000), {}), match=None)]


def find_by_name(hub: Hub, scope: WorkspaceScope, name: str) -> Document | None:
    """Return the experiment with this name, deleted ones too, or None."""
    page = hub.documents.find(f"{scope.key}/experiments", "name", name, view=View.ALL, limit=1)
    return page.documents[0] if page.documents else None


def load(session: Session, experiment_id: str) -> dict[str, Json]:
    """Return an experiment's body; the default one is there from the start. Raises NotFound."""
    document = session.hub.documents.get(key_of(session.scope, experiment_id)) if "/" not in experiment_id else None
    if document is not None:
        return document.body
    if experiment_id == DEFAULT_ID:
        return _new(session.scope, DEFAULT_NAME, DEFAULT_ID, 0, {})
    raise NotFound(f"No Experiment with id={experiment_id} exists")


def id_of_named(session: Session, name: str) -> str:
    """Return the id of the experiment that a job is in."""
    document = find_by_name(session.hub, session.scope, name)
    found: str = document.body["experiment_id"] if document else id_of(session.scope, name)
    return found


def create(session: Session, body: Mapping[str, Json]) -> Json:
    """experiments/create. Raises AlreadyExists."""
    name = text(body, "name")
    taken = AlreadyExists(f"Experiment '{name}' already exists.")
    if find_by_name(session.hub, session.scope, name) or name == DEFAULT_NAME:
        raise taken
    found = id_of(session.scope, name)
    if session.hub.documents.get(key_of(session.scope, found)):
        found = session.hub.new_id()  # the name's own id belongs to one that was renamed
    fresh = _new(session.scope, name, found, session.now_ms, pairs(body.get("tags"), what="tags"))
    try:
        session.hub.documents.commit([_put(session.scope, fresh, match=ABSENT)])
    except RevisionMismatch:
        raise taken from None
    return {"experiment_id": found}


def get(session: Session, body: Mapping[str, Json]) -> Json:
    """experiments/get."""
    return {"experiment": _shown(load(session, text(body, "experiment_id")))}


def get_by_name(session: Session, body: Mapping[str, Json]) -> Json:
    """experiments/get-by-name."""
    name = text(body, "experiment_name")
    document = find_by_name(session.hub, session.scope, name)
    if document is None and name != DEFAULT_NAME:
        raise NotFound(f"Could not find experiment with name '{name}'")
    return {"experiment": _shown(document.body if document else load(session, DEFAULT_ID))}


def search(session: Session, body: Mapping[str, Json]) -> Json:
    """experiments/search: filter by name, times and tags; newest update first."""
    view = _VIEWS.get(str(body.get("view_type") or "ACTIVE_ONLY").upper())
    if view is None:
        raise InvalidRequest(f"view_type must be one of {', '.join(_VIEWS)}: got {body.get('view_type')!r}")
    found: list[dict[str, Json]] = []
    after: str | None = None
    while True:
        page = session.hub.documents.list(f"{session.scope.key}/experiments", view=view, after=after, limit=1000)
        found += (document.body for document in page.documents)
        after = page.next
        if after is None:
            break
    if view is not View.ARCHIVED and not any(entry["experiment_id"] == DEFAULT_ID for entry in found):
        found.append(load(session, DEFAULT_ID))
    subjects = [(filters.Subject(attributes=entry, tags=entry["tags"]), entry) for entry in found]
    page_of, token = filters.select(
        subjects, body, default_order=(("last_update_time", False),), limit=whole_number(body, "max_results", 1000)
    )
    return {"experiments": [_shown(entry) for entry in page_of], **token}


def update(session: Session, body: Mapping[str, Json]) -> Json:
    """experiments/update: gives a new name."""
    name = body.get("new_name")
    if name:
        known = find_by_name(session.hub, session.scope, str(name))
        if known and known.body["experiment_id"] != body.get("experiment_id"):
            raise AlreadyExists(f"Experiment '{name}' already exists.")
        _change(session, text(body, "experiment_id"), {"name": str(name)})
    return {}


def delete(session: Session, body: Mapping[str, Json]) -> Json:
    """experiments/delete: hides it; its runs stay."""
    _change(session, text(body, "experiment_id"), {"lifecycle_stage": "deleted"})
    return {}


def restore(session: Session, body: Mapping[str, Json]) -> Json:
    """experiments/restore."""
    _change(session, text(body, "experiment_id"), {"lifecycle_stage": "active"})
    return {}


def set_tag(session: Session, body: Mapping[str, Json]) -> Json:
    """experiments/set-experiment-tag."""
    _change(session, text(body, "experiment_id"), {}, tags={text(body, "key"): str(body.get("value", ""))})
    return {}


def delete_tag(session: Session, body: Mapping[str, Json]) -> Json:
    """experiments/delete-experiment-tag."""
    _change(session, text(body, "experiment_id"), {}, tags={text(body, "key"): None})
    return {}


def _change(
    session: Session, experiment_id: str, fields: Mapping[str, Json], *, tags: Mapping[str, str | None] | None = None
) -> None:
    key = key_of(session.scope, experiment_id)

    def write() -> None:
        body = load(session, experiment_id)
        document = session.hub.documents.get(key)
        body |= {**fields, "last_update_time": session.now_ms}
        merged = {**body["tags"], **(tags or {})}
        body["tags"] = {name: value for name, value in merged.items() if value is not None}
        session.hub.documents.commit([_put(session.scope, body, match=document.revision if document else ABSENT)])

    session.settled(key, write)


def _new(scope: WorkspaceScope, name: str, experiment_id: str, now_ms: int, tags: Mapping[str, str]) -> dict[str, Json]:
    return {
        "experiment_id": experiment_id,
        "name": name,
        "artifact_location": f"mlflow-artifacts:/experiments/{experiment_id}",
        "lifecycle_stage": "active",
        "creation_time": now_ms,
        "last_update_time": now_ms,
        "tags": dict(tags),
    }


def _put(scope: WorkspaceScope, body: dict[str, Json], *, match: int | None) -> Put:
    facets = (Facet(f"{scope.key}/experiments", "name", body["name"]),)
    is_deleted = body["lifecycle_stage"] == "deleted"
    return Put(key_of(scope, body["experiment_id"]), body, match=match, is_archived=is_deleted, facets=facets)


def _shown(body: Mapping[str, Json]) -> dict[str, Json]:
    return {**body, "tags": [{"key": key, "value": value} for key, value in body["tags"].items()]}
