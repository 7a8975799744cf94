"""The OpenAPI 3.1 document of this server, rendered from its route table. Pure.

Bodies stay open objects on purpose: what is not known passes through (docs/wire.md), so a schema of fields would lie.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Json = Any

_PARAMETER = re.compile(r"\{(\w+)(:rest)?\}")
_TAKING_BODIES = ("POST", "PUT", "PATCH")
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "target": {"type": ["string", "null"]},
                "details": {"type": "array"},
                "additionalInfo": {"type": "array"},
            },
        }
    },
}
_BODY = {
    "type": "object",
    "properties": {
        "location": {"type": "string"},
        "tags": {"type": ["object", "array"], "description": "An object of texts; MLflow's calls have a list"},
        "properties": {"type": "object"},
    },
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path template `/a/{b}/{rest:rest}`, with the action it needs or why it needs none."""

    method: str
    template: str
    action: str | None
    reason: str = ""
    is_anonymous: bool = False
    takes_bytes: bool = False


def document(operations: Iterable[Operation], *, version: str) -> dict[str, Json]:
    """Return the document. Names of operations are made of method and path, so they stay when routes are added."""
    paths: dict[str, dict[str, Json]] = {}
    for operation in operations:
        path = _PARAMETER.sub(r"{\1}", operation.template)
        paths.setdefault(path, {})[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Entrepot",
            "version": version,
            "description": "The protocol of Azure Machine Learning's own clients, and what Entrepot adds to it.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "security": [{"bearer": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": _ERROR},
            "responses": {
                "Error": {
                    "description": "What was wrong, and what would be right",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
            },
        },
    }


def _described(operation: Operation) -> dict[str, Json]:
    needs = f"Needs the action `{operation.action}`." if operation.action else f"Needs no action: {operation.reason}."
    told: dict[str, Json] = {
        "operationId": _identifier(operation),
        "description": needs,
        "tags": [_tag(operation.template)],
        "parameters": _parameters(operation.template),
        "responses": {
            "2XX": {"description": "Done, or begun"},
            "4XX": {"$ref": "#/components/responses/Error"},
            "501": {"$ref": "#/components/responses/Error"},
        },
    }
    if operation.is_anonymous:
        told["security"] = []
    if operation.method in _TAKING_BODIES:
        told["requestBody"] = {"content": _content(operation)}
    return told


def _content(operation: Operation) -> dict[str, Json]:
    if operation.takes_bytes:
        return {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    return {"application/json": {"schema": _BODY}}


def _identifier(operation: Operation) -> str:
    words: Sequence[str] = re.findall(r"\w+", operation.template)
    return "_".join([operation.method.lower(), *(word for word in words if word != "rest")])


def _parameters(template: str) -> list[Json]:
    query = {"name": "api-version", "in": "query", "required": False, "schema": {"type": "string"}}
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name, _ in _PARAMETER.findall(template)
    ] + [query]


def _tag(template: str) -> str:
    """Return the last literal word that names a collection: `.../models/{name}` and below it are `models`."""
    literals = [part for part in template.split("/") if part and not part.startswith("{")]
    after_scope = template.partition("/{workspace}")[2] or template.partition("/{registry}")[2]
    return next((part for part in after_scope.split("/") if part and not part.startswith("{")), (literals or ["/"])[0])
