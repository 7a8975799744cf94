"""What `ml batch-endpoint invoke` sends: a file, --set over it, and the options for one input and one output."""

from __future__ import annotations

from entrepot.client.failures import UsageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call
    from entrepot.client.files import Document

    Json = Any

_INPUT_TYPES = ("uri_folder", "uri_file", "mltable")


def invocation(call: Call) -> Json:
    """Return the body of an invocation, with local data uploaded. Raises UsageFailure, FileFailure."""
    from entrepot.cli.commands.results import watched
    from entrepot.client import overrides
    from entrepot.client.publishing.batch import invocation_body
    from entrepot.client.publishing.content import Publisher
    from entrepot.client.schemas.batch import INVOCATION
    from entrepot.client.schemas.checks import check

    document = _document(call)
    overrides.lay_over(document, call.words("set"))
    data, warnings = check(document, INVOCATION)
    publisher = Publisher(call.session, call.workspace(), lambda label: watched(call, label))
    for warning in warnings:
        call.console.warn(warning)
    return invocation_body(publisher, document, data)


def _document(call: Call) -> Document:
    """Return the file, or nothing, with the options laid over it."""
    from entrepot.client import files

    path = call.file()
    document = files.load(path) if path else files.Document({}, path=None, lines={}, texts={})
    data = document.data
    for option in ("inputs", "outputs"):
        if call.text(option):
            data[option] = {**(data.get(option) or {}), **_table(call, option)}
    if call.text("input"):
        kind = call.text("input_type")
        if kind and kind not in _INPUT_TYPES:
            raise UsageFailure(f"argument --input-type: {kind!r} is not one of {', '.join(_INPUT_TYPES)}")
        data["inputs"] = {"data": {"path": call.text("input"), **({"type": kind} if kind else {})}}
    elif call.text("input_type"):
        raise UsageFailure("argument --input-type: give --input as well, the data of this type")
    if call.text("output_path"):
        data["outputs"] = {"score": {"type": "uri_folder", "path": call.text("output_path")}}
    for option in ("experiment_name", "job_name"):
        if call.text(option):
            data[option] = call.text(option)
    for option in ("mini_batch_size", "instance_count"):
        if call.text(option):
            data[option] = call.number(option)
    return document


def _table(call: Call, option: str) -> dict[str, Json]:
    """Read `{"data": {"type": "uri_folder", "path": "./data"}}`."""
    import json

    try:
        value = json.loads(str(call.text(option)))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        example = '{"data": {"type": "uri_folder", "path": "./data"}}'
        raise UsageFailure(f"argument --{option}: write JSON such as {example}, or give --file")
    return value
