"""MLflow's REST calls as its client sends them: what they answer, keep and refuse."""

from dataclasses import replace
from typing import Any

import pytest

from entrepot.core.errors import AccessDenied, AlreadyExists, InvalidRequest, NotFound, Unsupported
from entrepot.domain.hub import Principal
from entrepot.domain.jobs import tracking
from entrepot.testing.hub import OWNER

House = Any
Json = Any


def call(house: House, endpoint: str, method: str = "", **body: Json) -> Json:
    return tracking.handle(house.hub, OWNER, house.scope, endpoint, body, method=method)


def experiment(house: House, name: str = "taxi") -> str:
    found: str = call(house, "experiments/create", name=name)["experiment_id"]
    return found


def run(house: House, experiment_id: str, name: str = "r", start: int = 1) -> str:
    made = call(house, "runs/create", experiment_id=experiment_id, run_name=name, start_time=start, tags=[])
    found: str = made["run"]["info"]["run_id"]
    return found


def metrics(house: House, run_id: str) -> dict[str, Json]:
    return {m["key"]: m["value"] for m in call(house, "runs/get", run_id=run_id)["run"]["data"]["metrics"]}


def names(answer: Json) -> list[str]:
    return [found["info"]["run_name"] for found in answer["runs"]]


def test_a_run_keeps_the_latest_metric_and_the_history_keeps_all(idle: House) -> None:
    r = run(idle, experiment(idle))
    for step, value in ((0, 3.5), (2, 1.5), (1, 2.5)):
        call(idle, "runs/log-metric", run_id=r, key="rmse", value=value, timestamp=step, step=str(step))
    assert metrics(idle, r) == {"rmse": 1.5}
    history = call(idle, "metrics/get-history", run_id=r, metric_key="rmse")["metrics"]
    assert [(m["value"], m["step"]) for m in history] == [(3.5, 0), (1.5, 2), (2.5, 1)]


def test_a_history_comes_in_pages(idle: House) -> None:
    r = run(idle, experiment(idle))
    for step in range(5):
        call(idle, "runs/log-metric", run_id=r, key="m", value=step, timestamp=1, step=step)
    first = call(idle, "metrics/get-history", run_id=r, metric_key="m", max_results="2")
    assert len(first["metrics"]) == 2
    rest = call(idle, "metrics/get-history", run_id=r, metric_key="m", page_token=first["next_page_token"])
    assert [m["value"] for m in rest["metrics"]] == [2, 3, 4]


def test_values_that_json_cannot_hold_are_kept(idle: House) -> None:
    r = run(idle, experiment(idle))
    batch = [
        {"key": key, "value": value, "timestamp": 1, "step": 0} for key, value in (("a", "NaN"), ("b", "-Infinity"))
    ]
    call(idle, "runs/log-batch", run_id=r, metrics=batch)
    assert metrics(idle, r) == {"a": "NaN", "b": "-Infinity"}
    found = call(idle, "runs/search", experiment_ids=[experiment_of(idle, r)], filter="metrics.b < 0")
    assert names(found) == ["r"]


def experiment_of(house: House, run_id: str) -> str:
    found: str = call(house, "runs/get", run_id=run_id)["run"]["info"]["experiment_id"]
    return found


