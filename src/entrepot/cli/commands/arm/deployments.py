"""`deployment group`, `deployment sub`, `deployment operation`: ARM templates, and what became of them."""

from __future__ import annotations

import json

from entrepot.cli.commands.arm import waiting
from entrepot.client.connection import quote
from entrepot.client.failures import FileFailure, ServiceFailure, UsageFailure
from entrepot.client.scopes import group_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any

VERSION = "api-version=2025-04-01"


def create(call: Call) -> Json:
    """Validate and deploy a template; wait until all that it describes is there."""
    body = _body(call)
    if call.flag("what_if"):
        return _post(call, "whatIf", body)
    if call.flag("confirm_with_what_if"):
        _confirmed(call, _post(call, "whatIf", body))
    _validated(call, body)
    address = f"{_address(call, _name(call))}?{VERSION}"
    if call.flag("no_wait"):
        call.session.request("PUT", address, body=body)
        return None
    return call.session.put(address, body)


def validate(call: Call) -> Json:
    """Tell whether a template could be deployed."""
    return _validated(call, _body(call))


def what_if(call: Call) -> Json:
    """Tell what a template would change."""
    return _post(call, "whatIf", _body(call))


def show(call: Call) -> Json:
    """Return a deployment, or operations of one."""
    if _is_operation(call):
        known = {found["operationId"]: found for found in _operations(call)}
        return [known[id] for id in call.words("operation_ids") if id in known]
    return call.session.get(f"{_address(call, _name(call))}?{VERSION}")


def list_(call: Call) -> Json:
    """Return the deployments of a group or subscription, or the operations of one."""
    if _is_operation(call):
        return _operations(call)
    return [*call.session.pages(f"{_address(call, '')}?{VERSION}")]


def export(call: Call) -> Json:
    """Return the template of a deployment."""
    return _post(call, "exportTemplate", None)["template"]


def cancel(call: Call) -> None:
    """End a deployment that runs."""
    _post(call, "cancel", None)


def wait(call: Call) -> None:
    """Wait until a deployment is as the options say."""
    waiting.wait(call, lambda: call.session.find(f"{_address(call, _name(call))}?{VERSION}"))


def delete(call: Call) -> None:
    """Forget a deployment; what it made stays."""
    call.session.delete(f"{_address(call, _name(call))}?{VERSION}", wait=not call.flag("no_wait"))


def _validated(call: Call, body: Json) -> Json:
    answer = _post(call, "validate", body)
    error = (answer or {}).get("error")
    if error:
        raise ServiceFailure(str(error.get("message")), code=str(error.get("code") or ""), status=400)
    return answer


def _post(call: Call, action: str, body: Json) -> Json:
    return call.session.post(f"{_address(call, _name(call))}/{action}?{VERSION}", body)


def _name(call: Call) -> str:
    """Return the deployment's name: the one given, or the template file's without its ending."""
    name = call.text("name")
    if name:
        return name
    return str(call.text("template_file")).replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0]


def _address(call: Call, name: str) -> str:
    subscription = call.session.subscription
    scope = f"/subscriptions/{quote(subscription)}"
    if call.has("resource_group"):
        scope = group_address(subscription, str(call.text("resource_group")))
    return f"{scope}/providers/Microsoft.Resources/deployments/{quote(name)}"


def _is_operation(call: Call) -> bool:
    return call.command.name.split()[1] == "operation"


def _operations(call: Call) -> list[Json]:
    return [*call.session.pages(f"{_address(call, _name(call))}/operations?{VERSION}")]


def _confirmed(call: Call, foretold: Json) -> None:
    for change in foretold["properties"]["changes"]:
        call.console.note(f"{change['changeType']:<9} {change['resourceId']}")
    call.console.confirm("Are you sure you want to execute the deployment?", is_agreed=call.flag("yes"))


def _body(call: Call) -> dict[str, Json]:
    path = str(call.file("template_file"))
    template = _commented_json(_read(path), path)
    if not isinstance(template, dict):
        raise FileFailure(f"{path}: a template is a JSON object with `resources`.")
    declared = template.get("parameters") or {}
    parameters: dict[str, Json] = {}
    for word in call.words("parameters"):
        parameters |= _parameters(word, declared)
    body = {"properties": {"mode": call.text("mode") or "Incremental", "template": template, "parameters": parameters}}
    return {**body, "location": call.text("location")} if call.has("location") else body


def _parameters(word: str, declared: dict[str, Json]) -> dict[str, Json]:
    """Read one word after -p: a file, JSON, or name=value in the type that the template declares."""
    from pathlib import Path

    name, equals, text = word.partition("=")
    if word.lstrip().startswith("{"):
        return _values(_commented_json(word, "--parameters"))
    if Path(word).is_file():
        return _values(_commented_json(_read(word), word))
    if not equals:
        raise UsageFailure(f"argument --parameters: {word!r} is neither name=value, nor a file, nor JSON")
    if name not in declared:
        known = ", ".join(declared) or "none"
        raise UsageFailure(f"argument --parameters: the template has no parameter {name!r}; it has {known}")
    kind = str((declared.get(name) or {}).get("type") or "string").lower()
    if kind in ("string", "securestring"):
        return {name: {"value": text}}
    try:
        return {name: {"value": json.loads(text.lower() if kind == "bool" else text)}}
    except ValueError as error:
        raise UsageFailure(f"argument --parameters: {name} must be {kind}, and {text!r} is not") from error


def _values(table: Json) -> dict[str, Json]:
    """Return the parameters of a parameters file, or of a plain table of values."""
    if not isinstance(table, dict):
        raise UsageFailure("argument --parameters: JSON must be an object of parameters")
    inner = table.get("parameters", table)
    return {
        name: value if isinstance(value, dict) and ("value" in value or "reference" in value) else {"value": value}
        for name, value in inner.items()
        if not name.startswith("$")
    }


def _read(path: str) -> str:
    from pathlib import Path

    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FileFailure(f"{path} cannot be read: {error}") from error


def _commented_json(text: str, name: str) -> Json:
    """Read JSON as ARM templates are written: with comments, and line ends within texts."""
    import re

    token = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
    plain = token.sub(lambda match: match[0] if match[0].startswith('"') else re.sub(r"[^\n]", " ", match[0]), text)
    try:
        return json.loads(plain, strict=False)
    except json.JSONDecodeError as error:
        raise FileFailure(
            f"{name}, line {error.lineno}, column {error.colno}: this is not JSON: {error.msg}"
        ) from error
