"""What /swagger.json tells: the script's schemas of `inference-schema`, an MLflow model's signature, or any object.

A swagger.json, swagger2.json or swagger3.json in the code folder goes before it.
"""

from __future__ import annotations

import json
import os
from importlib import import_module
from typing import Any, Dict, Optional, Tuple
from urllib.parse import parse_qs

from .answers import JSON, Answer, told
from .scripts import is_schema_decorated

Json = Dict[str, Any]

_ANY: Json = {"type": "object", "example": {}}
_VERSIONS = {"2": "2", "2.0": "2", "3": "3", "3.0": "3", "3.1": "3.1"}
_TYPES = {
    "boolean": "boolean", "integer": "integer", "long": "integer", "float": "number", "double": "number",
    "string": "string", "binary": "string", "datetime": "string",
}  # fmt: skip
_ERROR: Json = {"type": "object", "properties": {"message": {"type": "string"}}}


def describe(scorer: Any, *, title: str, query: bytes, root: str) -> Answer:
    """Return the description in the version that `?version=` asks for, 2 by default."""
    asked = parse_qs(query.decode("latin-1")).get("version", ["2"])[0]
    version = _VERSIONS.get(asked)
    if version is None:
        return told(404, "Swagger version [%s] is not valid. Supported versions: [2, 3, 3.1]." % asked)
    own = _file(root, version)
    if own is not None:
        return Answer(200, [JSON], own)
    supported = _supported(scorer)
    if supported is not None and version not in supported:
        message = "Swagger version [%s] is not supported for the scoring script. Supported swagger versions: [%s]."
        return told(404, message % (asked, ", ".join(sorted(supported))))
    taken, given = _schemas(scorer)
    made = _version_2(title, taken, given) if version == "2" else _version_3(title, taken, given, version)
    return Answer(200, [JSON], json.dumps(made, default=str).encode())


def _file(root: str, version: str) -> Optional[bytes]:
    names = ("swagger.json", "swagger2.json") if version == "2" else ("swagger3.json",)
    for name in names:
        try:
            with open(os.path.join(root, name), "rb") as file:
                return file.read()
        except OSError:
            continue
    return None


def _supported(scorer: Any) -> Optional["set[str]"]:
    """Return the versions that the script's schema can be told in; None: all."""
    if scorer.run is None or not is_schema_decorated(scorer.run):
        return None
    versions = import_module("inference_schema.schema_util").get_supported_versions(scorer.run)
    return {_VERSIONS[version] for version in versions if version in _VERSIONS}


def _schemas(scorer: Any) -> Tuple[Json, Json]:
    if scorer.run is not None and is_schema_decorated(scorer.run):
        module = import_module("inference_schema.schema_util")
        return module.get_input_schema(scorer.run), module.get_output_schema(scorer.run)
    schema = getattr(scorer, "schema", None)
    return (_ANY if schema is None else _of_signature(schema)), _ANY


def _of_signature(schema: Any) -> Json:
    """Return the schema of `input_data` for a signature of columns; tensors are lists of whatever shape."""
    if schema.is_tensor_spec() or not schema.has_input_names():
        rows: Json = {"type": "array", "items": {}}
        return {"type": "object", "properties": {"input_data": rows}, "required": ["input_data"]}
    names = [str(name) for name in schema.input_names()]
    kinds = [_TYPES.get(str(getattr(column.type, "name", column.type)), "object") for column in schema.inputs]
    frame = {
        "type": "object",
        "required": ["columns", "data"],
        "properties": {
            "columns": {"type": "array", "items": {"type": "string", "enum": names}, "example": names},
            "index": {"type": "array", "items": {"type": "integer"}},
            "data": {"type": "array", "items": {"type": "array", "items": {}}, "description": ", ".join(kinds)},
        },
    }
    return {"type": "object", "properties": {"input_data": frame}, "required": ["input_data"]}


def _version_2(title: str, taken: Json, given: Json) -> Json:
    def answers(schema: Json) -> Json:
        return {"200": {"description": "Success", "schema": schema}, "default": _refused_2}

    _refused_2 = {"description": "Failure", "schema": {"$ref": "#/definitions/ErrorResponse"}}
    body = {"name": "serviceInputPayload", "in": "body", "schema": {"$ref": "#/definitions/ServiceInput"}}
    score = {
        "operationId": "RunMLService",
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "security": [{"Bearer": []}],
        "parameters": [body],
        "responses": answers({"$ref": "#/definitions/ServiceOutput"}),
    }
    health = {"operationId": "ServiceHealthCheck", "responses": answers({"type": "string", "example": "Healthy"})}
    return {
        "swagger": "2.0",
        "info": {"title": title, "version": "1.0"},
        "schemes": ["https"],
        "securityDefinitions": {"Bearer": {"type": "apiKey", "name": "Authorization", "in": "header"}},
        "paths": {"/": {"get": health}, "/score": {"post": score}},
        "definitions": {"ServiceInput": taken, "ServiceOutput": given, "ErrorResponse": _ERROR},
    }


def _version_3(title: str, taken: Json, given: Json, version: str) -> Json:
    def content(schema: Json) -> Json:
        return {"application/json": {"schema": schema}}

    refused = {"description": "Failure", "content": content({"$ref": "#/components/schemas/ErrorResponse"})}
    scored = {"description": "Success", "content": content({"$ref": "#/components/schemas/ServiceOutput"})}
    healthy = {"description": "Success", "content": {"text/plain": {"schema": {"type": "string"}}}}
    score = {
        "operationId": "RunMLService",
        "security": [{"Bearer": []}],
        "requestBody": {"content": content({"$ref": "#/components/schemas/ServiceInput"})},
        "responses": {"200": scored, "default": refused},
    }
    health = {"operationId": "ServiceHealthCheck", "responses": {"200": healthy, "default": refused}}
    return {
        "openapi": "3.1.0" if version == "3.1" else "3.0.3",
        "info": {"title": title, "version": "1.0"},
        "paths": {"/": {"get": health}, "/score": {"post": score}},
        "components": {
            "schemas": {"ServiceInput": taken, "ServiceOutput": given, "ErrorResponse": _ERROR},
            "securitySchemes": {"Bearer": {"type": "apiKey", "name": "Authorization", "in": "header"}},
        },
    }
