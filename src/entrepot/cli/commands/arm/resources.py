"""`resource`: anything that the server holds, by its id or by group, type and name."""

from __future__ import annotations

import json

from entrepot.cli.commands.arm import waiting
from entrepot.client.connection import quote
from entrepot.client.failures import UsageFailure
from entrepot.client.scopes import group_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any

NOT_SENT = ("systemData", "entrepot", "resourceGroup")


def list_(call: Call) -> Json:
    """Return registries and workspaces, by group, name, type, place or tag."""
    terms = []
    for option, field in (
        ("resource_group", "resourceGroup"), ("name", "name"), ("location", "location"),
        ("resource_type", "resourceType"),
    ):  # fmt: skip
        if value := call.text(option):
            terms.append(f"{field} eq {_quoted(value)}")
    if tag := call.text("tag"):
        name, equals, value = tag.partition("=")
        terms.append(f"tagName eq {_quoted(name)}" + (f" and tagValue eq {_quoted(value)}" if equals else ""))
    query = f"?$filter={quote(' and '.join(terms))}" if terms else ""
    found = call.session.pages(f"/subscriptions/{quote(call.session.subscription)}/resources{query}")
    return [shown(item) for item in found]


def show(call: Call) -> Json:
    """Return a resource, or several by their ids."""
    return _each(call, lambda id: shown(call.session.get(id)))


def create(call: Call) -> Json:
    """Create a resource of its properties, or of the full object."""
    given = _json(str(call.text("properties")), "--properties")
    body: dict[str, Json] = given if call.flag("is_full_object") else {"properties": given}
    if location := call.text("location"):
        body.setdefault("location", location)
    return _each(call, lambda id: shown(call.session.put(id, body)))


def update(call: Call) -> Json:
    """Change a resource by --set, --add and --remove."""
    from entrepot.client import overrides

    def changed(id: str) -> Json:
        body = _full(call, id)
        overrides.apply(body, call.options.ordered, keeps_strings=call.flag("force_string"))
        return shown(call.session.put(id, body))

    return _each(call, changed)


def patch(call: Call) -> Json:
    """Change what is given of a resource, and nothing else."""
    given = _json(str(call.text("properties")), "--properties")
    body = given if call.flag("is_full_object") else {"properties": given}
    return _each(call, lambda id: shown(call.session.patch(id, body)))


def tag(call: Call) -> Json:
    """Give a resource these tags; with --is-incremental, beside those that it has."""
    tags = call.tags()
    if tags is None:
        raise UsageFailure("the following arguments are required: --tags")

    def tagged(id: str) -> Json:
        body = _full(call, id)
        before = (body.get("tags") or {}) if call.flag("is_incremental") else {}
        return shown(call.session.put(id, {**body, "tags": {**before, **tags}}))

    return _each(call, tagged)


def delete(call: Call) -> None:
    """Delete resources."""
    for id in ids(call):
        call.session.delete(id, wait=not call.flag("no_wait"))


def wait(call: Call) -> None:
    """Wait until a resource is as the options say."""
    for id in ids(call):
        waiting.wait(call, lambda id=id: call.session.find(id))  # type: ignore[misc]


def shown(body: Json) -> Json:
    """Return a resource with the group that az tells beside its id."""
    parts = str(body.get("id") or "").split("/")
    is_in_group = len(parts) > 4 and parts[3].lower() == "resourcegroups"
    return {**body, "resourceGroup": parts[4]} if is_in_group else body


def ids(call: Call) -> list[str]:
    """Return the ids that --ids lists, or the one that group, type and name make. Raises UsageFailure."""
    listed = [word for words in call.words("ids") for word in words.split()]
    if listed:
        return [id if id.startswith("/") else f"/{id}" for id in listed]
    kind, name, group = call.text("resource_type"), call.text("name"), call.text("resource_group")
    if not kind or not name:
        raise UsageFailure("usage error: --ids ID [ID ...] | -g GROUP --resource-type TYPE -n NAME")
    namespace, _, rest = kind.partition("/")
    if given := call.text("namespace"):
        namespace, rest = given, kind.removeprefix(f"{given}/")
    if not namespace or not rest:
        raise UsageFailure(f"argument --resource-type: {kind!r} is not Provider/kind, such as Microsoft.X/things")
    scope = group_address(call.session.subscription, group) if group else f"/subscriptions/{call.session.subscription}"
    parent = f"{call.text('parent')}/".lstrip("/") if call.text("parent") else ""
    kinds, names = rest.split("/"), name.split("/")
    path = "/".join(f"{word}/{quote(own)}" for word, own in zip(kinds, names, strict=False))
    if len(kinds) != len(names):
        raise UsageFailure(f"argument --name: the type {kind} needs {len(kinds)} name(s), got {name!r}")
    return [f"{scope}/providers/{namespace}/{parent}{path}"]


def _each(call: Call, act: Any) -> Json:
    done = [act(id) for id in ids(call)]
    return done if len(done) > 1 else done[0]


def _full(call: Call, id: str) -> dict[str, Json]:
    return {name: value for name, value in call.session.get(id).items() if name not in NOT_SENT}


def _json(text: str, option: str) -> dict[str, Json]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageFailure(f"argument {option}: {text!r} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise UsageFailure(f"argument {option}: {text!r} is no JSON object")
    return found


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
