"""Role assignments, role definitions and deny assignments on the wire: their filters and bodies. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.core.errors import InvalidRequest

Json = Any

MARK = "/providers/microsoft.authorization/"
"""What stands between a scope and what Microsoft.Authorization has at it."""

_FUNCTION = re.compile(r"(atScopeAndBelow|atScope|assignedTo)\(\s*(?:'([^']*)')?\s*\)\Z", re.IGNORECASE)
_EQUALS = re.compile(r"(principalId|roleName|type)\s+eq\s+'((?:[^']|'')*)'\Z", re.IGNORECASE)

_ROLE_ID = re.compile(
    rb'"(?:/subscriptions/[^/"]+)?(/providers/Microsoft\.Authorization/roleDefinitions/[^/"]+")', re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class AccessFilter:
    """What `$filter` asks for; None: anything. `assigned_to` counts what a principal holds through its groups."""

    at_scope: bool = False
    with_below: bool = False
    principal: str | None = None
    assigned_to: str | None = None
    role_name: str | None = None
    role_type: str | None = None


def access_filter(text: str) -> AccessFilter:
    """Read `atScope()`, `atScopeAndBelow()`, `assignedTo('id')`, `principalId eq 'id'`, `roleName eq 'x'` and
    `type eq 'CustomRole'`, joined by `and`. Raises InvalidRequest.
    """
    found: dict[str, Any] = {}
    for term in filter(None, (part.strip() for part in re.split(r"\s+and\s+", text.strip(), flags=re.IGNORECASE))):
        function, equals = _FUNCTION.match(term), _EQUALS.match(term)
        if function:
            word = function[1].lower()
            found |= {"atscope": {"at_scope": True}, "atscopeandbelow": {"with_below": True}}.get(
                word, {"assigned_to": function[2]}
            )
        elif equals:
            field = {"principalid": "principal", "rolename": "role_name", "type": "role_type"}[equals[1].lower()]
            found[field] = equals[2].replace("''", "'")
        else:
            raise InvalidRequest(
                f"$filter: {term!r} is not understood; write atScope(), atScopeAndBelow(), assignedTo('<id>'), "
                "principalId eq '<id>', roleName eq '<name>' or type eq 'CustomRole', joined by and",
                target="$filter",
            )
    return AccessFilter(**found)


def scope_in(path: str) -> str:
    """Return the scope in a path of Microsoft.Authorization."""
    return path[: path.lower().rindex(MARK)] or "/"


def wanted(body: Mapping[str, Json], name: str) -> str:
    """Return a property that has to be text. Raises InvalidRequest."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"properties.{name} must be text: got {value!r}", target=name)
    return value


def refuse_conditions(body: Mapping[str, Json]) -> None:
    """Return if an assignment holds without conditions: one that went unheard would give more than was meant.

    Raises InvalidRequest.
    """
    if body.get("condition"):
        raise InvalidRequest(
            "Role assignments with a condition are not supported by this server: assign the role at a narrower scope, "
            "down to one version of an asset, or add a deny assignment",
            target="condition",
        )


def admits_role(asked: AccessFilter, body: Mapping[str, Json]) -> bool:
    """Say whether a role definition is asked for."""
    properties = body["properties"]
    asked_for = ((asked.role_name, properties["roleName"]), (asked.role_type, properties["type"]))
    return all(want is None or want.lower() == has.lower() for want, has in asked_for)


def below_subscription(text: bytes, subscription: str | None) -> bytes:
    """Return JSON with each role definition's id below the subscription in which it was asked for, as Azure has it.

    azure-cli finds the role of an assignment by comparing these ids.
    """
    if not subscription or not re.fullmatch(r"[\w.-]+", subscription):
        return text
    return _ROLE_ID.sub(b'"/subscriptions/' + subscription.encode() + rb"\1", text)
