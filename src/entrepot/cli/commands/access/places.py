"""What the commands about rights share: scopes and people as they are written on a command line."""

from __future__ import annotations

from entrepot.client.connection import quote
from entrepot.client.failures import Failure, UsageFailure
from entrepot.client.scopes import REGISTRY_PLANE, group_address, registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any

AUTHORIZATION = "providers/Microsoft.Authorization"
EVERYBODY = "00000000-0000-0000-0000-000000000000"
_KINDS = {"user": "User", "group": "Group", "servicePrincipal": "ServicePrincipal"}


def scope(call: Call) -> str:
    """Return the ARM path of the scope that --scope, --registry-name or -g names; without one, the subscription's."""
    given = call.text("scope") if call.has("scope") else None
    if given is not None:
        return place(call, given)
    name = call.text("registry_name") if call.has("registry_name") else None
    if name:
        return registry(call.session, name).base.removeprefix(REGISTRY_PLANE)
    group = call.text("resource_group") if call.has("resource_group") else None
    return group_address(call.session.subscription, group) if group else f"/subscriptions/{call.session.subscription}"


def place(call: Call, given: str) -> str:
    """Return a scope as an ARM path: `/` is '', and a registry's asset may be written as its asset id."""
    text = given.removeprefix("azureml:").strip("/")
    if not text:
        return ""
    if text.lower().startswith("registries/"):
        _, name, *rest = text.split("/")
        base = registry(call.session, name).base.removeprefix(REGISTRY_PLANE)
        return "/".join([base, *map(quote, rest)])
    if not text.lower().startswith("subscriptions/"):
        raise UsageFailure(
            f"argument --scope: {given!r} is no scope: write /, an ARM id (/subscriptions/ID/resourceGroups/NAME) "
            "or azureml://registries/NAME[/TYPE/NAME[/versions/VERSION]]"
        )
    return addressed(text)


def addressed(id: str) -> str:
    """Return an ARM id as a path."""
    return "/" + "/".join(quote(part) for part in id.strip("/").split("/"))


def under(scope_path: str, what: str) -> str:
    """Return the address of what Microsoft.Authorization has at a scope."""
    return f"{scope_path}/{AUTHORIZATION}/{what}"


def person(call: Call, text: str) -> tuple[str, str | None]:
    """Return the id and the kind of a user (by name), a group (by name) or a service principal (by application id).

    An id that the directory does not know is taken as it is. Raises Failure for a name that nobody has.
    """
    if _is_guid(text):
        return _by_id(call, text)
    for collection, field in _lookups(text):
        found = call.session.get(f"/v1.0/{collection}{filtered(f'{field} eq {_quoted(text)}')}")["value"]
        if len(found) > 1:
            raise Failure(f"{len(found)} of the directory's {collection} are named {text!r}: give the id of one.")
        if found:
            return found[0]["id"], _KINDS[{"users": "user", "groups": "group"}.get(collection, "servicePrincipal")]
    raise Failure(
        f"Cannot find a user, group or service principal named {text!r} in the directory.",
        hint="give a user principal name, a group's name, an application's id or an object's id",
    )


def _lookups(text: str) -> list[tuple[str, str]]:
    if "@" in text:
        return [("users", "userPrincipalName")]
    return [("groups", "displayName"), ("servicePrincipals", "displayName"), ("users", "displayName")]


def _by_id(call: Call, id: str) -> tuple[str, str | None]:
    is_named = f"servicePrincipalNames/any(c:c eq '{id}')"
    twins = call.session.get(f"/v1.0/servicePrincipals{filtered(is_named)}")["value"]
    if twins:
        return twins[0]["id"], "ServicePrincipal"
    kinds = names(call, [id])
    return id, kinds[id][1] if id in kinds else None


def names(call: Call, ids: list[str]) -> dict[str, tuple[str, str]]:
    """Return {id: (name, kind)} of those that the directory knows."""
    found: dict[str, tuple[str, str]] = {}
    for first in range(0, len(ids), 1000):
        known = call.session.post("/v1.0/directoryObjects/getByIds", {"ids": ids[first : first + 1000]})["value"]
        for entry in known:
            kind = _KINDS.get(str(entry["@odata.type"]).rpartition(".")[2], "User")
            twin = entry.get("appId") if kind == "ServicePrincipal" else None
            found[entry["id"]] = (entry.get("userPrincipalName") or twin or entry.get("displayName") or "", kind)
    return found


def _is_guid(text: str) -> bool:
    return len(text) == 36 and text.count("-") == 4 and all(c in "0123456789abcdef-" for c in text.lower())


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def filtered(*terms: str) -> str:
    """Return the query that asks for what fits all terms; nothing for none."""
    return f"?$filter={quote(' and '.join(terms))}" if terms else ""
