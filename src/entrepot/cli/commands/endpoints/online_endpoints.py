"""`ml online-endpoint`: create, read, change, divide the traffic, call, keys, delete."""

from __future__ import annotations

from entrepot.client.connection import quote
from entrepot.client.shapes import online_views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call
    from entrepot.client.connection import Answer
    from entrepot.client.failures import ServiceFailure

    Json = Any

_MUTABLE = ("description", "tags", "properties", "traffic", "mirror_traffic", "identity", "auth_mode", "cors", "sticky",
            "public_network_access")  # fmt: skip


def create(call: Call) -> Json:
    """Create an endpoint, of a file, of options, or both; one of that name is changed to what they say."""
    from entrepot.client import files, overrides
    from entrepot.client.publishing.content import require_name

    tell_local(call)
    path = call.file()
    document = files.load(path) if path else files.blank()
    for option in ("name", "auth_mode"):
        if call.text(option):
            document.data[option] = call.text(option)
    overrides.lay_over(document, call.words("set"))
    data = _checked(call, document)
    return _put(call, require_name(document, data, "online endpoint"), data)


def show(call: Call) -> Json:
    """Return an endpoint."""
    return online_views.endpoint_view(call.session.get(_address(call)))


def list_(call: Call) -> Json:
    """Return the online endpoints of a workspace."""
    pages = call.session.pages(f"{call.workspace().base}/onlineEndpoints")
    return [online_views.endpoint_view(document) for document in pages]


def update(call: Call) -> Json:
    """Change an endpoint: its traffic, its mirror, texts and tags, by a file, by options, or by --set."""
    import copy

    from entrepot.client import files, overrides
    from entrepot.client.failures import Failure, UsageFailure

    tell_local(call)
    loaded = files.load(call.file() or "") if call.file() else files.blank()
    name = call.text("name") or loaded.data.get("name")
    if not name:
        raise UsageFailure("the following arguments are required: --name/-n or --file/-f")
    divided = {
        option: shares(option, str(call.text(option)))
        for option in ("traffic", "mirror_traffic")
        if call.text(option) is not None
    }
    before = online_views.endpoint_view(call.session.get(_address(call, str(name))))
    entity = {**copy.deepcopy(before), **loaded.data, "name": name, **divided}
    overrides.apply(entity, call.options.ordered, keeps_strings=call.flag("force_string"))
    fixed = [field for field in entity if before.get(field) != entity[field] and field not in (*_MUTABLE, "$schema")]
    fixed += [field for field in before if field not in entity and field not in _MUTABLE]
    if fixed:
        raise Failure(f"{fixed[0]!r} of an online endpoint cannot change: only {', '.join(_MUTABLE)} can.")
    document = files.Document(entity, path=loaded.path, lines=loaded.lines, texts={})
    return _put(call, str(name), _checked(call, document) | {n: None for n in ("cors", "sticky") if n not in entity})


def delete(call: Call) -> None:
    """Delete an endpoint with its deployments."""
    tell_local(call)
    call.console.confirm(
        f"Delete the online endpoint {call.text('name')} with its deployments?", is_agreed=call.flag("yes")
    )
    call.session.delete(_address(call), wait=not call.flag("no_wait"))


def invoke(call: Call) -> Json:
    """Send a request to an endpoint, as its callers do, and return the answer's text."""
    from entrepot.client.connection import Connection
    from entrepot.client.failures import Failure

    tell_local(call)
    path = call.file("request_file")
    if path is None:
        raise Failure("There is nothing to send: give --request-file.")
    with open(path, "rb") as file:
        body = file.read()
    document = call.session.get(_address(call))
    uri = str(document["properties"]["scoringUri"])
    headers = {"Authorization": f"Bearer {_credential(call, document)}", "Content-Type": "application/json"}
    if chosen := call.text("deployment_name"):
        call.session.get(f"{_address(call)}/deployments/{quote(chosen)}")  # its absence is told by its own message
        headers["azureml-model-deployment"] = chosen
    rest = uri.partition("://")[2].partition("/")[2]
    connection = Connection(uri, timeout_s=240)
    try:
        answer = connection.request("POST", f"/{rest}", headers=headers, body=body)
    finally:
        connection.close()
    text = answer.body.decode("utf-8", "replace")
    if answer.status >= 400:
        raise _refused(call, answer, text)
    return text


def _refused(call: Call, answer: Answer, text: str) -> ServiceFailure:
    """Return what is to be told of an answer that is no success; of a model's, where to find out more."""
    from entrepot.client.failures import ServiceFailure

    message, hint = f"The endpoint answered {answer.status}: {_message(text)}", ""
    if "ms-azureml-model-error-statuscode" in answer.headers:
        message += f" (the model answered {answer.headers['ms-azureml-model-error-statuscode']})"
        deployment = answer.headers.get("azureml-model-deployment")
        hint = f"entrepot ml online-deployment get-logs -e {call.text('name')} -n {deployment} has the trace"
    return ServiceFailure(message, status=answer.status, body=text, hint=hint)


def get_credentials(call: Call) -> Json:
    """Return the keys of an endpoint, or a token for it."""
    document = call.session.get(_address(call))
    mode = document["properties"]["authMode"]
    if mode == "AADToken":
        return {"accessToken": call.session.token, "tokenType": "Bearer"}
    return call.session.post(f"{_address(call)}/{'token' if mode == 'AMLToken' else 'listKeys'}")


def regenerate_keys(call: Call) -> None:
    """Replace a key; the old one is refused at once."""
    kind = str(call.text("key_type") or "primary")
    call.session.post(f"{_address(call)}/regenerateKeys", {"keyType": kind.capitalize()})


def shares(option: str, text: str) -> dict[str, int]:
    """Read `blue=90 green=10`. Raises UsageFailure."""
    from entrepot.client.failures import UsageFailure

    found = {}
    for word in text.replace(",", " ").split():
        name, equals, percent = word.partition("=")
        if not equals or not name or not percent.isdigit():
            raise UsageFailure(f'argument --{option.replace("_", "-")}: {word!r} is no share: write "blue=90 green=10"')
        found[name] = int(percent)
    return found


def tell_local(call: Call) -> None:
    """Say what --local means here."""
    if call.flag("local"):
        call.console.warn("--local changes nothing: endpoints are served on the server's own machine.")


def _credential(call: Call, document: Json) -> str:
    mode = document["properties"]["authMode"]
    if mode == "AADToken":
        return call.session.token
    if mode == "AMLToken":
        return str(call.session.post(f"{_address(call)}/token")["accessToken"])
    return str(call.session.post(f"{_address(call)}/listKeys")["primaryKey"])


def _message(text: str) -> str:
    import json

    try:
        told = json.loads(text)
        return str(told["error"]["message"] if "error" in told else told["message"])
    except (ValueError, KeyError, TypeError):
        return text[:500] or "without a word"


def _checked(call: Call, document: Any) -> dict[str, Json]:
    from entrepot.client.schemas.checks import check
    from entrepot.client.schemas.online import ONLINE_ENDPOINT

    data, warnings = check(document, ONLINE_ENDPOINT)
    for warning in warnings:
        call.console.warn(warning)
    return data


def _put(call: Call, name: str, data: dict[str, Json]) -> Json:
    from entrepot.client.publishing.online import endpoint_body

    location = str(call.session.get(call.workspace().base)["location"])
    return online_views.endpoint_view(call.session.put(_address(call, name), endpoint_body(data, location=location)))


def _address(call: Call, name: str | None = None) -> str:
    return f"{call.workspace().base}/onlineEndpoints/{quote(name or str(call.text('name')))}"
