"""The directory: users, groups, applications and service principals as documents `principals/{id}`, in Graph's shape.

`principalnames/...` says which of them has a name that only one may have. Who belongs to a group is in
`memberships.py`, how an application proves itself in `credentials.py`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from entrepot.core.clock import to_iso
from entrepot.core.digests import digest_of
from entrepot.core.errors import AccessDenied, AlreadyExists, InvalidRequest, NotFound, RevisionMismatch, StateConflict
from entrepot.domain import access, audit
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.identity.standing import EPOCH_KEY, name_key
from entrepot.store.documents import ABSENT, Change, Delete, Document, Facet, Page, Put

Json = Any

USER = "user"
GROUP = "group"
SERVICE_PRINCIPAL = "servicePrincipal"
APPLICATION = "application"
KINDS = (USER, GROUP, SERVICE_PRINCIPAL, APPLICATION)
SPACE = "principals"

WRITE = "Microsoft.Authorization/principals/write"
DELETE = "Microsoft.Authorization/principals/delete"
"""Named so that Contributor's exceptions hold for them: whoever makes principals can hand on what they may do."""

_UPN = re.compile(r"[^\s@/\\\"'<>]{1,64}@[A-Za-z0-9.-]{1,190}")
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_OURS = frozenset((
    "@odata.type", "id", "appId", "createdDateTime", "deletedDateTime", "userPrincipalName", "appDisplayName",
    "appOwnerOrganizationId", "servicePrincipalNames", "signInSessionsValidFromDateTime", "passwordProfile",
    "passwordCredentials", "keyCredentials", "entrepot",
))  # fmt: skip
"""What a body cannot set by naming it; all else that it says of an object is kept."""
_LARGEST_BYTES = 64 << 10


def key_of(id: str) -> str:
    """Return the document key of a directory object."""
    return f"principals/{id.lower()}"


def kind_of(body: Json) -> str:
    """Return one of KINDS."""
    return str(body["@odata.type"]).rpartition(".")[2]


def require_reader(principal: Principal) -> None:
    """Return if the caller may look names up: everybody who signed in, as in Entra, but no job. Raises AccessDenied."""
    if principal.within:
        raise AccessDenied(f"{principal.name or principal.id} may not read the directory with the token of a job")


def get(hub: Hub, kind: str, name: str) -> Document:
    """Return an object by its id, or by what else only it is called (userPrincipalName, appId). Raises NotFound."""
    document = find(hub, kind, name)
    if document is None:
        raise NotFound(f"There is no {kind} {name!r} in the directory", hint=f"az ad {_WORDS[kind]} list")
    return document


_WORDS = {USER: "user", GROUP: "group", SERVICE_PRINCIPAL: "sp", APPLICATION: "app"}


def find(hub: Hub, kind: str, name: str) -> Document | None:
    """Return an object by id, userPrincipalName or appId; None when there is none of this kind."""
    document = by_id(hub, name)
    if document is None:
        named = hub.documents.get(name_key(kind, name))
        document = by_id(hub, named.body["id"]) if named else None
    return document if document is not None and kind_of(document.body) == kind else None


def by_id(hub: Hub, id: str) -> Document | None:
    """Return the object with this id, whatever it is."""
    return hub.documents.get(key_of(id)) if _GUID.fullmatch(id) else None


def list_(hub: Hub, kind: str, *, after: str | None = None, limit: int = 100) -> Page:
    """Return a page of the objects of a kind, the newest first."""
    return hub.documents.find(SPACE, "type", kind, after=after, limit=limit)


def named(hub: Hub, kind: str, display_name: str) -> list[Document]:
    """Return the objects of a kind that show this name, however it is written."""
    page = hub.documents.find(SPACE, "name", f"{kind}:{display_name.lower()}", limit=1000)
    return list(page.documents)


def by_uri(hub: Hub, uri: str) -> Document | None:
    """Return the application that has this identifier URI."""
    found = hub.documents.find(SPACE, "uri", uri.rstrip("/"), limit=1).documents
    return found[0] if found else None


def create(
    hub: Hub,
    principal: Principal,
    kind: str,
    body: Mapping[str, Json],
    *,
    ours: Mapping[str, Json] | None = None,
    id: str = "",
    more: Sequence[Change] = (),
    request_id: str = "",
) -> Document:
    """Create an object from a Graph body. `ours` is kept beside it, `more` joins its commit.

    Raises InvalidRequest for a body that lacks something, AlreadyExists for a name that is taken, AccessDenied.
    """
    access.require(hub, principal, WRITE, "", request_id=request_id)
    fresh = _fresh(hub, kind, body, id or hub.new_id())
    fresh["entrepot"] = {"generation": 1, **(ours or {})}
    return _written(hub, principal, fresh, [*_claims(fresh), *more], request_id)


