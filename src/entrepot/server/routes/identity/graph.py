"""The directory as Microsoft Graph shows it: users, groups, applications, service principals, and who is in what.

https://learn.microsoft.com/graph/api/overview tells the resources; only what tools for role assignments need is here.
"""

from collections.abc import Callable, Iterator
from typing import Any

from entrepot.core.errors import InvalidRequest, NotFound
from entrepot.domain import access
from entrepot.domain.hub import Hub
from entrepot.domain.identity import credentials, directory, memberships
from entrepot.domain.identity.directory import APPLICATION, GROUP, SERVICE_PRINCIPAL, USER
from entrepot.server.calls import Answer, Call, Handler, reply, reply_empty
from entrepot.server.routing import Route
from entrepot.store.documents import Document
from entrepot.wire import graph

Json = Any

BASE = "/v1.0"
COLLECTIONS = {"users": USER, "groups": GROUP, "servicePrincipals": SERVICE_PRINCIPAL, "applications": APPLICATION}
_DEFAULT_PAGE = 100
_LARGEST_PAGE = 999


def _list(kind: str) -> Handler:
    def handler(call: Call) -> Answer:
        directory.require_reader(call.principal)
        asked = graph.read_filter(call.query.get("$filter", ""))
        limit = int(call.number("$top", _DEFAULT_PAGE, low=1, high=_LARGEST_PAGE))
        if call.query.get("$filter"):
            return reply(graph.collection([_shown(call, found) for found in _filtered(call.hub, kind, asked)]))
        page = directory.list_(call.hub, kind, after=call.query.get("$skiptoken") or None, limit=limit)
        link = call.url(f"{call.path}?$top={limit}&$skiptoken={page.next}") if page.next else None
        return reply(graph.collection([_shown(call, found) for found in page.documents], next_link=link))

    return handler


def _shown(call: Call, document: Document) -> dict[str, Json]:
    body = directory.shown(document)
    if directory.kind_of(body) == SERVICE_PRINCIPAL:
        body |= credentials.told(call.hub, body)
    return graph.typed(body)


def _filtered(hub: Hub, kind: str, asked: graph.Filter) -> Iterator[Document]:
    if (name := asked.exact("id", "appId", "servicePrincipalNames", "userPrincipalName")) is not None:
        document = directory.find(hub, kind, name) or (directory.by_uri(hub, name) if kind == APPLICATION else None)
        if document is not None and asked.admits(document.body):
            yield document
        if document is not None or kind != SERVICE_PRINCIPAL:
            return
    if (name := asked.exact("displayName")) is not None:
        yield from directory.named(hub, kind, name)
        return
    after: str | None = None
    while True:
        page = directory.list_(hub, kind, after=after, limit=_LARGEST_PAGE)
        yield from (document for document in page.documents if asked.admits(document.body))
        after = page.next
        if after is None:
            return


def _get(kind: str) -> Handler:
    def handler(call: Call) -> Answer:
        directory.require_reader(call.principal)
        return reply(_shown(call, directory.get(call.hub, kind, call.params["id"])))

    return handler


def _create(kind: str) -> Handler:
    def handler(call: Call) -> Answer:
        id, more = call.hub.new_id(), []
        body = call.fields
        password, certificates = _password(kind, body), body.pop("keyCredentials", None)
        has_certificates = kind == APPLICATION and isinstance(certificates, list)
        if has_certificates:
            credentials.read_certificates(call.hub, certificates)  # before there is an application without them
        if password is not None:
            more.append(credentials.password_of_new(call.hub, id, password))
        document = directory.create(call.hub, call.principal, kind, body, id=id, more=more, request_id=call.request_id)
        if has_certificates:
            credentials.set_certificates(call.hub, call.principal, id, certificates, request_id=call.request_id)
            document = directory.get(call.hub, kind, id)
        return reply(_shown(call, document), status=201)

    return handler


