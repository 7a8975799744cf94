"""registered-models/*: the names under which versions are registered."""

from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import AlreadyExists, InvalidRequest, NotFound
from entrepot.core.nouns import MODEL
from entrepot.domain import access
from entrepot.domain.assets import catalog
from entrepot.domain.jobs.tracking import filters
from entrepot.domain.jobs.tracking.session import pairs, text, whole_number
from entrepot.domain.registered.desk import NO_PROMPT, Desk, shown_name
from entrepot.domain.registered.versions import newest_of
from entrepot.store.documents import Delete, Document, View

Json = Any


def create(desk: Desk, body: Mapping[str, Json]) -> Json:
    """registered-models/create. Raises AlreadyExists, which clients expect when they register a further version."""
    wanted = text(body, "name")
    try:
        desk.name(body)
    except NotFound:
        pass
    else:
        raise AlreadyExists(f"Registered Model (name={wanted}) already exists.")
    fields = {"tags": pairs(body.get("tags"), what="tags"), "description": body.get("description") or None}
    return {"registered_model": _shown(desk, _change(desk, wanted, fields))}


def get(desk: Desk, body: Mapping[str, Json]) -> Json:
    """registered-models/get."""
    return {"registered_model": _shown(desk, desk.name(body))}


def search(desk: Desk, body: Mapping[str, Json]) -> Json:
    """registered-models/search: filter by name and tags; by name unless ordered otherwise."""
    subjects = [(_subject(document.body), document) for document in desk.names()]
    limit = whole_number(body, "max_results", 100)
    found, token = filters.select(subjects, body, default_order=(("name", True),), limit=limit)
    return {"registered_models": [_shown(desk, document) for document in found], **token}


def update(desk: Desk, body: Mapping[str, Json]) -> Json:
    """registered-models/update: the description."""
    name = desk.name(body).body["name"]
    changed = _change(desk, name, {"description": str(body.get("description") or "")})
    return {"registered_model": _shown(desk, changed)}


def rename(desk: Desk, body: Mapping[str, Json]) -> Json:
    """registered-models/rename is refused: jobs, components and lineage name assets by their names."""
    name = desk.name(body).body["name"]
    raise InvalidRequest(
        f"The name of a model never changes, since jobs and other assets refer to it: register {name} under "
        f"{text(body, 'new_name')!r} with copy_model_version, and archive it here",
        target="new_name",
    )


def delete(desk: Desk, body: Mapping[str, Json]) -> Json:
    """registered-models/delete: with all versions. Raises StateConflict when one is in use."""
    document = desk.name(body)
    name = document.body["name"]
    action = access.asset_action(desk.scope.key, MODEL, "delete")
    access.require(desk.hub, desk.principal, action, document.key)
    for version in list(desk.versions(name, view=View.ALL)):
        catalog.delete(desk.hub, desk.principal, catalog.ref_of(version.body))
    left = desk.hub.documents.get(document.key)
    if left is not None and not any(True for _ in desk.versions(name, view=View.ALL)):
        desk.hub.documents.commit([Delete(left.key, match=left.revision)])
    return {}


def set_tag(desk: Desk, body: Mapping[str, Json]) -> Json:
    """registered-models/set-tag."""
    return _retagged(desk, body, {text(body, "key"): str(body.get("value", ""))})


def delete_tag(desk: Desk, body: Mapping[str, Json]) -> Json:
    """registered-models/delete-tag."""
    return _retagged(desk, body, {text(body, "key"): None})


def _retagged(desk: Desk, body: Mapping[str, Json], tags: Mapping[str, str | None]) -> Json:
    found = desk.name(body).body
    merged = {**(found["properties"].get("tags") or {}), **tags}
    _change(desk, found["name"], {"tags": {key: value for key, value in merged.items() if value is not None}})
    return {}


def _change(desk: Desk, name: str, fields: dict[str, Json]) -> Document:
    return catalog.update_container(desk.hub, desk.principal, desk.scope, MODEL, name, fields)


def _shown(desk: Desk, document: Document) -> dict[str, Json]:
    return shown_name(document.body, newest_of(desk, document))


def _subject(body: Mapping[str, Json]) -> filters.Subject:
    attributes = {key: value for key, value in shown_name(body, []).items() if key not in ("tags", "aliases")}
    return filters.Subject(attributes=attributes, tags={**NO_PROMPT, **(body["properties"].get("tags") or {})})