def test_a_parameter_cannot_change_and_a_batch_with_such_a_change_does_nothing(idle: House) -> None:
    r = run(idle, experiment(idle))
    call(idle, "runs/log-parameter", run_id=r, key="lr", value="0.1")
    call(idle, "runs/log-parameter", run_id=r, key="lr", value="0.1")
    with pytest.raises(InvalidRequest, match=r"Changing param values is not allowed.*'lr'"):
        call(
            idle, "runs/log-batch", run_id=r, params=[{"key": "lr", "value": "0.2"}],
            metrics=[{"key": "m", "value": 1, "timestamp": 1, "step": 0}],
        )  # fmt: skip
    assert metrics(idle, r) == {}
    assert call(idle, "metrics/get-history", run_id=r, metric_key="m")["metrics"] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("metrics.rmse < 2", ["b"]),
        ("metrics.rmse >= 1 and params.kind = 'linear'", ["b", "a"]),
        ("params.kind != 'linear'", []),
        ("tags.team LIKE 'bl%'", ["b"]),
        ("tags.team ILIKE 'BL%'", ["b"]),
        ("attributes.run_name IN ('a', 'x')", ["a"]),
        ("run_name = 'b'", ["b"]),
        ("status = 'RUNNING' AND start_time > 1", ["b"]),
        ("tags.`odd name` IS NOT NULL", ["a"]),
        ('params."kind" = "linear"', ["b", "a"]),
        ("", ["b", "a"]),
    ],
)
def test_runs_are_searched(idle: House, text: str, found: list[str]) -> None:
    e = experiment(idle)
    for name, rmse, tags, start in (("a", 3, {"team": "red", "odd name": "1"}, 1), ("b", 1, {"team": "blue"}, 2)):
        r = run(idle, e, name, start)
        call(
            idle, "runs/log-batch", run_id=r, metrics=[{"key": "rmse", "value": rmse, "timestamp": 1, "step": 0}],
            params=[{"key": "kind", "value": "linear"}], tags=[{"key": k, "value": v} for k, v in tags.items()],
        )  # fmt: skip
    assert names(call(idle, "runs/search", experiment_ids=[e], filter=text)) == found


def test_runs_are_ordered_and_come_in_pages(idle: House) -> None:
    e = experiment(idle)
    for name, rmse in (("a", 2), ("b", 3), ("c", 1)):
        call(idle, "runs/log-metric", run_id=run(idle, e, name), key="rmse", value=rmse, timestamp=1)
    run(idle, e, "none")
    order: Json = {"experiment_ids": [e], "order_by": ["metrics.rmse DESC"]}
    first = call(idle, "runs/search", max_results=3, **order)
    assert names(first) == ["b", "a", "c"]
    assert names(call(idle, "runs/search", max_results=3, page_token=first["next_page_token"], **order)) == ["none"]


@pytest.mark.parametrize("text", ["metrics.rmse", "metrics.rmse < 'x'", "a = 1 or b = 2", "a = 1 and"])
def test_a_filter_that_makes_no_sense_is_refused(idle: House, text: str) -> None:
    with pytest.raises(InvalidRequest):
        call(idle, "runs/search", experiment_ids=[experiment(idle)], filter=text)


def test_experiments_are_found_by_name_and_taken_names_refused(idle: House) -> None:
    e = experiment(idle)
    assert call(idle, "experiments/get-by-name", experiment_name="taxi")["experiment"]["experiment_id"] == e
    with pytest.raises(AlreadyExists):
        experiment(idle)
    call(idle, "experiments/update", experiment_id=e, new_name="cab")
    assert call(idle, "experiments/get", experiment_id=e)["experiment"]["name"] == "cab"
    assert experiment(idle) != e
    assert call(idle, "experiments/get", experiment_id="0")["experiment"]["name"] == "Default"
    found = call(idle, "experiments/search", filter="name LIKE 'c%'")["experiments"]
    assert [entry["name"] for entry in found] == ["cab"]
    call(idle, "experiments/delete", experiment_id=e)
    assert "cab" not in [entry["name"] for entry in call(idle, "experiments/search")["experiments"]]
    with pytest.raises(NotFound):
        call(idle, "experiments/get", experiment_id="none")


def test_a_deleted_run_is_hidden_and_comes_back(idle: House) -> None:
    e = experiment(idle)
    r = run(idle, e)
    call(idle, "runs/delete", run_id=r)
    assert not call(idle, "runs/search", experiment_ids=[e])["runs"]
    with pytest.raises(InvalidRequest, match="active"):
        call(idle, "runs/log-metric", run_id=r, key="m", value=1)
    call(idle, "runs/restore", run_id=r)
    assert names(call(idle, "runs/search", experiment_ids=[e])) == ["r"]


