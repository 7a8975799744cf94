"""Runs that MLflow began outside of jobs, seen and handled as jobs."""

from typing import Any

import pytest

from entrepot.core.errors import AlreadyExists, NotFound
from entrepot.domain.jobs import queries, submission, tracking
from entrepot.store.documents import View
from entrepot.testing.hub import OWNER
from tests.jobs.conftest import House

Json = Any


def call(house: House, endpoint: str, **body: Json) -> Json:
    return tracking.handle(house.hub, OWNER, house.scope, endpoint, body)


def run(house: House, name: str = "laptop", parent: str = "", **tags: str) -> str:
    known = {found["name"]: found["experiment_id"] for found in call(house, "experiments/search")["experiments"]}
    experiment = known.get("taxi") or call(house, "experiments/create", name="taxi")["experiment_id"]
    pairs = {**tags, **({"mlflow.parentRunId": parent} if parent else {})}
    made = call(
        house, "runs/create", experiment_id=experiment, run_name=name, start_time=1_700_000_000_000,
        tags=[{"key": key, "value": value} for key, value in pairs.items()],
    )  # fmt: skip
    found: str = made["run"]["info"]["run_id"]
    return found


def listed(house: House, *, parent: str | None = None, view: View = View.ACTIVE) -> list[str]:
    return [d.body["name"] for d in queries.list_(house.hub, OWNER, house.scope, parent=parent, view=view).documents]


def test_a_run_is_a_job_of_its_experiment(idle: House) -> None:
    name = run(idle, team="blue")
    call(idle, "runs/log-metric", run_id=name, key="rmse", value=2.5, timestamp=1, step=0)
    call(idle, "runs/log-parameter", run_id=name, key="lr", value="0.1")
    job = idle.job(name)
    properties = job["properties"]
    assert (properties["status"], properties["experimentName"]) == ("Running", "taxi")
    assert (properties["displayName"], properties["tags"]) == ("laptop", {"team": "blue"})
    assert job["entrepot"]["metrics"] == {"rmse": 2.5}
    assert job["entrepot"]["parameters"] == {"lr": "0.1"}
    call(idle, "runs/update", run_id=name, status="FAILED", end_time=1_700_000_060_000)
    assert idle.status(name) == "Failed"
    history = queries.run(queries.get(idle.hub, OWNER, idle.scope, name))
    assert (history["endTimeUtc"] or "").startswith("2023-11-14T22:14:20")
    assert idle.log(name) == ""


def test_runs_are_listed_among_the_jobs_and_nested_ones_below_their_parents(idle: House) -> None:
    outer = run(idle)
    idle.command("job", "true")
    inner = run(idle, "inner", parent=outer)
    below = run(idle, "below", parent="job")
    assert listed(idle) == ["job", outer]
    assert listed(idle, parent=outer) == [inner]
    assert listed(idle, parent="job") == [below]
    assert idle.job(inner)["entrepot"]["parent"] == outer


def test_a_run_is_described_archived_and_restored_as_a_job_is(idle: House) -> None:
    name = run(idle)
    changes = {"tags": {"stage": "done"}, "displayName": "better", "description": "why", "properties": {"p": "1"}}
    shown = submission.update(idle.hub, OWNER, idle.scope, name, changes).body["properties"]
    assert (shown["displayName"], shown["description"], shown["tags"]) == ("better", "why", {"stage": "done"})
    assert shown["properties"]["p"] == "1"
    told = call(idle, "runs/get", run_id=name)["run"]
    assert told["info"]["run_name"] == "better"
    submission.archive(idle.hub, OWNER, idle.scope, name)
    assert listed(idle) == []
    assert listed(idle, view=View.ALL) == [name]
    assert call(idle, "runs/get", run_id=name)["run"]["info"]["lifecycle_stage"] == "deleted"
    submission.archive(idle.hub, OWNER, idle.scope, name, is_archived=False)
    assert listed(idle) == [name]


def test_canceling_a_run_kills_it_and_leaves_one_that_has_ended(idle: House) -> None:
    name, over = run(idle), run(idle, "over")
    call(idle, "runs/update", run_id=over, status="FINISHED")
    for each in (name, over):
        submission.cancel(idle.hub, OWNER, idle.scope, each)
    assert (idle.status(name), idle.status(over)) == ("Canceled", "Completed")


def test_deleting_a_run_takes_what_is_nested_in_it_along(idle: House) -> None:
    outer = run(idle)
    inner = run(idle, "inner", parent=outer)
    call(idle, "runs/set-tag", run_id=outer, key="mlflow.parentRunId", value=inner)  # a circle must not be endless
    call(idle, "runs/log-metric", run_id=inner, key="m", value=1, timestamp=1, step=0)
    submission.delete(idle.hub, OWNER, idle.scope, outer)
    for name in (outer, inner):
        with pytest.raises(NotFound):
            idle.job(name)


def test_no_job_takes_the_name_of_a_run(idle: House) -> None:
    name = run(idle)
    with pytest.raises(AlreadyExists, match="choose another name"):
        idle.command(name, "true")


def test_a_list_has_only_the_jobs_that_are_chosen(idle: House) -> None:
    run(idle, stage="dev")
    idle.command("one", "true", tags={"stage": "prod"})
    idle.command("two", "true", properties={"azureml.scheduleName": "nightly"})
    step = {"type": "command", "componentId": idle.component("c", "true")}
    idle.pipeline("p", {"s": step})

    def chosen(**wanted: Json) -> list[str]:
        page = queries.list_(idle.hub, OWNER, idle.scope, choice=queries.Choice(**wanted))
        return [document.body["name"] for document in page.documents]

    assert chosen(type="pipeline") == ["p"]
    assert chosen(tag="stage=prod") == ["one"]
    assert len(chosen(tag="stage")) == 2
    assert chosen(schedule="nightly") == ["two"]
    assert chosen(is_scheduled=True) == ["two"]
    assert "two" not in chosen(is_scheduled=False)
