"""What jobs, components and nodes say of their distribution, read once. Nothing is looked up here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from entrepot.core.errors import InvalidRequest, Unsupported
from entrepot.domain.jobs.fields import get, mapping

Json = Any

MOST_PROCESSES = 256
_KINDS = {"pytorch": "PyTorch", "mpi": "Mpi", "tensorflow": "TensorFlow"}  # ours: ARM's


@dataclass(frozen=True, slots=True)
class Distribution:
    """How many processes run a step's command, and by which convention they find each other. `kind` '': it is one.

    `instances` are nodes in Azure ML; here all of them are on the machine that runs the step. `workers` and
    `parameter_servers` are TensorFlow's.
    """

    kind: str = ""
    instances: int = 1
    per_instance: int = 1
    workers: int = 0
    parameter_servers: int = 0

    @property
    def processes(self) -> int:
        """How many processes there are."""
        if self.kind == "tensorflow":
            return (self.workers or self.instances) + self.parameter_servers
        return self.instances * self.per_instance if self.kind else 1

    @property
    def told(self) -> dict[str, Json]:
        """What a job's document keeps of it; nothing of a single process on one instance."""
        if not self.kind and self.instances == 1:
            return {}
        return {
            "kind": self.kind, "instances": self.instances, "perInstance": self.per_instance,
            "workers": self.workers or self.instances, "parameterServers": self.parameter_servers,
        }  # fmt: skip

    @property
    def shown(self) -> dict[str, Json]:
        """The `distribution` and `resources` of an ARM body."""
        if not self.told:
            return {}
        resources = {"resources": {"instanceCount": self.instances}}
        if not self.kind:
            return resources
        body: dict[str, Json] = {"distributionType": _KINDS[self.kind]}
        if self.kind == "tensorflow":
            body |= {"workerCount": self.workers or self.instances, "parameterServerCount": self.parameter_servers}
        else:
            body["processCountPerInstance"] = self.per_instance
        return {"distribution": body, **resources}


def read(body: Mapping[str, Json], known: Distribution = Distribution(), *, where: str) -> Distribution:
    """Return a distribution as a body's `distribution` and `resources` say; what they leave out stays as known.

    Raises InvalidRequest, and Unsupported naming a kind that is not run here.
    """
    own, resources = mapping(body, "distribution"), mapping(body, "resources")
    found: dict[str, Json] = {"kind": _kind(own, where=where) or known.kind}
    for field, source, name, least in (
        ("instances", resources, "instance_count", 1),
        ("per_instance", own, "process_count_per_instance", 1),
        ("workers", own, "worker_count", 1),
        ("parameter_servers", own, "parameter_server_count", 0),
    ):
        value = get(source, name)
        if value is not None and value != "":
            found[field] = _whole(value, name, least, where=where)
    read = replace(known, **found)
    if read.processes > MOST_PROCESSES:
        raise InvalidRequest(
            f"{where.capitalize()} asks for {read.processes} processes: at most {MOST_PROCESSES} are started"
        )
    return read


def _kind(own: Mapping[str, Json], *, where: str) -> str:
    text = str(get(own, "distribution_type") or get(own, "type") or "")
    kind = text.lower().replace("_", "")
    if kind and kind not in _KINDS:
        known = "pytorch, mpi and tensorflow"
        raise Unsupported(f"Distribution {text!r} of {where}", instead=f"Supported are {known}.")
    return kind


def _whole(value: Json, name: str, least: int, *, where: str) -> int:
    try:
        number = int(str(value))
    except ValueError:
        raise InvalidRequest(f"{name} of {where} is {value!r}: give a whole number", target=name) from None
    if number < least:
        raise InvalidRequest(f"{name} of {where} is {number}: it must be at least {least}", target=name)
    return number