def test_what_a_job_logs_belongs_to_the_job(idle: House) -> None:
    idle.command("j", "true", experimentName="taxi", tags={"team": "red"})
    call(idle, "runs/log-metric", run_id="j", key="rmse", value=2.5, timestamp=1)
    call(idle, "runs/log-parameter", run_id="j", key="lr", value="0.1")
    call(idle, "runs/set-tag", run_id="j", key="stage", value="dev")
    call(idle, "runs/update", run_id="j", status="FINISHED")
    shown = idle.job("j")
    assert shown["entrepot"]["metrics"] == {"rmse": 2.5}
    assert shown["entrepot"]["parameters"] == {"lr": "0.1"}
    assert shown["properties"]["tags"] == {"team": "red", "stage": "dev"}
    assert shown["properties"]["status"] == "NotStarted"
    e = call(idle, "experiments/get-by-name", experiment_name="taxi")["experiment"]["experiment_id"]
    found = call(idle, "runs/search", experiment_ids=[e], filter="metrics.rmse < 3 and tags.team = 'red'")["runs"]
    assert [entry["info"]["run_id"] for entry in found] == ["j"]
    assert found[0]["info"]["status"] == "SCHEDULED"
    assert found[0]["info"]["artifact_uri"] == "mlflow-artifacts:/j/artifacts"


def test_a_further_run_that_a_jobs_code_begins_is_the_jobs_child(idle: House) -> None:
    """MLflow resumes MLFLOW_RUN_ID once: what is logged after that run ended comes as a run of its own."""
    of_the_job = replace(OWNER, via="train")
    begin = {"experiment_id": experiment(idle), "start_time": 1}
    body = {**begin, "tags": [{"key": "mlflow.parentRunId", "value": "chosen"}]}
    for sent, parent in ((begin, "train"), (body, "chosen")):
        made = tracking.handle(idle.hub, of_the_job, idle.scope, "runs/create", sent, method="")["run"]
        assert {"key": "mlflow.parentRunId", "value": parent} in made["data"]["tags"]


def test_a_reused_step_has_the_metrics_of_the_one_that_ran(house: House) -> None:
    component = house.component("train", "sleep 0.2")
    house.pipeline("first", {"a": {"component": component}})
    node = house.nodes("first")["a"]["name"]
    call(house, "runs/log-metric", run_id=node, key="rmse", value=1.5)
    house.finish("first")
    house.pipeline("second", {"a": {"component": component}})
    house.finish("second")
    again = house.nodes("second")["a"]["name"]
    assert house.job(again)["entrepot"]["reuse"]["of"] == node
    assert house.job(again)["entrepot"]["metrics"] == {"rmse": 1.5}


def test_logged_models_lie_among_the_artifacts_of_their_run(idle: House) -> None:
    idle.command("j", "true", experimentName="taxi")
    e = call(idle, "experiments/get-by-name", experiment_name="taxi")["experiment"]["experiment_id"]
    made = call(
        idle, "logged-models", experiment_id=e, name="model", source_run_id="j", params=[{"key": "a", "value": "1"}]
    )
    info = made["model"]["info"]
    assert info["artifact_uri"] == "mlflow-artifacts:/j/artifacts/model"
    assert info["status"] == "LOGGED_MODEL_PENDING"
    other = call(idle, "logged-models", experiment_id=e, name="model", source_run_id="j")["model"]["info"]
    assert other["artifact_uri"] == "mlflow-artifacts:/j/artifacts/model-2"
    path = f"logged-models/{info['model_id']}"
    call(idle, path, "PATCH", model_id=info["model_id"], status="LOGGED_MODEL_READY")
    call(idle, f"{path}/params", "POST", params=[{"key": "b", "value": "2"}])
    call(idle, f"{path}/tags", "PATCH", tags=[{"key": "t", "value": "v"}])
    call(idle, "runs/log-metric", run_id="j", key="rmse", value=0.5, timestamp=1, model_id=info["model_id"])
    model = call(idle, path, "GET")["model"]
    assert model["info"]["status"] == "LOGGED_MODEL_READY"
    assert model["info"]["tags"] == [{"key": "t", "value": "v"}]
    assert {p["key"]: p["value"] for p in model["data"]["params"]} == {"a": "1", "b": "2"}
    assert [m["value"] for m in model["data"]["metrics"]] == [0.5]
    found = call(idle, "logged-models/search", experiment_ids=[e], filter="metrics.rmse < 1")["models"]
    assert [entry["info"]["model_id"] for entry in found] == [info["model_id"]]
    call(idle, f"{path}/tags/t", "DELETE")
    call(idle, path, "DELETE")
    assert len(call(idle, "logged-models/search", experiment_ids=[e])["models"]) == 1


