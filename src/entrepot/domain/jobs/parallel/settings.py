"""What parallel components and nodes say of their mini-batches, read once. Nothing is looked up here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from entrepot.core.errors import InvalidRequest, Unsupported
from entrepot.domain.jobs import expressions
from entrepot.domain.jobs.fields import get, mapping

Json = Any

MODEL_SCRIPT = "batch_mlflow.py"
"""The script of MLflow models without code; it is laid out beside the driver."""

_LEVELS = ("debug", "info", "warn", "warning", "error", "critical")
_BYTES = re.compile(r"\d+\s*[kKmMgG][bB]")
_LARGEST = 1_000_000


@dataclass(frozen=True, slots=True)
class ParallelSettings:
    """How an input's files are worked on. Names are those of the step's inputs and outputs.

    `script` '' is the one for MLflow models. Thresholds: how many failures are ignored, -1: all.
    """

    script: str
    data: tuple[str, ...]
    append_to: str | None = None
    file_name: str = "parallel_run_step.txt"  # the name Azure ML gives it where the output is a folder
    model: str | None = None
    mini_batch_size: int = 10
    error_threshold: int = -1
    mini_batch_error_threshold: int = -1
    max_retries: int = 3
    timeout_s: int = 60
    concurrency: int = 1
    instances: int = 1
    logging_level: str = "info"

    @property
    def told(self) -> dict[str, Json]:
        """The settings as job documents keep them."""
        return {
            "script": self.script, "data": list(self.data), "appendTo": self.append_to, "fileName": self.file_name,
            "model": self.model, "miniBatchSize": self.mini_batch_size, "errorThreshold": self.error_threshold,
            "miniBatchErrorThreshold": self.mini_batch_error_threshold, "maxRetries": self.max_retries,
            "timeoutSeconds": self.timeout_s, "workers": self.concurrency * self.instances,
            "loggingLevel": self.logging_level,
        }  # fmt: skip


def read_parallel(spec: Mapping[str, Json], *, where: str) -> ParallelSettings:
    """Read the settings of a parallel component's spec. Raises InvalidRequest, Unsupported."""
    task = mapping(spec, "task")
    if not task:
        raise InvalidRequest(f"{where.capitalize()} has no `task`: give code, entry_script and environment")
    kind = str(get(task, "type") or "run_function").lower()
    if kind not in ("run_function", "function", "model"):
        raise InvalidRequest(f"The task of {where} has the type {kind!r}: it must be run_function or model")
    script = str(get(task, "entry_script") or "")
    model = _named(get(task, "model"), "inputs")
    if not script and not model:
        raise InvalidRequest(f"The task of {where} has no entry_script: name the file with init() and run()")
    data = _named(get(spec, "input_data"), "inputs")
    if not data:
        raise InvalidRequest(
            f"{where.capitalize()} has no input_data: write ${{{{inputs.<name>}}}}", target="input_data"
        )
    read = ParallelSettings(
        script=script, data=(data,), model=model, append_to=_named(get(task, "append_row_to"), "outputs")
    )
    return overridden(read, spec, where=where)


def overridden(settings: ParallelSettings, body: Mapping[str, Json], *, where: str) -> ParallelSettings:
    """Return the settings with what a node (or an invocation) says of its own. Raises InvalidRequest, Unsupported."""
    if get(body, "partition_keys"):
        raise Unsupported(f"partition_keys of {where}", instead="Set mini_batch_size, a number of files.")
    retries, resources = mapping(body, "retry_settings"), mapping(body, "resources")
    numbers = (
        ("mini_batch_size", body, "mini_batch_size", 1),
        ("error_threshold", body, "error_threshold", -1),
        ("mini_batch_error_threshold", body, "mini_batch_error_threshold", -1),
        ("max_retries", retries, "max_retries", 0),
        ("timeout_s", retries, "timeout", 1),
        ("concurrency", body, "max_concurrency_per_instance", 1),
        ("instances", resources, "instance_count", 1),
    )
    found: dict[str, Json] = {}
    for field, source, name, least in numbers:
        value = get(source, name)
        if value not in (None, "", 0, "0") or (value == 0 and least <= 0):  # azure-ai-ml writes 0 for what is not said
            found[field] = _whole(value, name, least, where=where)
    if name := get(mapping(body, "task"), "output_file_name"):
        found["file_name"] = check_file_name(str(name))
    if level := get(body, "logging_level"):
        found["logging_level"] = _level(str(level), where=where)
    return replace(settings, **found)


def check_file_name(name: str) -> str:
    """Return the name of an output's file. Raises InvalidRequest for one that is a path."""
    if "/" in name or name in ("", ".", ".."):
        raise InvalidRequest(
            f"output_file_name is {name!r}: write a file's name without folders", target="outputFileName"
        )
    return name


def _named(text: Json, side: str) -> str | None:
    """Return x of `${{inputs.x}}`, or of the bare x. Raises InvalidRequest for other expressions."""
    if not text:
        return None
    path = expressions.whole(str(text))
    if path is None and not expressions.has_expression(text):
        return str(text)
    if path is None or path[0] != side or len(path) < 2:
        raise InvalidRequest(f"{text!r} is not an expression such as ${{{{{side}.<name>}}}}")
    return ".".join(path[1:])


def _whole(value: Json, name: str, least: int, *, where: str) -> int:
    text = str(value).strip()
    if _BYTES.fullmatch(text):
        raise Unsupported(f"{name} of {where} in bytes ({text})", instead="Give a number of files, such as 10.")
    try:
        number = int(text)
    except ValueError:
        raise InvalidRequest(f"{name} of {where} is {value!r}: give a whole number", target=name) from None
    if not least <= number <= _LARGEST:
        raise InvalidRequest(f"{name} of {where} is {number}: it must be from {least} to {_LARGEST}", target=name)
    return number


def _level(text: str, *, where: str) -> str:
    if text.lower() not in _LEVELS:
        raise InvalidRequest(
            f"logging_level of {where} is {text!r}: it must be one of {', '.join(_LEVELS)}", target="logging_level"
        )
    return text.lower()
