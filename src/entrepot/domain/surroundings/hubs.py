"""Hubs and their projects: workspaces that say so. A hub's connections that are shared are its projects' too.

A project is in its hub's region and stays in its hub; a hub with projects cannot be deleted.
"""

from dataclasses import replace
from typing import Any

import msgspec

from entrepot.core.errors import InvalidRequest, NotFound, StateConflict, Unsupported
from entrepot.core.ids import WorkspaceScope
from entrepot.core.nouns import PROVIDER
from entrepot.domain import access
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Document, Facet, View

Json = Any

DEFAULT, HUB, PROJECT = "default", "hub", "project"
JOIN = f"{PROVIDER}/workspaces/hubs/join/action"
_PAGE = 1000


def kind_of(body: Json) -> str:
    """Return the kind of a workspace's body, in lower case."""
    return str(body.get("kind") or DEFAULT).lower()


def joined(hub: Hub, principal: Principal, body: Json, *, request_id: str = "") -> Document | None:
    """Return the hub that a new workspace joins, None for one that is no project.

    Raises Unsupported for kinds that are unknown, InvalidRequest, NotFound, AccessDenied.
    """
    kind = kind_of(body)
    if kind not in (DEFAULT, HUB, PROJECT):
        raise Unsupported(f"A workspace of the kind {body['kind']}", instead="Create a Default, a Hub or a Project.")
    above = (body.get("properties") or {}).get("hubResourceId")
    if kind != PROJECT:
        return None
    if not above:
        raise InvalidRequest("A project needs properties.hubResourceId, the id of its hub", target="hubResourceId")
    scope = scope_of(str(above))
    document = hub.documents.get(scope.key)
    if document is None or kind_of(document.body) != HUB:
        raise NotFound(f"There is no hub {above}", target="hubResourceId")
    access.require(hub, principal, JOIN, scope.key, request_id=request_id)
    return document


def facets(above: Document | None) -> tuple[Facet, ...]:
    """Return what a project is found by from its hub."""
    return (Facet(above.key, "type", PROJECT),) if above else ()


def scope_of(arm_id: str) -> WorkspaceScope:
    """Return the workspace of an ARM id. Raises InvalidRequest."""
    parts = arm_id.strip("/").split("/")
    words = [part.lower() for part in parts[::2]]
    if len(parts) != 8 or words != ["subscriptions", "resourcegroups", "providers", "workspaces"]:
        raise InvalidRequest(f"{arm_id!r} is not the id of a workspace", target="hubResourceId")
    return WorkspaceScope(parts[1], parts[3], parts[7])


def with_projects(hub: Hub, document: Document) -> Document:
    """Return a hub's document with the ids of its projects in `associatedWorkspaces`; others as they are."""
    body = document.body
    if kind_of(body) != HUB:
        return document
    body["properties"]["associatedWorkspaces"] = _projects(hub, document.key)
    return replace(document, raw=msgspec.json.encode(body))


def require_empty(hub: Hub, document: Document) -> None:
    """Raise StateConflict for a hub that has projects."""
    if kind_of(document.body) == HUB and (projects := _projects(hub, document.key)):
        raise StateConflict(f"Hub {document.body['name']} has projects, delete them first: {', '.join(projects)}")


def above(hub: Hub, scope: WorkspaceScope) -> WorkspaceScope | None:
    """Return the hub of a project, None for workspaces that are none."""
    document = hub.documents.get(scope.key)
    if document is None or kind_of(document.body) != PROJECT:
        return None
    return scope_of(document.body["properties"]["hubResourceId"])


def _projects(hub: Hub, key: str) -> list[str]:
    page = hub.documents.find(key, "type", PROJECT, view=View.ALL, limit=_PAGE)
    return sorted(document.body["id"] for document in page.documents)