def test_methods_are_told_apart_by_what_clients_send_when_nobody_tells_them(idle: House) -> None:
    made = call(idle, "logged-models", experiment_id="0", name="m")["model"]["info"]
    path = f"logged-models/{made['model_id']}"
    assert call(idle, path)["model"]["info"]["name"] == "m"
    assert call(idle, path, status="LOGGED_MODEL_READY")["model"]["info"]["status"] == "LOGGED_MODEL_READY"
    call(idle, path, model_id=made["model_id"])
    assert not call(idle, "logged-models/search", experiment_ids=["0"])["models"]


def test_artifacts_have_places_with_their_job(idle: House) -> None:
    idle.command("j", "true")

    def place(path: str, *, is_writing: bool = True) -> str:
        return tracking.artifact_place(idle.hub, OWNER, idle.scope, path, is_writing=is_writing)[1]

    assert place("j/artifacts/model/MLmodel") == "ExperimentRun/dcid.j/model/MLmodel"
    assert place("j/artifacts") == "ExperimentRun/dcid.j"
    for path in ("j/other/x", "../j/artifacts/x", "j/artifacts/../../k", ""):
        with pytest.raises(InvalidRequest):
            place(path)
    with pytest.raises(NotFound):
        place("nobody/artifacts/x")


def test_artifacts_and_logs_of_a_run_are_listed_level_by_level(house: House) -> None:
    house.command("j", "mkdir -p outputs; echo x > outputs/f")
    house.finish("j")
    answer = call(house, "artifacts/list", run_id="j")
    assert [(f["path"], f["is_dir"]) for f in answer["files"]] == [("outputs", True), ("user_logs", True)]
    inner = call(house, "artifacts/list", run_id="j", path="outputs")["files"]
    assert inner == [{"path": "outputs/f", "is_dir": False, "file_size": 2}]


def test_inputs_and_outputs_of_runs_are_kept(idle: House) -> None:
    r = run(idle, experiment(idle))
    dataset = {"dataset": {"name": "d", "digest": "x"}, "tags": []}
    call(idle, "runs/log-inputs", run_id=r, datasets=[dataset], models=[{"model_id": "m-1"}])
    call(idle, "runs/outputs", run_id=r, models=[{"model_id": "m-2", "step": 0}])
    found = call(idle, "runs/get", run_id=r)["run"]
    assert found["inputs"] == {"dataset_inputs": [dataset], "model_inputs": [{"model_id": "m-1"}]}
    assert found["outputs"] == {"model_outputs": [{"model_id": "m-2", "step": 0}]}


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("runs/log-metric", {"key": "m", "value": 1}),
        ("runs/log-metric", {"run_id": "r", "value": 1}),
        ("runs/log-metric", {"run_id": "r", "key": "m", "value": "much"}),
        ("runs/log-metric", {"run_id": "r", "key": "m" * 300, "value": 1}),
        ("runs/log-parameter", {"run_id": "r", "key": "p", "value": "x" * 9000}),
        ("runs/log-batch", {"run_id": "r", "metrics": [{"key": "m", "value": 1}] * 1001}),
        ("runs/search", {"experiment_ids": ["0"], "max_results": 0}),
        ("runs/search", {"experiment_ids": ["0"], "page_token": "?"}),
        ("runs/update", {"run_id": "r", "status": "GONE"}),
    ],
)
def test_a_bad_request_is_refused(idle: House, endpoint: str, body: Json) -> None:
    r = run(idle, "0")
    with pytest.raises(InvalidRequest):
        call(idle, endpoint, **(body | ({"run_id": r} if body.get("run_id") else {})))


