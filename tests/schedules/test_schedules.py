"""Schedules on a live server: they fire once, on time, also after a crash; they can be disabled, triggered, deleted."""

import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from entrepot.testing.live import live, start, wait_until
from tests.sweeps.conftest import WORKSPACE, Place, furnished

Json = Any
JOB = {"jobType": "Command", "command": "echo due", "environmentId": "azureml:plain:1"}
NEVER = {"triggerType": "Cron", "expression": "0 0 1 1 *", "timeZone": "UTC"}
AT_ONCE = {"triggerType": "Recurrence", "frequency": "Day", "interval": 1}


def put(place: Place, name: str, trigger: Json, job: Json = JOB, **more: Json) -> Json:
    action = {"actionType": "CreateJob", "jobDefinition": job}
    return place.call("PUT", f"schedules/{name}", {"properties": {"action": action, "trigger": trigger, **more}})


def made(place: Place, name: str) -> list[str]:
    return [job["name"] for job in place.call("GET", "jobs")["value"] if job["name"].startswith(f"{name}-")]


def names(place: Place, view: str = "") -> set[str]:
    query = f"?listViewType={view}" if view else ""
    return {found["name"] for found in place.call("GET", f"schedules{query}")["value"]}


def in_seconds(count: float) -> str:
    return datetime.fromtimestamp(time.time() + count, UTC).isoformat()


def test_a_schedule_fires_and_tells_of_its_job(place: Place) -> None:
    body = put(place, "daily", AT_ONCE, displayName="Daily", tags={"a": "b"})
    assert body["properties"]["provisioningState"] == "Succeeded" and body["properties"]["isEnabled"] is True
    assert body["properties"]["trigger"] == AT_ONCE
    wait_until(lambda: made(place, "daily"), what="the job")
    (name,) = made(place, "daily")
    job = place.finish(name)
    assert job["properties"]["status"] == "Completed"
    assert job["properties"]["properties"]["azureml.scheduleName"] == "daily"
    wait_until(lambda: place.call("GET", "schedules/daily")["entrepot"]["jobs"], what="the note")
    ours = place.call("GET", "schedules/daily")["entrepot"]
    assert [told["job"] for told in ours["jobs"]] == [name]
    assert 86_000 < ours["due"] - time.time() < 86_401


def test_a_disabled_schedule_is_listed_apart_and_does_not_fire(place: Place) -> None:
    soon = {**AT_ONCE, "startTime": in_seconds(1)}
    put(place, "quiet", soon)
    assert "quiet" in names(place)
    put(place, "quiet", soon, isEnabled=False)
    put(place, "loud", soon)
    assert "quiet" not in names(place) and "quiet" in names(place, "DisabledOnly") & names(place, "All")
    wait_until(lambda: made(place, "loud"), what="the other's job")
    time.sleep(0.5)
    assert made(place, "quiet") == []


def test_a_changed_trigger_counts_from_now_on(place: Place) -> None:
    put(place, "moved", NEVER)
    put(place, "moved", {**AT_ONCE, "startTime": in_seconds(0.5)})
    wait_until(lambda: made(place, "moved"), what="the job")


def test_trigger_fires_at_once(place: Place) -> None:
    put(place, "manual", NEVER)
    answer = place.call("POST", "schedules/manual/trigger", {"scheduleTime": "2026-01-01T00:00:00Z"})
    assert answer["scheduleActionType"] == "CreateJob"
    assert place.finish(answer["submissionId"])["properties"]["status"] == "Completed"


def test_a_schedule_of_a_job_that_is_there_copies_it(place: Place) -> None:
    place.call("PUT", "jobs/first", {"properties": {**JOB, "command": "echo copied"}})
    source = {
        "jobType": "Pipeline",
        "sourceJobId": f"{WORKSPACE}/jobs/first",
        "experimentName": "",
        "isArchived": False,
    }
    body = put(place, "copy", NEVER, source)
    assert body["properties"]["action"]["jobDefinition"] == source
    job = place.call("POST", "schedules/copy/trigger")["submissionId"]
    place.finish(job)
    assert place.call("GET", f"jobs/{job}/logs")["text"] == "copied\n"


def test_a_schedule_is_disabled_before_it_is_deleted(place: Place) -> None:
    put(place, "gone", NEVER)
    refused = place.server.call("DELETE", f"{WORKSPACE}/schedules/gone")
    assert refused.status == 409 and "disable it" in refused.json["error"]["message"]
    put(place, "gone", NEVER, isEnabled=False)
    place.call("DELETE", "schedules/gone")
    assert place.server.call("GET", f"{WORKSPACE}/schedules/gone").status == 404


def test_what_cannot_run_is_refused_when_it_is_scheduled(place: Place) -> None:
    def refused(body: Json) -> str:
        reply = place.server.call("PUT", f"{WORKSPACE}/schedules/wrong", {"properties": body})
        assert reply.status in (400, 404) and "wrong" not in names(place, "All")
        return str(reply.json["error"]["message"])

    assert "nope" in refused(
        {"trigger": NEVER, "action": {"jobDefinition": {**JOB, "environmentId": "azureml:nope:1"}}}
    )
    assert "CreateMonitor" in refused({"trigger": NEVER, "action": {"actionType": "CreateMonitor"}})
    assert "triggerType" in refused({"trigger": {}, "action": {"jobDefinition": JOB}})
    assert "action" in refused({"trigger": NEVER})


def test_a_job_that_cannot_be_submitted_is_noted_and_the_schedule_goes_on(place: Place) -> None:
    place.call("PUT", "environments/brief/versions/1", {"properties": {"image": "docker.io/python"}})
    put(place, "late", {**AT_ONCE, "startTime": in_seconds(1.5)}, {**JOB, "environmentId": "azureml:brief:1"})
    place.call("DELETE", "environments/brief/versions/1")
    wait_until(lambda: place.call("GET", "schedules/late")["entrepot"]["jobs"], what="the note")
    ours = place.call("GET", "schedules/late")["entrepot"]
    assert "brief" in ours["jobs"][0]["error"] and ours["due"] > time.time()


def test_what_was_due_while_no_server_ran_fires_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = start(home, sandbox="none")
    try:
        place = furnished(Place(home, first))
        put(place, "missed", {**AT_ONCE, "frequency": "Hour", "startTime": in_seconds(-3599)})
        put(place, "soon", {**AT_ONCE, "startTime": in_seconds(0.5)})
    finally:
        first.stop(signal.SIGKILL)
        assert first.process.stdout is not None
        first.process.stdout.close()
    time.sleep(1)
    with live(home, sandbox="none") as second:
        place.server = second
        wait_until(lambda: made(place, "missed") and made(place, "soon"), what="the jobs")
        wait_until(lambda: place.call("GET", "schedules/soon")["entrepot"]["jobs"], what="the note")
        assert len(made(place, "soon")) == 1 and len(made(place, "missed")) == 1
