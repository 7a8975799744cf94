"""`role assignment`, `role definition` and `role deny-assignment`, in the shape of `az role`."""

from __future__ import annotations

from entrepot.cli.commands.access.places import addressed, filtered, names, person, scope, under
from entrepot.client.failures import Failure, UsageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any

GUID_LENGTH = 36
_HINT = "entrepot role deny-assignment list"


def create(call: Call) -> Json:
    """Give a role, make a custom role, or deny."""
    return _of(call, assignment=_assign, definition=_define, denial=_deny)


def list_(call: Call) -> Json:
    """Return role assignments, role definitions or deny assignments."""
    return _of(call, assignment=_assignments, definition=_definitions, denial=_denials)


def delete(call: Call) -> Json:
    """Take a role back, or delete a custom role or a deny assignment."""
    return _of(call, assignment=_revoke, definition=_undefine, denial=_allow)


def show(call: Call) -> Json:
    """Return one role definition."""
    return _definition(call, str(call.text("name")), scope(call))


def update(call: Call) -> Json:
    """Change a custom role, which is found by the id or the name in its definition."""
    body = _described(call)
    known = _definition(call, str(body.get("id") or body.get("name") or body.get("roleName")), _home(body))
    merged = {**known, **{name: value for name, value in _properties(body).items() if value not in (None, [])}}
    return _put_definition(call, known["name"], {key: merged[key] for key in _properties(body)}, _home(merged))


def _of(call: Call, **acts: Callable[[Call], Json]) -> Json:
    word = call.command.name.split()[1]
    return acts["denial" if word == "deny-assignment" else word](call)


def _assign(call: Call) -> Json:
    if bool(call.text("assignee")) == bool(call.text("assignee_object_id")):
        raise UsageFailure("usage error: --assignee STRING | --assignee-object-id GUID")
    at, id, kind = scope(call), call.text("assignee_object_id"), None
    if id is None:
        id, kind = person(call, str(call.text("assignee")))
    kind = call.text("assignee_principal_type") or kind or "User"
    about = {"description": call.text("description")}
    return give(call, id, kind, role=str(call.text("role")), at=at, name=call.text("name"), about=about)


def give(call: Call, id: str, kind: str, *, role: str, at: str, name: str | None = None, about: Json = None) -> Json:
    """Give a principal a role at a scope; the same again is no error, as in az."""
    from uuid import NAMESPACE_URL, uuid5

    found = _definition(call, role, at)
    for known in call.session.pages(under(at, "roleAssignments") + filtered(f"principalId eq '{id}'")):
        told = known["properties"]
        if told["roleDefinitionId"].endswith(found["name"]) and told["scope"].lower() == (at or "/").lower():
            return _shown_assignments(call, [known])[0]
    name = name or str(uuid5(NAMESPACE_URL, f"{at}|{id}|{found['name']}"))
    properties = {"roleDefinitionId": found["id"], "principalId": id, "principalType": kind, **(about or {})}
    made = call.session.put(under(at, f"roleAssignments/{name}"), {"properties": properties})
    return _shown_assignments(call, [made])[0]


def _assignments(call: Call) -> Json:
    at = "" if call.flag("all") and not call.text("scope") else scope(call)
    return _shown_assignments(call, _found(call, at, is_all=call.flag("all")))


def _found(call: Call, at: str, *, is_all: bool) -> list[Json]:
    """Return the assignments that a command line means, by scope, assignee and role."""
    terms = [] if is_all else ["atScope()"]
    if call.text("assignee"):
        id, _ = person(call, str(call.text("assignee")))
        with_groups = call.has("include_groups") and call.flag("include_groups")
        terms.append(f"assignedTo('{id}')" if with_groups else f"principalId eq '{id}'")
    found = list(call.session.pages(under(at, "roleAssignments") + filtered(*terms)))
    if not (is_all or call.flag("include_inherited")):
        found = [one for one in found if one["properties"]["scope"].lower() == (at or "/").lower()]
    if call.text("role"):
        role = _definition(call, str(call.text("role")), at)["name"]
        found = [one for one in found if one["properties"]["roleDefinitionId"].endswith(role)]
    return found


def _shown_assignments(call: Call, found: list[Json]) -> list[Json]:
    known = names(call, sorted({one["properties"]["principalId"] for one in found}))
    return [
        {
            "id": one["id"], "name": one["name"], "type": one["type"], **one["properties"],
            "principalName": known.get(one["properties"]["principalId"], ("", ""))[0],
        }
        for one in found
    ]  # fmt: skip


def _revoke(call: Call) -> None:
    ids = call.words("ids")
    if not ids:
        if not (call.text("assignee") or call.text("role") or call.text("scope") or call.text("resource_group")):
            call.console.confirm("Delete all role assignments of the subscription?", is_agreed=call.flag("yes"))
        ids = [one["id"] for one in _found(call, scope(call), is_all=False)]
        if not ids:
            raise Failure("No role assignment was found that matches: nothing was deleted.")
    for id in ids:
        call.session.delete(addressed(id))