def test_unknown_runs_and_endpoints_are_told(idle: House) -> None:
    with pytest.raises(NotFound, match="Run with id=nobody not found"):
        call(idle, "runs/get", run_id="nobody")
    with pytest.raises(Unsupported, match="traces/batchGet"):
        call(idle, "traces/batchGet")


def test_logging_needs_the_right_to_write_jobs(idle: House) -> None:
    r = run(idle, "0")
    ann = Principal("22222222-2222-2222-2222-222222222222", "Ann")
    with pytest.raises(AccessDenied):
        tracking.handle(idle.hub, ann, idle.scope, "runs/log-metric", {"run_id": r, "key": "m", "value": 1})
    with pytest.raises(AccessDenied):
        tracking.handle(idle.hub, ann, idle.scope, "runs/get", {"run_id": r})


def trace(house: House, experiment_id: str, trace_id: str, second: int = 1) -> Json:
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment_id}}
    info = {
        "trace_id": trace_id, "trace_location": place, "request_time": f"2026-01-01T00:00:0{second}.5Z", "state": "OK",
        "execution_duration": "0.25s", "trace_metadata": {"m": "1"}, "tags": {"mlflow.traceName": "f"},
    }  # fmt: skip
    return call(house, "traces", "POST", trace={"trace_info": info})["trace"]["trace_info"]


def test_traces_are_kept_found_and_deleted_oldest_first(idle: House) -> None:
    id = experiment(idle)
    for second in (1, 2, 3):
        trace(idle, id, f"tr-{second}", second)
    where = [{"mlflow_experiment": {"experiment_id": id}}]

    def found(**asked: Json) -> list[str]:
        return [t["trace_id"] for t in call(idle, "traces/search", "POST", locations=where, **asked)["traces"]]

    assert found() == ["tr-3", "tr-2", "tr-1"]
    assert found(order_by=["timestamp_ms ASC"], max_results=1) == ["tr-1"]
    assert found(filter="attributes.timestamp_ms > 1767225602000 AND metadata.m = '1' AND name = 'f'") == [
        "tr-3",
        "tr-2",
    ]
    assert found(filter="execution_time_ms > 250") == []
    gone = call(
        idle, "traces/delete-traces", "POST", experiment_id=id, max_timestamp_millis=1767225603000, max_traces=1
    )
    assert (gone, found()) == ({"traces_deleted": 1}, ["tr-3", "tr-2"])
    with pytest.raises(NotFound):
        call(idle, "traces/tr-1", "GET")


def test_what_is_no_trace_is_refused(idle: House) -> None:
    id = experiment(idle)
    for wrong in ("a/b", "", "x" * 101):
        with pytest.raises(InvalidRequest):
            trace(idle, id, wrong)
    with pytest.raises(InvalidRequest, match="time"):
        trace(idle, id, "tr-1", second=77)
    with pytest.raises(NotFound):
        trace(idle, "no-experiment", "tr-1")
    with pytest.raises(Unsupported):
        call(idle, "traces/batchGet", "POST", trace_ids=["a"])
    reader = Principal(id="nobody", name="nobody")
    with pytest.raises(AccessDenied):
        tracking.handle(idle.hub, reader, idle.scope, "traces/tr-1", {}, method="GET")
