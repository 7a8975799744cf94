"""Who may do what: role definitions, role assignments and deny assignments, at every scope that there is."""

from collections.abc import Iterator
from dataclasses import replace

from entrepot.core.nouns import KINDS, REGISTRY_KINDS
from entrepot.domain.authorization import assignments, definitions, denials, insight
from entrepot.server.calls import Answer, Call, reply, reply_document, reply_empty, reply_raw
from entrepot.server.places import GROUP, REGISTRY, SUBSCRIPTION, WORKSPACE
from entrepot.server.routing import Route
from entrepot.store.documents import Page
from entrepot.wire.arm import LARGEST_PAGE, next_url, page_body
from entrepot.wire.governance.access import (
    access_filter,
    admits_role,
    below_subscription,
    refuse_conditions,
    scope_in,
    wanted,
)

_AUTHORIZATION = "/providers/Microsoft.Authorization"
_OWN = "everybody may know what they may do themselves"
_QUESTION = "asks for the right to read role assignments at the scope, unless it is about oneself"


def _page(call: Call, page: Page) -> Answer:
    return _placed(call, reply_raw(page_body(page, next_url(call.origins.api, call.path, call.query, page.next))))


def _placed(call: Call, answer: Answer) -> Answer:
    return replace(answer, body=below_subscription(answer.body, call.params.get("subscription")))


def _put_assignment(call: Call) -> Answer:
    given = call.properties
    refuse_conditions(given)
    document = assignments.assign(
        call.hub, call.principal, role=wanted(given, "roleDefinitionId"), assignee=wanted(given, "principalId"),
        assignee_kind=str(given.get("principalType") or "User"), scope=scope_in(call.path), name=call.params["id"],
        description=None if given.get("description") is None else str(given["description"]), request_id=call.request_id,
    )  # fmt: skip
    return _placed(call, reply_document(document, status=201))  # azure-cli takes nothing else for a success


def _get_assignment(call: Call) -> Answer:
    document = assignments.get(call.hub, call.principal, call.params["id"], scope=scope_in(call.path))
    return _placed(call, reply_document(document))


def _list_assignments(call: Call) -> Answer:
    asked = access_filter(call.query.get("$filter", ""))
    page = assignments.list_(
        call.hub, call.principal, scope_in(call.path), assignee=asked.principal, assigned_to=asked.assigned_to,
        with_below=not asked.at_scope, after=call.query.get("$skip"), limit=LARGEST_PAGE,
    )  # fmt: skip
    return _page(call, page)


def _delete_assignment(call: Call) -> Answer:
    try:
        gone = assignments.revoke(
            call.hub, call.principal, call.params["id"], scope=scope_in(call.path), request_id=call.request_id
        )
    except assignments.NoAssignment:
        return reply_empty(204)
    return reply_document(gone)


def _put_definition(call: Call) -> Answer:
    document = definitions.put(call.hub, call.principal, call.params["id"], call.properties, request_id=call.request_id)
    return reply_document(document, status=201)  # as Azure: azure-cli takes nothing else for a success


def _get_definition(call: Call) -> Answer:
    return _placed(call, reply(definitions.get(call.hub, call.principal, call.params["id"])))


def _list_definitions(call: Call) -> Answer:
    asked = access_filter(call.query.get("$filter", ""))
    found = definitions.list_(call.hub, call.principal, scope_in(call.path), with_below=asked.with_below)
    return _placed(call, reply({"value": [body for body in found if admits_role(asked, body)]}))


def _delete_definition(call: Call) -> Answer:
    return reply(definitions.delete(call.hub, call.principal, call.params["id"], request_id=call.request_id))


def _put_denial(call: Call) -> Answer:
    document, is_new = denials.put(
        call.hub, call.principal, scope_in(call.path), call.params["id"], call.properties, request_id=call.request_id
    )
    return reply_document(document, status=201 if is_new else 200)


def _get_denial(call: Call) -> Answer:
    return reply_document(denials.get(call.hub, call.principal, call.params["id"]))


def _list_denials(call: Call) -> Answer:
    return _page(
        call,
        denials.list_(call.hub, call.principal, scope_in(call.path), after=call.query.get("$skip"), limit=LARGEST_PAGE),
    )


def _delete_denial(call: Call) -> Answer:
    return reply_document(denials.delete(call.hub, call.principal, call.params["id"], request_id=call.request_id))


def _permissions(call: Call) -> Answer:
    return reply({"value": insight.permissions(call.hub, call.principal, scope_in(call.path))})


def _check(call: Call) -> Answer:
    """Answer "what can X do?", with an action "may X do that?"."""
    given = call.object
    found = insight.what_can(
        call.hub, call.principal, str(given.get("assignee") or call.principal.id), scope_in(call.path),
        actions=call.site.actions, action=given.get("action"),
    )  # fmt: skip
    return reply(found)


def _who_can(call: Call) -> Answer:
    """Answer "who can do Y?", or "who has the role Y?"."""
    given = call.object
    found = insight.who_can(
        call.hub, call.principal, scope_in(call.path), action=given.get("action"), role=given.get("role")
    )
    return reply({"value": found})


def _scopes() -> Iterator[str]:
    yield ""
    yield SUBSCRIPTION
    yield GROUP
    for home, kinds in ((WORKSPACE, KINDS), (REGISTRY, REGISTRY_KINDS)):
        yield home
        for kind in kinds:
            yield f"{home}/{kind.plural}/{{name}}"
            yield f"{home}/{kind.plural}/{{name}}/versions/{{version}}"


def _routes() -> Iterator[Route]:
    for scope in _scopes():
        assigned, defined, denied = (
            f"{scope}{_AUTHORIZATION}/{what}" for what in ("roleAssignments", "roleDefinitions", "denyAssignments")
        )
        yield Route("PUT", assigned + "/{id}", assignments.WRITE, _put_assignment)
        yield Route("GET", assigned + "/{id}", assignments.READ, _get_assignment)
        yield Route("DELETE", assigned + "/{id}", assignments.DELETE, _delete_assignment)
        yield Route("GET", assigned, assignments.READ, _list_assignments)
        yield Route("PUT", defined + "/{id}", definitions.WRITE, _put_definition)
        yield Route("GET", defined + "/{id}", definitions.READ, _get_definition)
        yield Route("DELETE", defined + "/{id}", definitions.DELETE, _delete_definition)
        yield Route("GET", defined, definitions.READ, _list_definitions)
        yield Route("PUT", denied + "/{id}", denials.WRITE, _put_denial)
        yield Route("GET", denied + "/{id}", denials.READ, _get_denial)
        yield Route("DELETE", denied + "/{id}", denials.DELETE, _delete_denial)
        yield Route("GET", denied, denials.READ, _list_denials)
        yield Route("GET", f"{scope}{_AUTHORIZATION}/permissions", None, _permissions, reason=_OWN)
        yield Route("POST", f"{scope}{_AUTHORIZATION}/checkAccess", None, _check, reason=_QUESTION)
        yield Route("POST", f"{scope}{_AUTHORIZATION}/whoCan", assignments.READ, _who_can)


ROUTES = tuple(_routes())