def _password(kind: str, body: dict[str, Json]) -> str | None:
    """Take the password out of a body; None when it has none. Raises InvalidRequest for a wish that nobody hears."""
    profile = body.pop("passwordProfile", None)
    if kind != USER or profile is None:
        return None
    if not isinstance(profile, dict):
        raise InvalidRequest("passwordProfile must be an object", target="passwordProfile")
    if profile.get("forceChangePasswordNextSignIn"):
        raise InvalidRequest(
            "This server asks nobody to change their password: leave forceChangePasswordNextSignIn out",
            target="forceChangePasswordNextSignIn",
        )
    return str(profile["password"]) if profile.get("password") is not None else None


def _update(kind: str) -> Handler:
    def handler(call: Call) -> Answer:
        id, body = call.params["id"], call.fields
        if (password := _password(kind, body)) is not None:
            credentials.set_password(call.hub, call.principal, id, password, request_id=call.request_id)
        if kind in (APPLICATION, SERVICE_PRINCIPAL):
            _update_proofs(call, kind, id, body)
        if body:
            directory.update(call.hub, call.principal, kind, id, body, request_id=call.request_id)
        return reply_empty()

    return handler


_SENT_BACK = ("passwordCredentials",)  # az sends all that it was shown


def _update_proofs(call: Call, kind: str, id: str, body: dict[str, Json]) -> None:
    """Take the credentials out of a body and keep the certificates; those that are there already change nothing."""
    known = _shown(call, directory.get(call.hub, kind, id))
    certificates = body.pop("keyCredentials", None)
    for field in _SENT_BACK:
        if body.get(field) == known[field]:
            del body[field]
    if isinstance(certificates, list) and certificates != known["keyCredentials"]:
        credentials.set_certificates(call.hub, call.principal, id, certificates, request_id=call.request_id)


def _delete(kind: str) -> Handler:
    def handler(call: Call) -> Answer:
        directory.delete(call.hub, call.principal, kind, call.params["id"], request_id=call.request_id)
        return reply_empty()

    return handler


def _revoke(kind: str) -> Handler:
    def handler(call: Call) -> Answer:
        directory.revoke(call.hub, call.principal, kind, call.params["id"], request_id=call.request_id)
        return reply({"value": True})

    return handler


def _me(call: Call) -> Answer:
    document = directory.by_id(call.hub, call.principal.id)
    if document is None:
        raise NotFound(f"{call.principal.name or call.principal.id} is not in the directory")
    return reply(_shown(call, document))


def _members(call: Call) -> Answer:
    directory.require_reader(call.principal)
    limit = int(call.number("$top", _DEFAULT_PAGE, low=1, high=_LARGEST_PAGE))
    after = call.query.get("$skiptoken") or None
    found, following = memberships.members(call.hub, call.params["id"], after=after, limit=limit)
    link = call.url(f"{call.path}?$top={limit}&$skiptoken={following}") if following else None
    return reply(graph.collection([directory.shown(member) for member in found], next_link=link))


def _add_member(call: Call) -> Answer:
    member = graph.reference(call.fields)
    memberships.add(call.hub, call.principal, call.params["id"], member, request_id=call.request_id)
    return reply_empty()


def _remove_member(call: Call) -> Answer:
    memberships.remove(call.hub, call.principal, call.params["id"], call.params["member"], request_id=call.request_id)
    return reply_empty()


def _containing(kind: str) -> Callable[[Call], list[Document]]:
    def found(call: Call) -> list[Document]:
        directory.require_reader(call.principal)
        return memberships.containing(call.hub, directory.get(call.hub, kind, call.params["id"]).body["id"])

    return found


def _member_of(kind: str) -> Handler:
    return lambda call: reply(graph.collection([directory.shown(group) for group in _containing(kind)(call)]))


def _member_groups(kind: str) -> Handler:
    return lambda call: reply(graph.collection([group.body["id"] for group in _containing(kind)(call)]))


