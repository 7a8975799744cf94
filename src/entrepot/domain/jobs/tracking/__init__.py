"""Tracking: MLflow's REST semantics over the DocumentStore, without importing mlflow.

`handle` takes an endpoint below `/api/2.0/mlflow/` and its JSON and returns JSON in MLflow's own shapes; errors are
the product's, which `wire/mlflow.py` turns into MLflow's codes. A job is a run: its run id is its name.
"""

from collections.abc import Callable, Mapping
from typing import Any

from entrepot.core.errors import Unsupported
from entrepot.core.ids import WorkspaceScope
from entrepot.core.nouns import PROVIDER
from entrepot.domain import access, audit
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.jobs import records
from entrepot.domain.jobs.tracking import artifacts, experiments, history, logged_models, runs, search, traces
from entrepot.domain.jobs.tracking.artifacts import artifact_place, recorded
from entrepot.domain.jobs.tracking.session import Session
from entrepot.domain.scopes import home

__all__ = ["artifact_place", "handle", "recorded"]

Json = Any
_Endpoint = Callable[[Session, Mapping[str, Json]], Json]

METRICS = f"{PROVIDER}/workspaces/metrics/resource/write"
_FEATURES = ("workspaces_enabled", "trace_archival_enabled", "multipart_uploads_enabled", "multipart_downloads_enabled")


def _server_info(session: Session, body: Mapping[str, Json]) -> Json:
    """Tell MLflow 3 clients which of MLflow's newer ways to do things they need not try."""
    return {"store_type": "SqlStore", **dict.fromkeys(_FEATURES, False)}


_READING: Mapping[str, _Endpoint] = {
    "server-info": _server_info,
    "experiments/get": experiments.get,
    "experiments/get-by-name": experiments.get_by_name,
    "experiments/search": experiments.search,
    "runs/get": runs.get,
    "runs/search": search.search,
    "metrics/get-history": history.get,
    "artifacts/list": artifacts.listed,
    "logged-models/search": logged_models.search,
    "traces/search": traces.search,
}
_WRITING: Mapping[str, _Endpoint] = {
    "experiments/create": experiments.create,
    "experiments/update": experiments.update,
    "experiments/delete": experiments.delete,
    "experiments/restore": experiments.restore,
    "experiments/set-experiment-tag": experiments.set_tag,
    "experiments/delete-experiment-tag": experiments.delete_tag,
    "runs/create": runs.create,
    "runs/update": runs.update,
    "runs/delete": runs.delete,
    "runs/restore": runs.restore,
    "runs/log-metric": history.log_metric,
    "runs/log-batch": history.log_batch,
    "runs/log-parameter": history.log_parameter,
    "runs/set-tag": history.set_tag,
    "runs/delete-tag": history.delete_tag,
    "runs/log-inputs": runs.log_inputs,
    "runs/outputs": runs.log_outputs,
    "runs/log-model": runs.log_model,
    "logged-models": logged_models.create,
    "traces": traces.start,
    "traces/delete-traces": traces.delete,
    "traces/link-to-run": traces.link,
}
_ONE = {"logged-models": logged_models.one, "traces": traces.one}
_LATER = ("get", "batchGet", "batchGetInfos", "metrics", "calculate-filter-correlation", "link-prompts")
"""Calls of MLflow about many traces that no id may hide."""


def handle(
    hub: Hub, principal: Principal, scope: WorkspaceScope, endpoint: str, body: Mapping[str, Json], *, method: str = ""
) -> Json:
    """Answer one call of an MLflow client. Raises Unsupported for endpoints that are not tracking's.

    `method` tells reading, changing and deleting apart where MLflow uses one path for them; without it, what the
    clients send with each does.
    """
    endpoint = endpoint.strip("/")
    found = home(hub, scope).scope
    assert isinstance(found, WorkspaceScope)
    session = Session(hub, principal, found)
    if reading := _READING.get(endpoint):
        access.require(hub, principal, records.READ, scope.key)
        return reading(session, body)
    if writing := _WRITING.get(endpoint):
        is_metrics = _is_metrics(endpoint, body) and not access.allowed(hub, principal, records.WRITE, scope.key)
        action = METRICS if is_metrics else records.WRITE
        access.require(hub, principal, action, scope.key)
        answer = writing(session, body)
        _note(session, body, endpoint, action)
        return answer
    head, _, rest = endpoint.partition("/")
    if (one := _ONE.get(head)) and rest not in _LATER:
        answer = one(session, rest.split("/"), body, method=method)
        if method != "GET":
            _note(session, body, endpoint, records.WRITE)
        return answer
    raise Unsupported(f"MLflow's {endpoint}")


def _is_metrics(endpoint: str, body: Mapping[str, Json]) -> bool:
    """Say whether a call writes metrics of runs and nothing else, for which a role of its own is enough."""
    if endpoint == "runs/log-metric":
        return not body.get("model_id")
    metrics = body.get("metrics")
    if endpoint != "runs/log-batch" or body.get("params") or body.get("tags") or not isinstance(metrics, list):
        return False
    return all(isinstance(metric, dict) and not metric.get("model_id") for metric in metrics)


def _note(session: Session, body: Mapping[str, Json], endpoint: str, action: str) -> None:
    """Have a write in the audit trail soon: metrics come by the thousand, and none waits for it."""
    run = body.get("run_id") or body.get("run_uuid")
    target = f"{session.scope.arm_id}/jobs/{run}" if isinstance(run, str) else session.scope.arm_id
    now = session.hub.clock.now()
    details = {"mlflow": endpoint}
    session.hub.notes.note(audit.entry(session.principal, action, target=target, now=now, details=details))