def update(
    hub: Hub, principal: Principal, kind: str, name: str, body: Mapping[str, Json], *, request_id: str = ""
) -> Document:
    """Change what may change of an object. An account that is switched off has no tokens within a second."""
    access.require(hub, principal, WRITE, "", request_id=request_id)

    def write() -> Document:
        document = get(hub, kind, name)
        fresh = document.body
        fixed = [field for field in _OURS & set(body) if body[field] not in (None, fresh.get(field))]
        if fixed:
            raise InvalidRequest(f"{min(fixed)} of a {kind} cannot be changed", target=min(fixed))
        fresh.update({field: value for field, value in body.items() if field not in _OURS})
        _check(kind, fresh)
        return changed(hub, principal, document, fresh, request_id=request_id)

    return settled(write)


def revoke(hub: Hub, principal: Principal, kind: str, name: str, *, request_id: str = "") -> Document:
    """Make every token that a principal has now worthless, within a second on every server of the store."""
    if principal.id != get(hub, kind, name).body["id"]:
        access.require(hub, principal, WRITE, "", request_id=request_id)

    def write() -> Document:
        document = get(hub, kind, name)
        fresh = document.body
        fresh["entrepot"]["generation"] += 1
        if kind == USER:
            fresh["signInSessionsValidFromDateTime"] = to_iso(hub.clock.now())
        return changed(hub, principal, document, fresh, request_id=request_id)

    return settled(write)


def delete(hub: Hub, principal: Principal, kind: str, name: str, *, request_id: str = "") -> None:
    """Remove an object with all that hangs on it: memberships, secrets, an application's principal."""
    document = get(hub, kind, name)
    access.require(hub, principal, DELETE, "", request_id=request_id)
    body = document.body
    if body["entrepot"].get("isHomeOwner"):
        raise StateConflict(f"{body['displayName']} is the owner of this home and stays in its directory")
    gone = [document]
    if kind == APPLICATION and (twin := find(hub, SERVICE_PRINCIPAL, body["appId"])):
        gone.append(twin)
    changes: list[Change] = [Delete(_key) for found in gone for _key in _keys(found)]
    for found in gone:
        memberships = hub.documents.find(SPACE, "member", found.body["id"], limit=1000).documents
        changes += [Delete(membership.key) for membership in memberships]
        below = hub.documents.scan(f"{found.key}/", limit=1000).documents
        changes += [Delete(part.key) for part in below]
    record = audit.record(principal, DELETE, target=target_of(body), now=hub.clock.now(), request_id=request_id)
    hub.documents.commit([*changes, epoch(body["id"]), record])
    hub.standing.forget()


def changed(
    hub: Hub,
    principal: Principal,
    document: Document,
    body: Json,
    *,
    more: Sequence[Change] = (),
    action: str = WRITE,
    request_id: str = "",
) -> Document:
    """Commit a change of an object at the revision that was read, with `more`. Raises RevisionMismatch."""
    put = Put(document.key, body, match=document.revision, facets=_facets(body))
    record = audit.record(principal, action, target=target_of(body), now=hub.clock.now(), request_id=request_id)
    written, *_ = hub.documents.commit([put, *more, epoch(body["id"]), record])
    hub.standing.forget()
    return written


def target_of(body: Json) -> str:
    """Return the name of an object in the audit trail."""
    return f"/{kind_of(body)}s/{body['id']}"


def epoch(changed_id: str) -> Put:
    """Return the change by which other processes notice that the directory changed."""
    return Put(EPOCH_KEY, {"changed": changed_id})


def shown(document: Document) -> dict[str, Json]:
    """Return what may be told of an object."""
    body = document.body
    body.pop("entrepot", None)
    return body


def ensure_owner(hub: Hub, owner: Principal) -> None:
    """Put the home's owner into its directory, once; cheap when that is done."""
    if hub.documents.get(key_of(owner.id)) is not None:
        return
    plain = re.sub(r"[^A-Za-z0-9._-]", "", owner.name) or "owner"
    body = {"displayName": owner.name, "userPrincipalName": f"{plain}@entrepot.localhost"}
    try:
        create(hub, access.SYSTEM, USER, body, ours={"isHomeOwner": True}, id=owner.id)
    except AlreadyExists:  # another process of the same store was first, or an account has that name
        if hub.documents.get(key_of(owner.id)) is None:
            body["userPrincipalName"] = f"{plain}.{owner.id[-4:]}@entrepot.localhost"
            create(hub, access.SYSTEM, USER, body, ours={"isHomeOwner": True}, id=owner.id)


def is_owner(hub: Hub, id: str) -> bool:
    """Say whether this is the owner of the home."""
    document = by_id(hub, id)
    return document is not None and bool(document.body["entrepot"].get("isHomeOwner"))


def subject_name(issuer: str, subject: str) -> str:
    """Return the name under which somebody from another provider is known here."""
    return digest_of(f"{issuer}\n{subject}".encode())