def _check_member_groups(call: Call) -> Answer:
    directory.require_reader(call.principal)
    asked = graph.texts(call.fields, "groupIds")
    return reply(graph.collection([id for id in asked if memberships.is_member(call.hub, id, call.params["id"])]))


def _object(call: Call) -> Answer:
    directory.require_reader(call.principal)
    document = directory.by_id(call.hub, call.params["id"])
    if document is None:
        raise NotFound(f"There is nothing with the id {call.params['id']!r} in the directory")
    return reply(directory.shown(document))


def _by_ids(call: Call) -> Answer:
    directory.require_reader(call.principal)
    found = (directory.by_id(call.hub, id) for id in graph.texts(call.fields, "ids"))
    return reply(graph.collection([directory.shown(document) for document in found if document is not None]))


def _nobody(call: Call) -> Answer:
    directory.require_reader(call.principal)
    return reply(graph.collection([]))


def _refuse_owner(call: Call) -> Answer:
    access.require(call.hub, call.principal, directory.WRITE, "", request_id=call.request_id)
    raise InvalidRequest(
        "Nothing in this directory has owners: who may change it is said by roles with "
        f"{directory.WRITE} at the tenant, such as Owner"
    )


def _organization(call: Call) -> Answer:
    tenant = call.hub.settings.tenant
    return reply(graph.collection([{"id": tenant, "displayName": "Entrepot", "tenantType": "AAD"}]))


_READ = "everybody who signed in may look names up, as in Entra; jobs may not, which the handler sees to"
_OWN = "tells callers about themselves"
_REVOKE = "people may end their own sign-ins; for others the domain requires principals/write"


def _of_collection(name: str, kind: str) -> Iterator[Route]:
    place, one = f"{BASE}/{name}", f"{BASE}/{name}/{{id}}"
    yield Route("GET", place, None, _list(kind), reason=_READ)
    yield Route("POST", place, directory.WRITE, _create(kind))
    yield Route("GET", one, None, _get(kind), reason=_READ)
    yield Route("PATCH", one, directory.WRITE, _update(kind))
    yield Route("DELETE", one, directory.DELETE, _delete(kind))
    if kind != USER:
        yield Route("GET", f"{one}/owners", None, _nobody, reason=_READ)
        yield Route("POST", f"{one}/owners/$ref", directory.WRITE, _refuse_owner)
    if kind in (USER, SERVICE_PRINCIPAL):
        yield Route("POST", f"{one}/revokeSignInSessions", None, _revoke(kind), reason=_REVOKE)
    if kind != APPLICATION:
        yield Route("GET", f"{one}/memberOf", None, _member_of(kind), reason=_READ)
        yield Route("GET", f"{one}/transitiveMemberOf", None, _member_of(kind), reason=_READ)
        yield Route("POST", f"{one}/getMemberGroups", None, _member_groups(kind), reason=_READ)


ROUTES = (
    *(route for name, kind in COLLECTIONS.items() for route in _of_collection(name, kind)),
    Route("GET", f"{BASE}/me", None, _me, reason=_OWN),
    Route("GET", f"{BASE}/organization", None, _organization, reason=_READ),
    Route("GET", f"{BASE}/groups/{{id}}/members", None, _members, reason=_READ),
    Route("POST", f"{BASE}/groups/{{id}}/members/$ref", directory.WRITE, _add_member),
    Route("DELETE", f"{BASE}/groups/{{id}}/members/{{member}}/$ref", directory.WRITE, _remove_member),
    Route("POST", f"{BASE}/directoryObjects/getByIds", None, _by_ids, reason=_READ),
    Route("GET", f"{BASE}/directoryObjects/{{id}}", None, _object, reason=_READ),
    Route("POST", f"{BASE}/directoryObjects/{{id}}/checkMemberGroups", None, _check_member_groups, reason=_READ),
    Route("GET", f"{BASE}/me/ownedObjects", None, _nobody, reason=_OWN),
)
