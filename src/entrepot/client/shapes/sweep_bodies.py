"""What is sent to create sweep jobs, shaped as azure-ai-ml 1.35 sends it."""

from collections.abc import Mapping
from typing import Any

from entrepot.client.shapes.naming import camel, camel_fields

Json = Any

_BOUNDS, _BELL = ("min_value", "max_value"), ("mu", "sigma")
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "choice": ("values",), "randint": ("upper",),
    "uniform": _BOUNDS, "loguniform": _BOUNDS, "quniform": (*_BOUNDS, "q"), "qloguniform": (*_BOUNDS, "q"),
    "normal": _BELL, "lognormal": _BELL, "qnormal": (*_BELL, "q"), "qlognormal": (*_BELL, "q"),
}  # fmt: skip
"""The distributions of search spaces with their arguments in the order in which they are sent."""


def sweep(data: Mapping[str, Json]) -> dict[str, Json]:
    """Return what a sweep's properties have beside its trial."""
    sampling = data.get("sampling_algorithm") or "random"
    options = dict(sampling) if isinstance(sampling, dict) else {"type": sampling}
    kind = str(options.pop("type", "random")).capitalize()
    objective = data["objective"]
    sent: dict[str, Json] = {
        "searchSpace": {name: _parameter(value) for name, value in data["search_space"].items()},
        "samplingAlgorithm": {**options, "samplingAlgorithmType": kind},
        "objective": {"goal": objective["goal"], "primaryMetric": objective["primary_metric"]},
    }
    if data.get("limits"):
        sent["limits"] = {"jobLimitsType": "Sweep"} | {
            camel(name): f"PT{item}S" if name.endswith("timeout") else item for name, item in data["limits"].items()
        }
    if data.get("early_termination"):
        policy = dict(data["early_termination"])
        word = camel(str(policy.pop("type")))
        sent["earlyTermination"] = {**camel_fields(policy), "policyType": word[:1].upper() + word[1:]}
    return sent


def _parameter(value: Mapping[str, Json]) -> list[Json]:
    kind = str(value["type"])
    return [kind, [value.get(name) for name in ARGUMENTS[kind]]]
