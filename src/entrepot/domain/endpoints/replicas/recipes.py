"""A recipe: all that a deployment's document says of how its replicas run, read once, with Azure's defaults.

What is read here is checked when a deployment is written, so that nothing is found out only by its replicas.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.compute.backend import Limits
from entrepot.core.errors import EntrepotError, InvalidRequest, Unsupported
from entrepot.domain.jobs.fields import read_duration

Json = Any

ENTREPOT, MICROSOFT = "entrepot", "azmlinfsrv"
MLFLOW, TRITON = "mlflow_model", "triton_model"
_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
_BINARY_UNITS = {"ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40}


@dataclass(frozen=True, slots=True)
class Probe:
    """How a replica is asked how it is. Times in seconds."""

    initial_delay_s: float = 10
    period_s: float = 10
    timeout_s: float = 2
    successes: int = 1
    failures: int = 30

    @property
    def start_s(self) -> float:
        """How long a replica may take to begin: no probe counts before."""
        return self.initial_delay_s + self.failures * self.period_s


@dataclass(frozen=True, slots=True)
class Scale:
    """How many replicas there may be, and how busy they are to be kept; not `is_automatic`: as many as are wanted."""

    is_automatic: bool = False
    least: int = 1
    most: int = 1
    target: float = 0.7
    interval_s: float = 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a replica is made of and how it is kept."""

    resolved: Mapping[str, Json]
    script: str | None
    server: str
    variables: Mapping[str, str]
    workers: int
    threads: int
    liveness: Probe
    readiness: Probe
    request_timeout_s: float
    limits: Limits
    refusal: EntrepotError | None = None


def unservable(error: EntrepotError) -> Recipe:
    """Return the recipe of a replica that cannot be: it only tells why."""
    return Recipe({}, None, ENTREPOT, {}, 1, 0, Probe(), Probe(), 5.0, Limits(), error)


def idle_of(properties: Mapping[str, Json], default_s: float) -> float:
    """Return after how many seconds without a request a deployment may sleep. Raises InvalidRequest."""
    given = (properties.get("properties") or {}).get("idle_seconds")
    if given is None:
        return default_s
    try:
        return float(given)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"properties.idle_seconds is {given!r}: a number of seconds is needed") from error


def part_of(body: Json) -> dict[str, Json]:
    """Return the part of a deployment's body that a replica keeps: its recipe as JSON."""
    properties = body["properties"]
    names = (
        "codeConfiguration", "environmentVariables", "livenessProbe", "readinessProbe", "requestSettings",
        "containerResourceRequirements", "properties",
    )  # fmt: skip
    kept = {name: properties[name] for name in names if properties.get(name) is not None}
    return {"properties": kept, "resolved": body["entrepot"].get("resolved") or {}, "title": body.get("name", "")}


def read(part: Json) -> Recipe:
    """Read a recipe. Raises InvalidRequest for a value that cannot be, Unsupported for what no replica here can be."""
    properties = part["properties"]
    resolved = part["resolved"]
    variables = {str(name): str(value) for name, value in (properties.get("environmentVariables") or {}).items()}
    extras = properties.get("properties") or {}
    server = str(extras.get("inference_server") or extras.get("inferenceServer") or ENTREPOT)
    if server not in (ENTREPOT, MICROSOFT):
        raise InvalidRequest(f"inference_server is {server!r}: {ENTREPOT} and {MICROSOFT} are known")
    script = (properties.get("codeConfiguration") or {}).get("scoringScript")
    kind = (resolved.get("model") or {}).get("type")
    if script is None:
        _require_servable(kind)
    elif kind == TRITON:
        raise Unsupported("Serving a triton_model", instead="Give code_configuration with a scoring script.")
    if server == MICROSOFT and script is None:
        raise InvalidRequest("inference_server: azmlinfsrv needs code_configuration with a scoring script")
    return Recipe(
        resolved=resolved, script=script, server=server, variables=variables,
        workers=_count(variables, "WORKER_COUNT", 1, least=1), threads=_count(variables, "ENTREPOT_SCORE_THREADS", 0),
        liveness=_probe(properties.get("livenessProbe")), readiness=_probe(properties.get("readinessProbe")),
        request_timeout_s=read_duration((properties.get("requestSettings") or {}).get("requestTimeout")) or 5.0,
        limits=_limits(properties.get("containerResourceRequirements") or {}),
    )  # fmt: skip


def scale_of(properties: Mapping[str, Json]) -> Scale:
    """Read `scaleSettings`. Raises InvalidRequest."""
    given = properties.get("scaleSettings") or {}
    if str(given.get("scaleType") or "Default").replace("_", "").lower() != "targetutilization":
        return Scale()
    least, most = int(given.get("minInstances", 1)), int(given.get("maxInstances", 1))
    if not 0 <= least <= most or most < 1:
        raise InvalidRequest(
            f"scale_settings: min_instances {least} and max_instances {most} do not go together: "
            "0 <= min_instances <= max_instances, and max_instances at least 1"
        )
    target = int(given.get("targetUtilizationPercentage") or 70)
    if not 1 <= target <= 100:
        raise InvalidRequest(f"scale_settings: target_utilization_percentage {target} is not between 1 and 100")
    interval_s = max(1.0, read_duration(given.get("pollingInterval")) or 1.0)
    return Scale(True, least, most, target / 100, interval_s)


def _require_servable(kind: str | None) -> None:
    if kind == TRITON:
        raise Unsupported("Serving a triton_model", instead="Give code_configuration with a scoring script.")
    if kind != MLFLOW:
        raise Unsupported(
            "Serving a container image, which is what a deployment without code_configuration is,",
            instead="Give code_configuration with a scoring script, or an mlflow_model; "
            "this server's compute backend runs processes, not containers.",
        )


def _probe(given: Json) -> Probe:
    if not given:
        return Probe()
    default = Probe()
    return Probe(
        initial_delay_s=_or(read_duration(given.get("initialDelay")), default.initial_delay_s),
        period_s=max(0.1, _or(read_duration(given.get("period")), default.period_s)),
        timeout_s=max(0.1, _or(read_duration(given.get("timeout")), default.timeout_s)),
        successes=max(1, int(given.get("successThreshold") or default.successes)),
        failures=max(1, int(given.get("failureThreshold") or default.failures)),
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _count(variables: Mapping[str, str], name: str, default: int, *, least: int = 0) -> int:
    text = variables.get(name)
    if text is None:
        return default
    if not text.isdigit() or int(text) < least:
        raise InvalidRequest(f"environment variable {name} is {text!r}: a whole number from {least} on is needed")
    return int(text)


def _limits(given: Json) -> Limits:
    limits = given.get("containerResourceLimits") or {}
    cpu, memory = limits.get("cpu"), limits.get("memory")
    return Limits(cpus=_quantity(cpu, "cpu") if cpu else None,
                  memory_bytes=int(_quantity(memory, "memory")) if memory else None)  # fmt: skip


def _quantity(value: Json, name: str) -> float:
    """Read a quantity as Kubernetes writes them: 500m, 2, 1.5, 512Mi, 2G."""
    text = str(value).strip()
    digits = text.rstrip("kKmMgGtTiI")
    unit = text[len(digits) :].lower()
    try:
        number = float(digits)
        if name == "cpu" and unit == "m":
            return number / 1000
        return number * (_BINARY_UNITS[unit] if unit in _BINARY_UNITS else _UNITS[unit])
    except (ValueError, KeyError) as error:
        raise InvalidRequest(f"{name} limit {value!r} is not a quantity such as 500m, 2, 512Mi or 2Gi") from error
