"""registered-models/alias: names for versions, such as `champion`, that move without a new version being made."""

import re
from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest, NotFound
from entrepot.core.nouns import MODEL
from entrepot.domain import access, audit
from entrepot.domain.assets import catalog
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.jobs.tracking.session import text
from entrepot.domain.registered.desk import Desk, aliases_of, shown_version
from entrepot.store.documents import Put

Json = Any

_ALIAS = re.compile(r"[\w-]{1,255}\Z")
_NUMBERED = re.compile(r"v\d+\Z", re.IGNORECASE)


def get(desk: Desk, body: Mapping[str, Json]) -> Json:
    """The version that an alias stands for. Raises NotFound."""
    name, alias = desk.name(body).body, text(body, "alias")
    known = aliases_of(name)
    if alias not in known:
        raise NotFound(f"Registered model alias {alias} not found.")
    version = desk.version({"name": name["name"], "version": known[alias]})
    return {"model_version": shown_version(desk, version.body, known)}


def put(desk: Desk, body: Mapping[str, Json]) -> Json:
    """Let an alias stand for a version. Raises NotFound, InvalidRequest."""
    alias = text(body, "alias")
    if not _ALIAS.match(alias) or _NUMBERED.match(alias) or alias.lower() == "latest":
        raise InvalidRequest(
            f"Invalid alias {alias!r}: use letters, digits, '_' and '-', but neither 'latest' nor 'v' and a number",
            target="alias",
        )
    version = catalog.ref_of(desk.version(body).body).version
    return _change(desk, body, alias, version)


def delete(desk: Desk, body: Mapping[str, Json]) -> Json:
    """Forget an alias; one that is not there is forgotten already."""
    return _change(desk, body, text(body, "alias"), None)


def _change(desk: Desk, body: Mapping[str, Json], alias: str, version: str | None) -> Json:
    action = access.asset_action(desk.scope.key, MODEL, "write")

    def attempt() -> None:
        document = desk.name(body)
        access.require(desk.hub, desk.principal, action, document.key)
        fresh = document.body
        known = aliases_of(fresh)
        before = dict(known)
        known.pop(alias, None)
        if version is not None:
            known[alias] = version
        if known == before:
            return
        fresh["entrepot"]["aliases"] = known
        put = Put(document.key, fresh, match=document.revision, is_archived=document.is_archived, facets=None)
        now = desk.hub.clock.now()
        details = {"alias": alias, "version": version}
        record = audit.record(desk.principal, action, target=fresh["id"], now=now, details=details)
        desk.hub.documents.commit([put, record])

    settled(attempt)
    return {}
