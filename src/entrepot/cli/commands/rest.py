"""`rest`: any request, signed in."""

from __future__ import annotations

import json

from entrepot.client.connection import quote
from entrepot.client.failures import Failure, ServiceFailure, UsageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any


def rest(call: Call) -> Json:
    """Send the request and return its JSON, print its text, or write its bytes to a file."""
    target = _target(call)
    method = (call.text("method") or "get").upper()
    body = call.text("body")
    answer = call.session.attempt(method, target, body=body.encode() if body else None, headers=_table(call, "headers"))
    if answer.status >= 400:
        text = answer.body.decode("utf-8", "replace")
        raise ServiceFailure(f"HTTP {answer.status}({text})", status=answer.status, body=text)
    if path := call.text("output_file"):
        from pathlib import Path

        Path(path).write_bytes(answer.body)
        return None
    if not answer.body.strip():
        return None
    try:
        return json.loads(answer.body)
    except ValueError as error:
        if "json" in answer.headers.get("content-type", ""):
            raise Failure(f"The answer is no JSON: {error}") from error
        return answer.body.decode("utf-8", "replace")


def _target(call: Call) -> str:
    url = str(call.text("url"))
    if "{subscriptionId}" in url:
        url = url.replace("{subscriptionId}", call.session.subscription)
    known = [str(call.session.run.get(name) or "") for name in ("url", "https_url")]
    for origin in filter(None, known):
        if url.startswith(origin):
            url = url[len(origin) :] or "/"
    if not url.startswith("/"):
        raise UsageFailure(f"{url} is not on this server: give a path, or an address that begins with {known[0]}")
    parameters = _table(call, "uri_parameters")
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in parameters.items())
    return url + (("&" if "?" in url else "?") + query if query else "")


def _table(call: Call, option: str) -> dict[str, str]:
    """Return `name=value` words or a JSON object as a table. Raises UsageFailure."""
    table: dict[str, str] = {}
    for word in call.words(option):
        name, equals, value = word.partition("=")
        if word.startswith("{"):
            try:
                table |= {str(key): str(item) for key, item in json.loads(word).items()}
            except (ValueError, AttributeError) as error:
                raise UsageFailure(f"argument --{option}: {word!r} is no JSON object") from error
        elif equals:
            table[name] = value
        else:
            raise UsageFailure(f"argument --{option}: {word!r} is not name=value")
    return table
