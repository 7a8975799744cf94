"""model-versions/*: versions of registered models, made of what runs logged and of other versions."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from entrepot.core.errors import AlreadyExists, InvalidRequest
from entrepot.core.nouns import MODEL
from entrepot.domain.assets import catalog
from entrepot.domain.jobs.tracking import filters
from entrepot.domain.jobs.tracking.session import pairs, text, whole_number
from entrepot.domain.registered import prompts
from entrepot.domain.registered.desk import (
    LOGGED_MODEL,
    NO_PROMPT,
    NO_STAGE,
    RUN,
    Desk,
    address,
    aliases_of,
    shown_version,
    stage_of,
)
from entrepot.domain.registered.origins import origin_of
from entrepot.store.documents import Document

Json = Any

STAGES = (NO_STAGE, "Staging", "Production", "Archived")
_ARCHIVED = STAGES[-1]
_ATTEMPTS = 20
_NAMED = re.compile(r"\bname\s*=\s*(?:'([^']*)'|\"([^\"]*)\")")


def create(desk: Desk, body: Mapping[str, Json]) -> Json:
    """model-versions/create: the next number of the name. Raises NotFound for the name and for what was logged."""
    name = desk.name(body).body["name"]
    tags = pairs(body.get("tags"), what="tags")
    is_prompt = prompts.is_prompt(tags)
    origin = prompts.origin_of(desk, name, tags) if is_prompt else origin_of(desk, text(body, "source"))
    run = str(body.get("run_id") or origin.run)
    model_id = str(body.get("model_id") or origin.model_id)
    told = {key: value for key, value in ((RUN, run), (LOGGED_MODEL, model_id)) if value}
    properties = {
        "modelType": "mlflow_model" if origin.is_mlflow else "custom_model",
        "modelUri": origin.address,
        "description": body.get("description") or None,
        "tags": tags,
        "properties": told,
    }
    for _ in range(_ATTEMPTS):
        container = catalog.get_container(desk.hub, desk.principal, desk.scope, MODEL, name).body
        ref = desk.ref(name, container["properties"]["nextVersion"])
        try:
            document, is_created = catalog.create(desk.hub, desk.principal, ref, dict(properties))
        except AlreadyExists:
            continue
        if is_created:
            return {"model_version": shown_version(desk, document.body, aliases_of(container))}
    raise AlreadyExists(f"Many register versions of {name} at once: try again")


def get(desk: Desk, body: Mapping[str, Json]) -> Json:
    """model-versions/get."""
    return {"model_version": _shown(desk, desk.version(body).body)}


def update(desk: Desk, body: Mapping[str, Json]) -> Json:
    """model-versions/update: the description."""
    return {"model_version": _shown(desk, _change(desk, body, {"description": str(body.get("description") or "")}))}


def delete(desk: Desk, body: Mapping[str, Json]) -> Json:
    """model-versions/delete. With its last version goes the name, as everywhere here."""
    ref = catalog.ref_of(desk.version(body).body)
    catalog.delete(desk.hub, desk.principal, ref)
    return {}


def set_tag(desk: Desk, body: Mapping[str, Json]) -> Json:
    """model-versions/set-tag."""
    return _retagged(desk, body, {text(body, "key"): str(body.get("value", ""))})


def delete_tag(desk: Desk, body: Mapping[str, Json]) -> Json:
    """model-versions/delete-tag."""
    return _retagged(desk, body, {text(body, "key"): None})


def transition(desk: Desk, body: Mapping[str, Json]) -> Json:
    """model-versions/transition-stage. Raises InvalidRequest for other stages than MLflow's."""
    stage = next((known for known in STAGES if known.lower() == text(body, "stage").lower()), None)
    if stage is None:
        raise InvalidRequest(f"Invalid Model Version stage: {body['stage']}. Value must be one of {', '.join(STAGES)}.")
    moved = _change(desk, body, {"stage": stage})
    if str(body.get("archive_existing_versions", "")).lower() == "true" and stage not in (NO_STAGE, _ARCHIVED):
        for other in list(desk.versions(text(body, "name"))):
            ref = catalog.ref_of(other.body)
            if stage_of(other.body) == stage and ref.version != text(body, "version"):
                catalog.update(desk.hub, desk.principal, ref, {"stage": _ARCHIVED})
    return {"model_version": _shown(desk, moved)}


def download_uri(desk: Desk, body: Mapping[str, Json]) -> Json:
    """model-versions/get-download-uri."""
    return {"artifact_uri": address(desk.scope, catalog.ref_of(desk.version(body).body))}


def latest(desk: Desk, body: Mapping[str, Json]) -> Json:
    """registered-models/get-latest-versions: the newest of each stage, or of the stages that are asked for."""
    wanted = body.get("stages") or ()
    stages = {str(stage).lower() for stage in ([wanted] if isinstance(wanted, str) else wanted)}
    found = newest_of(desk, desk.name(body))
    return {"model_versions": [each for each in found if not stages or each["current_stage"].lower() in stages]}


def search(desk: Desk, body: Mapping[str, Json]) -> Json:
    """model-versions/search: filter by name, run_id, tags and the rest; the last changed first."""
    subjects = [
        (filters.Subject({**shown, "version_number": _number(shown)}, tags={**NO_PROMPT, **_tags(shown)}), shown)
        for shown in _candidates(desk, str(body.get("filter") or ""))
    ]
    order = (("last_updated_timestamp", False), ("name", True), ("version_number", False))
    limit = whole_number(body, "max_results", 200_000)
    found, token = filters.select(subjects, body, default_order=order, limit=limit)
    return {"model_versions": found, **token}


def newest_of(desk: Desk, container: Document) -> list[dict[str, Json]]:
    """Return the newest version of each stage of a name."""
    aliases = aliases_of(container.body)
    found: dict[str, dict[str, Json]] = {}
    for version in desk.versions(container.body["name"]):
        found.setdefault(stage_of(version.body), shown_version(desk, version.body, aliases))
    return list(found.values())


def _candidates(desk: Desk, condition: str) -> Iterator[dict[str, Json]]:
    named = _NAMED.search(condition)
    wanted = (named[1] or named[2]) if named else None
    for container in desk.names():
        body = container.body
        if wanted in (None, body["name"]):
            aliases = aliases_of(body)
            yield from (shown_version(desk, version.body, aliases) for version in desk.versions(body["name"]))


def _retagged(desk: Desk, body: Mapping[str, Json], tags: Mapping[str, str | None]) -> Json:
    merged = {**(desk.version(body).body["properties"].get("tags") or {}), **tags}
    _change(desk, body, {"tags": {key: value for key, value in merged.items() if value is not None}})
    return {}


def _change(desk: Desk, body: Mapping[str, Json], fields: dict[str, Json]) -> Mapping[str, Json]:
    ref = catalog.ref_of(desk.version(body).body)
    return catalog.update(desk.hub, desk.principal, ref, fields).body


def _shown(desk: Desk, body: Mapping[str, Json]) -> dict[str, Json]:
    container = catalog.get_container(desk.hub, desk.principal, desk.scope, MODEL, catalog.ref_of(body).name)
    return shown_version(desk, body, aliases_of(container.body))


def _tags(shown: Mapping[str, Json]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in shown["tags"]}


def _number(shown: Mapping[str, Json]) -> int:
    version = str(shown["version"])
    return int(version) if version.isascii() and version.isdigit() else 0
