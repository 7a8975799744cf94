"""What a deployment is made of: its references resolved to the versions, bytes and environment that will serve.

Everything is pinned when the deployment is written, so that its replicas mean the same until it is written again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.core.errors import InvalidRequest, Unsupported
from entrepot.core.ids import WorkspaceScope
from entrepot.core.nouns import CODE, ENVIRONMENT, MODEL, Kind
from entrepot.domain import lineage
from entrepot.domain.assets import awaited, catalog, sources
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.jobs.planning import Planner
from entrepot.store.documents import Document, Link

Json = Any

_MLFLOW, _TRITON = "mlflow_model", "triton_model"
_SCRIPTS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Resolved:
    """`fields` replace the references in the properties by the ids that they mean; `ours` is for the replicas."""

    fields: Mapping[str, Json]
    ours: Mapping[str, Json]
    model: str | None
    used: tuple[str, ...]

    def links(self, deployment: str) -> list[Link]:
        """Return the lineage edges of a deployment, given its ARM id."""
        edges = [lineage.used(deployment, thing) for thing in self.used]
        return edges + ([lineage.deployed(deployment, self.model)] if self.model else [])


def resolve(hub: Hub, principal: Principal, scope: WorkspaceScope, properties: Mapping[str, Json]) -> Resolved:
    """Resolve a deployment's model, environment and code. Raises NotFound, InvalidRequest, InvalidReference."""
    planner = Planner(hub, principal, scope)
    fields: dict[str, Json] = {}
    model = _document(planner, properties.get("model"), MODEL, "model")
    environment = _document(planner, properties.get("environmentId"), ENVIRONMENT, "environmentId")
    code = _code(planner, properties.get("codeConfiguration"), fields)
    _require_enough(model, environment, code)
    if model is not None:
        fields["model"] = model.body["id"]
    if environment is not None:
        fields["environmentId"] = environment.body["id"]
    ours = {
        "model": _model_part(hub, model) if model else None,
        "environment": environment.body["id"] if environment else None,
        "code": _bytes_part(hub, code) if code else None,
    }
    used = tuple(document.body["id"] for document in (environment, code) if document is not None)
    return Resolved(fields, ours, fields.get("model"), used)


def _document(planner: Planner, given: Json, kind: Kind, field: str) -> Document | None:
    if not given:
        return None
    if not isinstance(given, str):
        raise InvalidRequest(f"{field} must be the id of {kind.noun} version: got {given!r}", target=field)
    document = planner.resolve(given, kind, planner.scope, where=field)
    return awaited.settled(planner.hub, document) if kind is MODEL else document


def _code(planner: Planner, given: Json, fields: dict[str, Json]) -> Document | None:
    if not given:
        return None
    script = given.get("scoringScript") if isinstance(given, Mapping) else None
    if not isinstance(script, str) or not script:
        raise InvalidRequest(
            "codeConfiguration needs scoringScript, the name of a Python file with init() and run()",
            target="codeConfiguration.scoringScript",
        )
    document = _document(planner, given.get("codeId"), CODE, "codeConfiguration.codeId")
    if document is None:
        raise InvalidRequest("codeConfiguration needs codeId, the code that was uploaded", target="codeConfiguration")
    wanted = script_in(planner.hub, document, script)
    fields["codeConfiguration"] = {**given, "codeId": document.body["id"], "scoringScript": wanted}
    return document


def script_in(hub: Hub, code: Document, script: str) -> str:
    """Return a scoring script's path in a code version. Raises InvalidRequest that says which scripts are there."""
    files = [entry.path for entry in sources.of_document(hub, code).manifest.files]
    wanted = script.removeprefix("./")
    if wanted in files:
        return wanted
    scripts = sorted(path for path in files if path.endswith(".py"))
    shown = ", ".join(scripts[:_SCRIPTS_SHOWN]) or "no Python file"
    raise InvalidRequest(
        f"The code has no file {script!r}, which scoringScript names: it has {shown}",
        target="codeConfiguration.scoringScript",
    )


def _require_enough(model: Document | None, environment: Document | None, code: Document | None) -> None:
    """Raise InvalidRequest when nothing says how requests are to be answered."""
    kind = model.body["properties"]["modelType"] if model else None
    if kind == _TRITON:
        raise Unsupported("Serving a triton_model", instead="Deploy it with a scoring script, or as an mlflow_model.")
    if kind == _MLFLOW:
        return
    if environment is None:
        raise InvalidRequest(
            "A deployment needs environmentId, unless its model is an mlflow_model, which brings its own",
            target="environmentId",
        )
    is_container = bool(environment.body["properties"].get("inferenceConfig"))
    if code is None and not is_container:
        raise InvalidRequest(
            "A deployment needs codeConfiguration (code and scoringScript), unless its model is an mlflow_model or "
            "its environment has an inferenceConfig",
            target="codeConfiguration",
        )


def _model_part(hub: Hub, document: Document) -> dict[str, Json]:
    body, ref = document.body, catalog.ref_of(document.body)
    return _bytes_part(hub, document) | {
        "id": body["id"],
        "name": ref.name,
        "version": ref.version,
        "type": body["properties"]["modelType"],
    }


def _bytes_part(hub: Hub, document: Document) -> dict[str, Json]:
    sources.of_document(hub, document)  # raises now, in the caller's words, what a replica would fail at later
    ours = document.body["entrepot"]
    return {"snapshot": ours["snapshot"], "path": ours["path"]}