def _definitions(call: Call) -> Json:
    terms = [f"roleName eq '{call.text('name')}'"] if call.text("name") else []
    if str(call.text("custom_role_only") or "").lower() == "true":
        terms.append("type eq 'CustomRole'")
    return [_flat(one) for one in call.session.pages(under(scope(call), "roleDefinitions") + filtered(*terms))]


def _definition(call: Call, text: str, at: str) -> Json:
    """Return a role definition by name, GUID or id. Raises Failure."""
    wanted = text.rstrip("/").rpartition("/")[2]
    if len(wanted) == GUID_LENGTH and wanted.count("-") == 4:
        found = call.session.find(under(at, f"roleDefinitions/{wanted}"))
        if found is not None:
            return _flat(found)
    for one in call.session.pages(under(at, "roleDefinitions") + filtered(f"roleName eq '{text}'")):
        return _flat(one)
    raise Failure(f"Role {text!r} doesn't exist.", hint="entrepot role definition list")


def _flat(body: Json) -> dict[str, Json]:
    properties = body["properties"]
    return {"id": body["id"], "name": body["name"], "type": body["type"], **properties, "roleType": properties["type"]}


def _define(call: Call) -> Json:
    from uuid import uuid4

    body = _described(call)
    return _put_definition(call, str(uuid4()), _properties(body), _home(body))


def _put_definition(call: Call, guid: str, properties: Json, at: str) -> Json:
    return _flat(call.session.put(under(at, f"roleDefinitions/{guid}"), {"properties": properties}))


def _home(body: Json) -> str:
    scopes = body.get("assignableScopes") or body.get("AssignableScopes") or ["/"]
    return "" if scopes[0] == "/" else str(scopes[0]).rstrip("/")


def _described(call: Call) -> dict[str, Json]:
    """Read --role-definition: JSON, or a file of it; names may be written as Azure's samples do, large or small."""
    import json
    from pathlib import Path

    text = str(call.text("role_definition"))
    if not text.lstrip().startswith("{"):
        try:
            text = Path(text).read_text(encoding="utf-8-sig")
        except OSError as error:
            raise UsageFailure(f"argument --role-definition: {text} is neither JSON nor a file: {error}") from error
    try:
        given = json.loads(text)
    except ValueError as error:
        raise UsageFailure(f"argument --role-definition: this is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise UsageFailure("argument --role-definition: a role definition is a JSON object")
    return {name[:1].lower() + name[1:]: value for name, value in {**given, **(given.get("properties") or {})}.items()}


def _properties(body: Json) -> dict[str, Json]:
    permissions = body.get("permissions") or [
        {field: body.get(field) or [] for field in ("actions", "notActions", "dataActions", "notDataActions")}
    ]
    return {
        "roleName": body.get("roleName") or body.get("name"),
        "description": body.get("description"),
        "assignableScopes": body.get("assignableScopes"),
        "permissions": permissions,
    }


def _undefine(call: Call) -> None:
    at = scope(call)
    call.session.delete(under(at, f"roleDefinitions/{_definition(call, str(call.text('name')), at)['name']}"))


def _deny(call: Call) -> Json:
    from uuid import NAMESPACE_URL, uuid5

    at, name = scope(call), str(call.text("name"))
    properties = {
        "denyAssignmentName": name,
        "description": call.text("description"),
        "permissions": [{"actions": call.words("actions"), "notActions": call.words("not_actions")}],
        "principals": [_denied(call, one) for one in call.words("assignee")],
        "excludePrincipals": [_denied(call, one) for one in call.words("exclude")],
        "doNotApplyToChildScopes": call.flag("only_here"),
    }
    place = under(at, f"denyAssignments/{uuid5(NAMESPACE_URL, f'{at.lower()}|{name}')}")
    return _flat_denial(call.session.put(place, {"properties": properties}))


def _denied(call: Call, text: str) -> dict[str, str]:
    from entrepot.cli.commands.access.places import EVERYBODY

    if text.lower() == "everybody":
        return {"id": EVERYBODY, "type": "SystemDefined"}
    id, kind = person(call, text)
    return {"id": id, "type": kind or "User"}


def _denials(call: Call) -> Json:
    return [_flat_denial(one) for one in call.session.pages(under(scope(call), "denyAssignments"))]


def _flat_denial(body: Json) -> dict[str, Json]:
    return {"id": body["id"], "name": body["name"], "type": body["type"], **body["properties"]}


def _allow(call: Call) -> None:
    wanted, at = str(call.text("name")), scope(call)
    found = [one for one in _denials(call) if wanted in (one["denyAssignmentName"], one["name"])]
    here = [one for one in found if one["scope"].lower() == (at or "/").lower()]
    if not here:
        raise Failure(
            f"There is no deny assignment {wanted!r} at {at or '/'}.", hint="entrepot role deny-assignment list"
        )
    for one in here:
        call.session.delete(addressed(one["id"]))
