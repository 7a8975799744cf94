"""How MLflow's clients are spoken to: request fields, errors, lists of artifacts."""

from collections.abc import Mapping
from functools import wraps
from typing import Any
from urllib.parse import parse_qsl

from entrepot.core.errors import EntrepotError
from entrepot.server.calls import Answer, Call, Handler, reply
from entrepot.wire.mlflow import artifact_list, error_of, fields_of_query

Json = Any


def told(handler: Handler) -> Handler:
    """Tell errors as MLflow clients read them."""

    @wraps(handler)
    def answering(call: Call) -> Answer:
        try:
            return handler(call)
        except EntrepotError as error:
            status, body = error_of(error)
            return reply(body, status=status)

    return answering


def fields_of(call: Call) -> Mapping[str, Json]:
    """Return a request's fields, wherever its method has them."""
    if call.method != "GET":
        return call.fields
    return fields_of_query(parse_qsl(call.query_bytes.decode("utf-8", "replace"), keep_blank_values=True))


def listed(call: Call, container: str, folder: str) -> Answer:
    """Answer one level of a folder in a container."""
    base = f"{folder.rstrip('/')}/" if folder else ""
    files: list[tuple[str, int]] = []
    folders: list[str] = []
    marker: str | None = None
    while True:
        listing = call.hub.containers.list(container, base, "/", marker)
        files += ((item.name.removeprefix(base), item.size_bytes) for item in listing.items)
        folders += (prefix.removeprefix(base) for prefix in listing.prefixes)
        marker = listing.next
        if marker is None:
            return reply(artifact_list(files, folders))
