"""Invocations of batch endpoints on the wire: field names in any spelling, typed inputs and outputs. Pure.

azure-ai-ml writes camelCase with types as `UriFolder`, Azure's REST examples write PascalCase, people write YAML.
"""

import re
from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest
from entrepot.domain.endpoints.batch.invocation import Invocation
from entrepot.domain.endpoints.batch.settings import parallel_of

Json = Any

_TYPES = {
    "urifile": "uri_file", "urifolder": "uri_folder", "mltable": "mltable", "mlflowmodel": "mlflow_model",
    "custommodel": "custom_model", "tritonmodel": "triton_model", "literal": "literal", "string": "literal",
    "number": "literal", "integer": "literal", "boolean": "literal",
}  # fmt: skip
_DATASTORE_ID = re.compile(r".*/datastores/([^/]+)\Z")


def invocation(body: Mapping[str, Json], *, deployment: str | None, request: str | None) -> Invocation:
    """Read the body of an invocation. Raises InvalidRequest that names the field."""
    given = _lowered(_object(body, "properties") if "properties" in _lowered(body) else body)
    told = _lowered(given.get("properties") or {})
    file_name = given.get("outputfilename")
    return Invocation(
        inputs={name: _input(name, value) for name, value in _inputs(given).items()},
        outputs=_outputs(given),
        deployment=deployment or None,
        job=str(given["name"]) if given.get("name") else None,
        experiment=_text(told.get("experimentname") or given.get("experimentname")),
        file_name=_text(file_name),
        settings=parallel_of(_settings(given)),
        told={
            "properties": {
                k: str(v) for k, v in (given.get("properties") or {}).items() if k.lower() != "experimentname"
            },
            "tags": given.get("tags") or {},
            "displayName": given.get("displayname"),
        },
        request=request or None,
    )


def _lowered(body: Mapping[str, Json]) -> dict[str, Json]:
    """Return a mapping with its own keys in lower case and without underscores, without what is null."""
    return {str(key).lower().replace("_", ""): value for key, value in body.items() if value is not None}


def _object(body: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    value = _lowered(body).get(name.lower())
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"`{name}` must be an object: got {type(value).__name__}", target=name)
    return value


def _inputs(given: Mapping[str, Json]) -> Mapping[str, Json]:
    if "inputdata" in given:
        return _object(given, "inputData")
    if "dataset" in given:  # a data asset by its id
        return {"dataset": {"jobInputType": "UriFolder", "uri": given["dataset"]}}
    return {}


def _input(name: str, value: Json) -> dict[str, Json]:
    if not isinstance(value, Mapping):
        raise InvalidRequest(
            f'Input {name} is {value!r}: write {{"jobInputType": "UriFolder", "uri": ...}}', target=f"inputData.{name}"
        )
    fields = _lowered(value)
    kind = _type(fields.get("jobinputtype") or fields.get("type") or "UriFolder", f"inputData.{name}")
    if kind == "literal":
        if "value" not in fields:
            raise InvalidRequest(f"Input {name} is a literal without a value: give `value`", target=f"inputData.{name}")
        return {"jobInputType": kind, "value": fields["value"]}
    uri = fields.get("uri") or fields.get("path")
    if not uri:
        raise InvalidRequest(
            f"Input {name} has no uri: name data, such as azureml:<name>:<version>", target=f"inputData.{name}"
        )
    return {"jobInputType": kind, "uri": str(uri)}


def _outputs(given: Mapping[str, Json]) -> dict[str, dict[str, Json]]:
    if "outputdata" in given:
        return {name: _output(name, value) for name, value in _object(given, "outputData").items()}
    old = _lowered(given.get("outputdataset") or {})
    if not old:
        return {}
    match = _DATASTORE_ID.match(str(old.get("datastoreid") or ""))
    store = match[1] if match else "workspaceblobstore"
    path = str(old.get("path") or "").strip("/")
    return {"score": {"jobOutputType": "uri_folder", "uri": f"azureml://datastores/{store}/paths/{path}"}}


def _output(name: str, value: Json) -> dict[str, Json]:
    if not isinstance(value, Mapping):
        raise InvalidRequest(
            f'Output {name} is {value!r}: write {{"jobOutputType": "UriFolder", "uri": ...}}',
            target=f"outputData.{name}",
        )
    fields = _lowered(value)
    kind = _type(fields.get("joboutputtype") or fields.get("type") or "UriFolder", f"outputData.{name}")
    uri = fields.get("uri") or fields.get("path")
    found = {"jobOutputType": kind, "uri": _datastore_uri(str(uri)) if uri else None, "mode": fields.get("mode")}
    return {key: item for key, item in found.items() if item}


def _datastore_uri(uri: str) -> str:
    """Return a place whose datastore may be written as an ARM id, as azure-ai-ml does with --output-path."""
    head, middle, path = uri.partition("/paths/")
    match = _DATASTORE_ID.match(head)
    return f"azureml://datastores/{match[1]}{middle}{path}" if match and middle else uri


def _type(text: Json, target: str) -> str:
    kind = _TYPES.get(str(text).lower().replace("_", ""))
    if kind is None:
        raise InvalidRequest(f"{target} has the type {text!r}: it must be one of {', '.join(_TYPES)}", target=target)
    return kind


def _settings(given: Mapping[str, Json]) -> dict[str, Json]:
    """Return the fields about mini-batches in the spelling of deployments."""
    spelled = {
        "minibatchsize": "miniBatchSize", "errorthreshold": "errorThreshold", "retrysettings": "retrySettings",
        "maxconcurrencyperinstance": "maxConcurrencyPerInstance", "logginglevel": "loggingLevel",
        "resources": "resources", "compute": "compute",
    }  # fmt: skip
    return {spelled[name]: value for name, value in given.items() if name in spelled}


def _text(value: Json) -> str | None:
    return str(value) if value else None
