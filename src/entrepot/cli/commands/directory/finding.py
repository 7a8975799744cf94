"""Objects of the directory by what people call them, as `az ad` finds them, and lists of them."""

from __future__ import annotations

from entrepot.cli.commands.access.places import filtered
from entrepot.client.connection import quote
from entrepot.client.failures import Failure, ServiceFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any

BASE = "/v1.0"
USERS, GROUPS, APPLICATIONS, PRINCIPALS = "users", "groups", "applications", "servicePrincipals"
NOT_FOUND = 404
GUID_LENGTH = 36


def address(collection: str, id: str, *rest: str) -> str:
    """Return the address of an object, or of something below it."""
    return "/".join([BASE, collection, quote(id), *rest])


def quoted(text: str | None) -> str:
    """Return a text as filters have it."""
    return "'" + str(text).replace("'", "''") + "'"


def every(call: Call, place: str, *terms: str) -> list[Json]:
    """Return all objects of a collection that fit all terms, page after page."""
    found: list[Json] = []
    link: str | None = place + filtered(*terms)
    while link:
        page = call.session.get(link)
        found += page["value"]
        link = page.get("@odata.nextLink")
    return found


def user(call: Call, name: str) -> Json:
    """Return a user by principal name or id. Raises ServiceFailure."""
    return call.session.get(address(USERS, name))


def group(call: Call, name: str) -> Json:
    """Return a group by id, name, or the beginning of a name that no other has. Raises Failure."""
    place = f"{BASE}/{GROUPS}"
    if is_guid(name):
        return call.session.get(address(GROUPS, name))
    for term in (f"displayName eq {quoted(name)}", f"startswith(displayName,{quoted(name)})"):
        found = every(call, place, term)
        if len(found) == 1:
            return found[0]
        if found:
            raise Failure(f"{len(found)} groups are named {name!r}, or begin so: give the id of one.")
    raise _absent("group", name)


def application(call: Call, name: str) -> Json:
    """Return an application by its application id, object id or identifier URI. Raises Failure."""
    place = f"{BASE}/{APPLICATIONS}"
    field = "appId eq {}" if is_guid(name) else "identifierUris/any(s:s eq {})"
    for found in every(call, place, field.format(quoted(name))):
        return found
    if is_guid(name):
        return call.session.get(address(APPLICATIONS, name))
    raise _absent("application", name)


def principal(call: Call, name: str) -> Json:
    """Return a service principal by one of its names or its object id. Raises Failure."""
    for found in every(call, f"{BASE}/{PRINCIPALS}", f"servicePrincipalNames/any(c:c eq {quoted(name)})"):
        return found
    if is_guid(name):
        return call.session.get(address(PRINCIPALS, name))
    raise _absent("service principal", name)


def is_guid(text: str) -> bool:
    """Say whether a text has the form of an id."""
    return len(text) == GUID_LENGTH and text.count("-") == 4


def listed(call: Call, collection: str, **terms: str) -> list[Json]:
    """Return the objects that --display-name, --filter and the options named in `terms` ask for.

    `terms`: {option: a term with {} for its value}.
    """
    given = [call.text("filter")] if call.text("filter") else []
    given += [term.format(quoted(call.text(option))) for option, term in terms.items() if call.text(option)]
    if call.text("display_name"):
        given.append(f"startswith(displayName,{quoted(call.text('display_name'))})")
    return every(call, f"{BASE}/{collection}", *map(str, given))


def member_groups(call: Call, collection: str, id: str) -> list[Json]:
    """Return the groups that somebody is in, directly or through other groups."""
    groups = call.session.get(address(collection, id, "transitiveMemberOf"))["value"]
    return [{"id": one["id"], "displayName": one["displayName"]} for one in groups]


def _absent(noun: str, name: str) -> Failure:
    return ServiceFailure(f"There is no {noun} {name!r} in the directory.", status=NOT_FOUND)