def _fresh(hub: Hub, kind: str, body: Mapping[str, Json], id: str) -> dict[str, Json]:
    fresh: dict[str, Json] = {"@odata.type": f"#microsoft.graph.{kind}", "id": id}
    fresh.update({field: value for field, value in body.items() if field not in _OURS and value is not None})
    fresh["createdDateTime"] = to_iso(hub.clock.now())
    if kind == USER:
        upn = str(body.get("userPrincipalName") or "")
        if not _UPN.fullmatch(upn):
            raise InvalidRequest(f"userPrincipalName is {upn!r}; write it as name@domain", target="userPrincipalName")
        fresh = {"accountEnabled": True, "mail": None, "userType": "Member", **fresh, "userPrincipalName": upn}
    elif kind == GROUP:
        fresh = {"description": None, "mailEnabled": False, "securityEnabled": True, **fresh}
    elif kind == APPLICATION:
        fresh["appId"] = str(body.get("appId") or hub.new_id())
        fresh = {"signInAudience": "AzureADMyOrg", "identifierUris": [], **fresh}
        fresh |= {"passwordCredentials": [], "keyCredentials": []}
    else:
        fresh |= _principal_of_application(hub, body)
        fresh = {"accountEnabled": True, "servicePrincipalType": "Application", "alternativeNames": [], **fresh}
        fresh.setdefault("displayName", fresh["appDisplayName"])
    _check(kind, fresh)
    return fresh


def _principal_of_application(hub: Hub, body: Mapping[str, Json]) -> dict[str, Json]:
    app_id = str(body.get("appId") or "")
    if body.get("servicePrincipalType") == "ManagedIdentity":
        app_id = app_id or hub.new_id()
        name, uris = body.get("displayName"), []
    else:
        application = get(hub, APPLICATION, app_id).body
        name, uris = application["displayName"], application["identifierUris"]
    return {
        "appId": app_id,
        "appDisplayName": name,
        "appOwnerOrganizationId": hub.settings.tenant,
        "servicePrincipalNames": [app_id, *uris],
    }


def _check(kind: str, body: Mapping[str, Json]) -> None:
    name = body.get("displayName")
    if not isinstance(name, str) or not 1 <= len(name.strip()) <= 256:
        raise InvalidRequest(f"displayName of a {kind} is {name!r}; give 1 to 256 characters", target="displayName")
    if not isinstance(body.get("accountEnabled", True), bool):
        raise InvalidRequest("accountEnabled is neither true nor false", target="accountEnabled")
    uris = body.get("identifierUris", [])
    if not _are_texts(uris) or not all(":" in uri for uri in uris):
        raise InvalidRequest("identifierUris is no list of URIs such as api://name", target="identifierUris")
    if not _are_texts(body.get("alternativeNames", [])):
        raise InvalidRequest("alternativeNames is no list of texts", target="alternativeNames")
    for platform in ("web", "spa", "publicClient"):
        told = {} if body.get(platform) is None else body[platform]
        if not isinstance(told, dict) or not _are_texts(told.get("redirectUris") or []):
            raise InvalidRequest(f"{platform}.redirectUris is no list of addresses", target=platform)
    if len(json.dumps(body)) > _LARGEST_BYTES:
        raise InvalidRequest(f"A {kind} may have up to {_LARGEST_BYTES >> 10} KiB of properties")


def _are_texts(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _written(hub: Hub, principal: Principal, fresh: Json, claims: Sequence[Change], request_id: str) -> Document:
    put = Put(key_of(fresh["id"]), fresh, match=ABSENT, facets=_facets(fresh))
    record = audit.record(principal, WRITE, target=target_of(fresh), now=hub.clock.now(), request_id=request_id)
    try:
        document, *_ = hub.documents.commit([put, *claims, epoch(fresh["id"]), record])
    except RevisionMismatch as error:
        name = fresh.get("userPrincipalName") or fresh.get("appId") or fresh["id"]
        raise AlreadyExists(f"The directory has a {kind_of(fresh)} {name} already", target=error.key) from error
    hub.standing.forget()
    return document


def _facets(body: Json) -> tuple[Facet, ...]:
    kind = kind_of(body)
    found = [Facet(SPACE, "type", kind), Facet(SPACE, "name", f"{kind}:{str(body['displayName']).lower()}")]
    found += [Facet(SPACE, "uri", uri.rstrip("/")) for uri in body.get("identifierUris", ())]
    found += [Facet(SPACE, "alternative", name.lower()) for name in body.get("alternativeNames", ())]
    return tuple(found)


def _names(body: Json) -> list[str]:
    names = [body[field] for field in ("userPrincipalName", "appId") if body.get(field)]
    subject = (body.get("entrepot") or {}).get("subject")
    return [*names, subject] if subject else names


def _claims(body: Json) -> list[Change]:
    kind = kind_of(body)
    return [Put(name_key(kind, name), {"id": body["id"]}, match=ABSENT) for name in _names(body)]


def _keys(document: Document) -> list[str]:
    body = document.body
    return [document.key, *(name_key(kind_of(body), name) for name in _names(body))]
