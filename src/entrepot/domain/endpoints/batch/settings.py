"""What a batch deployment's body says: of a model with its settings, or of a pipeline component. Nothing looked up."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.core.errors import InvalidRequest
from entrepot.domain.jobs.fields import get, mapping, read_duration, variables
from entrepot.domain.jobs.parallel.settings import check_file_name

Json = Any

APPEND_ROW, SUMMARY_ONLY = "AppendRow", "SummaryOnly"
DEFAULTS: Mapping[str, Json] = {
    "errorThreshold": -1, "maxConcurrencyPerInstance": 1, "miniBatchSize": 10, "outputAction": APPEND_ROW,
    "outputFileName": "predictions.csv", "loggingLevel": "Info",
}  # fmt: skip
RETRIES: Mapping[str, Json] = {"maxRetries": 3, "timeout": "PT30S"}

_ACTIONS = {
    "appendrow": APPEND_ROW,
    "append_row": APPEND_ROW,
    "summaryonly": SUMMARY_ONLY,
    "summary_only": SUMMARY_ONLY,
}


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """A model deployment: references as written, and the settings of its mini-batches as parallel steps spell them."""

    model: str
    code: str | None
    script: str | None
    environment: str | None
    compute: str | None
    is_appending: bool
    file_name: str
    parallel: Mapping[str, Json]
    environment_variables: Mapping[str, str]


def with_defaults(properties: Mapping[str, Json]) -> dict[str, Json]:
    """Return a deployment's properties with what Azure ML fills in. Raises InvalidRequest."""
    kept = {name: value for name, value in properties.items() if value is not None}
    action = str(kept.get("outputAction") or APPEND_ROW)
    if action.lower() not in _ACTIONS:
        raise InvalidRequest(
            f"output_action is {action!r}: it must be append_row or summary_only", target="outputAction"
        )
    kept["outputAction"] = _ACTIONS[action.lower()]
    kept["retrySettings"] = {**RETRIES, **mapping(kept, "retry_settings")}
    kept["resources"] = {"instanceCount": 1, **mapping(kept, "resources")}
    kept["environmentVariables"] = variables(kept)
    check_file_name(str(kept.get("outputFileName") or DEFAULTS["outputFileName"]))
    filled = {**DEFAULTS, **kept}
    for name, value, least in (
        ("mini_batch_size", filled["miniBatchSize"], 1),
        ("error_threshold", filled["errorThreshold"], -1),
        ("max_concurrency_per_instance", filled["maxConcurrencyPerInstance"], 1),
        ("retry_settings.max_retries", get(filled["retrySettings"], "max_retries"), 0),
        ("retry_settings.timeout", read_duration(get(filled["retrySettings"], "timeout")), 1),
        ("resources.instance_count", get(filled["resources"], "instance_count"), 1),
    ):
        _require_number(value, name, least)
    return filled


def _require_number(value: Json, name: str, least: int) -> None:
    try:
        is_good = not isinstance(value, bool) and float(value) >= least and float(value) == int(float(value))
    except (TypeError, ValueError, OverflowError):
        is_good = False
    if not is_good:
        raise InvalidRequest(f"{name} must be a whole number from {least} on: got {value!r}", target=name)


def read_model(properties: Mapping[str, Json]) -> ModelSettings:
    """Read a model deployment's properties, defaults filled in. Raises InvalidRequest."""
    model = get(properties, "model")
    named = (get(model, "asset_id") or get(model, "path")) if isinstance(model, Mapping) else model
    if not named:
        raise InvalidRequest("A batch deployment needs a model, such as azureml:<name>:<version>", target="model")
    code = mapping(properties, "code_configuration")
    script = get(code, "scoring_script")
    if bool(get(code, "code_id")) != bool(script):
        raise InvalidRequest(
            "code_configuration needs both: code, a folder, and scoring_script, a file in it",
            target="codeConfiguration",
        )
    return ModelSettings(
        model=str(named),
        code=get(code, "code_id"),
        script=str(script) if script else None,
        environment=get(properties, "environment_id"),
        compute=get(properties, "compute"),
        is_appending=properties["outputAction"] == APPEND_ROW,
        file_name=str(properties["outputFileName"]),
        parallel=parallel_of(properties),
        environment_variables=variables(properties),
    )


def parallel_of(properties: Mapping[str, Json]) -> dict[str, Json]:
    """Return what is said of mini-batches as a parallel step says it; only what is there. Raises InvalidRequest."""
    found = {
        name: get(properties, name)
        for name in ("mini_batch_size", "error_threshold", "max_concurrency_per_instance", "logging_level")
    }
    for name in ("mini_batch_size", "max_concurrency_per_instance"):
        if str(found[name]) == "0":
            raise InvalidRequest(f"{name} is 0: give a number from 1 on", target=name)
    retries = mapping(properties, "retry_settings")
    found["retry_settings"] = {
        name: value
        for name, value in (
            ("max_retries", get(retries, "max_retries")),
            ("timeout", _seconds(get(retries, "timeout"))),
        )
        if value is not None
    }
    count = get(mapping(properties, "resources"), "instance_count")
    count = get(mapping(properties, "compute"), "instance_count") if count is None and _is_object(properties) else count
    found["resources"] = {"instance_count": count} if count is not None else {}
    return {name: value for name, value in found.items() if value not in (None, {})}


def _is_object(properties: Mapping[str, Json]) -> bool:
    """Say whether `compute` is an object, as invocations write it, rather than a reference."""
    return isinstance(get(properties, "compute"), Mapping)


def _seconds(value: Json) -> int | None:
    seconds = read_duration(value)
    return None if seconds is None else max(1, round(seconds))
