"""Acting for somebody who is not there: jobs and schedules have the rights that their submitter has now, and no others.

What is remembered is who it was. Groups, and whether the account still stands, are looked up when it is acted for.
"""

from collections.abc import Iterable
from typing import Any

from entrepot.core.errors import AccessDenied
from entrepot.core.ids import AssetPointer, AssetRef, WorkspaceScope, parse_reference
from entrepot.domain import access
from entrepot.domain.hub import Hub, Principal

Json = Any


def remembered(hub: Hub, principal: Principal) -> dict[str, Json]:
    """Return what a job or schedule keeps of the one for whom it will act.

    `within`: a job that is submitted with the token of a job gets no further than that token.
    """
    known = hub.standing.of(hub.documents, principal.id, hub.clock.now())
    return {
        "id": principal.id,
        "name": principal.name,
        "kind": principal.kind,
        "tenant": principal.tenant,
        "groups": list(principal.groups),
        "isListed": known is not None,
        "within": principal.within,
    }


def recalled(hub: Hub, who: Json, *, via: str) -> Principal:
    """Return the one for whom to act, as it stands now. `via`: what acts. Raises AccessDenied when it is gone."""
    now = hub.standing.of(hub.documents, who["id"], hub.clock.now())
    shown = f"{who['name']} ({who['id']})" if who["name"] else who["id"]
    if now is None and who.get("isListed"):
        raise AccessDenied(f"{shown}, for whom {via} acts, is not in the directory any more")
    if now is not None and not now.is_enabled:
        raise AccessDenied(f"{shown}, for whom {via} acts, is switched off")
    groups = now.groups if now is not None else tuple(who.get("groups", ()))
    return Principal(
        who["id"], who["name"], who.get("kind", "User"), who.get("tenant", ""), via, groups, who.get("within", "")
    )


def require_assets(hub: Hub, principal: Principal, workspace: WorkspaceScope, ids: Iterable[str | None]) -> None:
    """Return if the principal may still read the assets that a job was planned with. Raises AccessDenied.

    Those of its own workspace need no more than the right to run there. What is no asset's id is passed over.
    """
    for text in ids:
        pointer = parse_reference(text) if text and "://" in text else None
        if not isinstance(pointer, AssetPointer) or pointer.scope is None or pointer.scope.key == workspace.key:
            continue
        ref = AssetRef(pointer.scope, pointer.kind, pointer.name, pointer.version or "")
        action = access.asset_action(ref.scope.key, ref.kind, "read")
        access.require(hub, principal, action, ref.key if ref.version else ref.container_key, target=ref.id)
