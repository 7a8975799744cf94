"""Who is in which group: documents `principals/{group}/members/{member}`. Groups may be in groups."""

from typing import Any

from entrepot.core.errors import InvalidRequest, NotFound, RevisionMismatch
from entrepot.domain import access, audit
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.identity import directory
from entrepot.domain.identity.standing import groups_of
from entrepot.store.documents import ABSENT, Delete, Document, Facet, Page, Put, View

Json = Any


def add(hub: Hub, principal: Principal, group: str, member_id: str, *, request_id: str = "") -> None:
    """Put a user, a service principal or a group into a group. Raises InvalidRequest when it is in or around it."""
    access.require(hub, principal, directory.WRITE, "", request_id=request_id)
    group_id = directory.get(hub, directory.GROUP, group).body["id"]
    member = directory.by_id(hub, member_id)
    if member is None or directory.kind_of(member.body) == directory.APPLICATION:
        raise NotFound(f"The directory has no user, group or service principal with the id {member_id!r}")
    id = member.body["id"]
    if id == group_id or id in groups_of(hub.documents, group_id):
        raise InvalidRequest(f"Group {group_id} is in {id} already: a group cannot be in itself")
    put = Put(
        _key(group_id, id), {"group": group_id, "id": id}, match=ABSENT,
        facets=(Facet(directory.SPACE, "member", id),),
    )  # fmt: skip
    try:
        _commit(hub, principal, put, group_id, id, directory.WRITE, request_id)
    except RevisionMismatch:
        raise InvalidRequest(f"{id} is a member of group {group_id} already", target="members") from None


def remove(hub: Hub, principal: Principal, group: str, member_id: str, *, request_id: str = "") -> None:
    """Take a member out of a group. Raises NotFound."""
    access.require(hub, principal, directory.WRITE, "", request_id=request_id)
    group_id = directory.get(hub, directory.GROUP, group).body["id"]
    if hub.documents.get(_key(group_id, member_id)) is None:
        raise NotFound(f"{member_id} is no direct member of group {group_id}")
    _commit(hub, principal, Delete(_key(group_id, member_id)), group_id, member_id, directory.WRITE, request_id)


def members(hub: Hub, group: str, *, after: str | None = None, limit: int = 100) -> tuple[list[Document], str | None]:
    """Return a page of a group's direct members and the cursor of the next page."""
    group_id = directory.get(hub, directory.GROUP, group).body["id"]
    page: Page = hub.documents.list(f"principals/{group_id}/members", view=View.ALL, after=after, limit=limit)
    found = (directory.by_id(hub, entry.body["id"]) for entry in page.documents)
    return [document for document in found if document is not None], page.next


def containing(hub: Hub, id: str) -> list[Document]:
    """Return the groups that somebody is in, directly or through other groups."""
    found = (directory.by_id(hub, group) for group in groups_of(hub.documents, id))
    return [document for document in found if document is not None]


def is_member(hub: Hub, group: str, member_id: str) -> bool:
    """Say whether somebody is in a group, directly or through other groups. Raises NotFound for the group."""
    return directory.get(hub, directory.GROUP, group).body["id"] in groups_of(hub.documents, member_id.lower())


def _key(group_id: str, member_id: str) -> str:
    return f"principals/{group_id}/members/{member_id.lower()}"


def _commit(
    hub: Hub, principal: Principal, change: Put | Delete, group_id: str, id: str, action: str, request_id: str
) -> None:
    record = audit.record(
        principal, action, target=f"/groups/{group_id}/members/{id}", now=hub.clock.now(), request_id=request_id,
        details={"isMember": isinstance(change, Put)},
    )  # fmt: skip
    hub.documents.commit([change, directory.epoch(group_id), record])
    hub.standing.forget()
