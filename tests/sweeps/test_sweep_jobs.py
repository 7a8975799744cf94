"""Sweeps that really run: trials, the best of them, early ends, failures, cancels, restarts, nodes of pipelines."""

import json
import signal
from pathlib import Path
from typing import Any

from entrepot.testing.live import live, start, wait_until
from tests.sweeps.conftest import WORKSPACE, Place, furnished, logging

Json = Any
RATES = {"lr": ["choice", [[0.1, 0.9, 0.5]]]}
SCORED = logging("log(${{search_space.lr}}); open('${{outputs.m}}/w', 'w').write('${{search_space.lr}}')")
WAITING = "until [ -e {marks}/go ]; do sleep 0.05; done; echo $AZUREML_RUN_ID >> {marks}/ran"


def states(place: Place, name: str) -> list[str]:
    return [trial["properties"]["status"] for trial in place.trials(name)]


def test_a_sweep_tries_the_grid_and_keeps_the_best(place: Place) -> None:
    made = place.sweep(
        "grid", SCORED, RATES, samplingAlgorithm={"samplingAlgorithmType": "Grid"},
        outputs={"m": {"jobOutputType": "uri_folder"}}, limits={"jobLimitsType": "Sweep", "maxConcurrentTrials": 2},
    )  # fmt: skip
    assert (made["properties"]["jobType"], made["properties"]["searchSpace"]) == ("Sweep", RATES)
    body = place.finish("grid")
    assert body["properties"]["status"] == "Completed", body["properties"].get("error")
    told = body["properties"]["properties"]
    assert (told["best_child_run_id"], told["score"]) == ("grid_1", "0.9")
    trials = place.trials("grid")
    assert [trial["name"] for trial in trials] == ["grid_0", "grid_1", "grid_2"]
    assert [trial["properties"]["inputs"]["lr"]["value"] for trial in trials] == ["0.1", "0.9", "0.5"]
    assert json.loads(trials[1]["properties"]["tags"]["hyperparameters"]) == {"lr": 0.9}
    best, own = trials[1]["entrepot"]["outputs"]["m"], body["entrepot"]["outputs"]["m"]
    assert best["snapshot"] == own["snapshot"] != trials[0]["entrepot"]["outputs"]["m"]["snapshot"]
    assert own["path"] == "azureml/grid/m"
    assert "grid" in [job["name"] for job in place.call("GET", "jobs")["value"]]
    assert "grid_1" not in [job["name"] for job in place.call("GET", "jobs")["value"]]


def test_the_best_trials_output_becomes_an_asset_and_the_others_do_not(place: Place) -> None:
    named = {"jobOutputType": "custom_model", "assetName": "tuned"}
    for version, given in (("1", named), ("v2", {**named, "assetVersion": "v2"})):
        name = f"asset-{version}"
        place.sweep(name, SCORED, RATES, samplingAlgorithm="grid", outputs={"m": given})
        body = place.finish(name)
        assert body["properties"]["status"] == "Completed", body["properties"].get("error")
        assert body["properties"]["outputs"]["m"]["assetVersion"] == version
        model = place.call("GET", f"models/tuned/versions/{version}")
        assert model["properties"]["jobName"] == f"{name}_1"  # the trial that made it
        trials = {"modelType": "custom_model", "modelUri": f"azureml://jobs/{name}_1/outputs/m"}
        best = place.call("PUT", f"models/best/versions/{version}", {"properties": trials})
        assert model["entrepot"]["snapshot"] == best["entrepot"]["snapshot"]
    assert len(place.call("GET", "models/tuned/versions")["value"]) == 2


def test_an_asset_that_cannot_be_made_fails_the_sweep_with_the_reason(place: Place) -> None:
    place.call("PUT", "data/taken/versions/1", {"properties": {"dataType": "uri_file", "dataUri": "https://x.org/a"}})
    taken = {"jobOutputType": "uri_folder", "assetName": "taken", "assetVersion": "1"}
    place.sweep("clash", SCORED, RATES, samplingAlgorithm="grid", outputs={"m": taken})
    body = place.finish("clash")
    assert body["properties"]["status"] == "Failed"
    assert "taken:1 already exists" in body["properties"]["error"]["message"]


def test_the_smallest_score_wins_when_minimizing(place: Place) -> None:
    objective = {"goal": "minimize", "primaryMetric": "acc"}
    place.sweep("small", logging("log(${{search_space.lr}})"), RATES, samplingAlgorithm="grid", objective=objective)
    assert place.finish("small")["properties"]["properties"]["best_child_run_id"] == "small_0"


def test_bayesian_trials_run_and_are_counted(place: Place) -> None:
    space = {"lr": ["uniform", [0, 1]], "n": ["randint", [3]]}
    limits = {"maxTotalTrials": 3, "maxConcurrentTrials": 1}
    place.sweep("bayes", logging("log(${{search_space.lr}})"), space, samplingAlgorithm="bayesian", limits=limits)
    assert place.finish("bayes")["properties"]["status"] == "Completed"
    assert len(place.trials("bayes")) == 3


def test_bad_trials_are_ended_early(place: Place, tmp_path: Path) -> None:
    body = (
        "log(${{search_space.lr}})\nwhile not (${{search_space.lr}} > 0.8 and os.path.exists('%s')): time.sleep(0.05)"
    )
    place.sweep(
        "early", logging(body % (tmp_path / "go")), RATES, samplingAlgorithm="grid",
        earlyTermination={"policyType": "Bandit", "slackFactor": 0.2, "evaluationInterval": 1},
    )  # fmt: skip
    wait_until(lambda: states(place, "early").count("Canceled") == 2, what="the end of the bad trials")
    (tmp_path / "go").touch()
    ended = place.finish("early")
    assert ended["properties"]["status"] == "Completed"
    assert ended["properties"]["properties"]["best_child_run_id"] == "early_1"
    bad = place.job("early_0")
    assert "Bandit" in bad["entrepot"]["statusMessage"]


def test_a_failed_trial_leaves_the_others(place: Place) -> None:
    command = "test ${{search_space.lr}} != 0.1 || exit 3\n" + logging("log(1)")
    place.sweep("some", command, RATES, samplingAlgorithm="grid")
    assert place.finish("some")["properties"]["status"] == "Completed"
    assert states(place, "some") == ["Failed", "Completed", "Completed"]


def test_a_sweep_whose_first_trials_fail_gives_up(place: Place) -> None:
    space = {"lr": ["uniform", [0, 1]]}
    place.sweep("bad", "echo no; exit 4", space, limits={"maxTotalTrials": 50, "maxConcurrentTrials": 1})
    body = place.finish("bad")
    assert body["properties"]["status"] == "Failed"
    assert "bad_0" in body["properties"]["error"]["message"]
    assert states(place, "bad") == ["Failed"] * 3


def test_a_timeout_ends_the_sweep_and_its_trials(place: Place) -> None:
    place.sweep("late", "sleep 600", RATES, samplingAlgorithm="grid", limits={"timeout": "PT1S"})
    body = place.finish("late")
    assert body["properties"]["status"] == "Canceled"
    assert "timeout of 1 s" in body["entrepot"]["statusMessage"]
    assert set(states(place, "late")) == {"Canceled"}


def test_a_trial_has_a_timeout_of_its_own(place: Place) -> None:
    limits = {"trialTimeout": "PT1S", "maxTotalTrials": 1}
    place.sweep("slow", "sleep 600", {"x": ["uniform", [0, 1]]}, limits=limits)
    assert place.finish("slow")["properties"]["status"] == "Failed"


def test_cancel_ends_all_trials_and_starts_no_more(place: Place) -> None:
    place.sweep("ended", "sleep 600", {"x": ["uniform", [0, 1]]}, limits={"maxConcurrentTrials": 2})
    wait_until(lambda: states(place, "ended") == ["Running"] * 2, what="two trials")
    place.call("POST", "jobs/ended/cancel")
    assert place.finish("ended")["properties"]["status"] == "Canceled"
    assert states(place, "ended") == ["Canceled"] * 2


def test_a_sweep_goes_on_after_its_server_was_killed(tmp_path: Path) -> None:
    home, marks = tmp_path / "home", tmp_path / "marks"
    marks.mkdir()
    options: dict[str, Any] = {"sandbox": "none", "step_slots": 2}
    first = start(home, **options)
    try:
        place = furnished(Place(home, first))
        command = WAITING.format(marks=marks) + "\n" + logging("log(${{search_space.lr}})")
        place.sweep("torn", command, RATES, samplingAlgorithm="grid", limits={"maxConcurrentTrials": 2})
        wait_until(lambda: states(place, "torn") == ["Running"] * 2, what="two trials")
    finally:
        first.stop(signal.SIGKILL)
        assert first.process.stdout is not None
        first.process.stdout.close()
    (marks / "go").touch()
    with live(home, port=int(first.url.rpartition(":")[2]), **options) as second:
        place.server = second
        body = place.finish("torn")
        assert body["properties"]["status"] == "Completed", body["properties"].get("error")
        assert body["properties"]["properties"]["best_child_run_id"] == "torn_1"
        assert sorted((marks / "ran").read_text().split()) == ["torn_0", "torn_1", "torn_2"]


def test_a_trial_does_not_take_the_name_of_another_job(place: Place) -> None:
    properties = {"jobType": "Command", "command": "true", "environmentId": "azureml:plain:1"}
    place.call("PUT", "jobs/mine_0", {"properties": properties})
    place.sweep("mine", "true", {"x": ["choice", [[1, 2]]]}, samplingAlgorithm="grid")
    assert place.finish("mine")["properties"]["status"] == "Completed"
    first, second = place.trials("mine")
    assert first["name"] != "mine_0" and second["name"] == "mine_1"


def component(place: Place, name: str, command: str, **ports: Json) -> str:
    content = {"type": "command", "command": command, "environment": "azureml:plain:1", **ports}
    place.call("PUT", f"components/{name}/versions/1", {"properties": {"componentSpec": content}})
    return f"{WORKSPACE}/components/{name}/versions/1"


def test_a_sweep_is_a_node_of_a_pipeline_whose_output_is_the_best_trials(place: Place) -> None:
    folder = {"m": {"type": "uri_folder"}}
    train = logging("log(${{inputs.lr}}); open('${{outputs.m}}/w', 'w').write('${{inputs.lr}} ${{inputs.word}}')")
    inputs = {"lr": {"type": "number"}, "word": {"type": "string"}}
    trial = component(place, "train", train, inputs=inputs, outputs=folder)
    show = component(place, "show", "cat ${{inputs.m}}/w", inputs=folder)
    nodes = {
        "tune": {
            "type": "sweep", "name": "tune", "trial": {"componentId": trial},
            "inputs": {"word": {"job_input_type": "literal", "value": "${{parent.inputs.word}}"}},
            "search_space": {"lr": {"type": "choice", "values": [0.25, 0.75]}}, "sampling_algorithm": "grid",
            "objective": {"goal": "maximize", "primary_metric": "acc"},
            "limits": {"max_total_trials": 5, "timeout": 90},
            "outputs": {"m": {"value": "${{parent.outputs.best}}", "type": "literal"}},
        },
        "show": {
            "type": "command", "componentId": show,
            "inputs": {"m": {"job_input_type": "literal", "value": "${{parent.jobs.tune.outputs.m}}"}},
        },
    }  # fmt: skip
    properties = {
        "jobType": "Pipeline", "jobs": nodes, "inputs": {"word": {"jobInputType": "literal", "value": "hi"}},
        "outputs": {"best": {"jobOutputType": "uri_folder"}},
    }  # fmt: skip
    place.call("PUT", "jobs/line", {"properties": properties})
    body = place.finish("line")
    assert body["properties"]["status"] == "Completed", body["properties"].get("error")
    tune, shown = place.trials("line")
    assert tune["properties"]["jobType"] == "Sweep"
    assert tune["properties"]["searchSpace"] == {"lr": ["choice", [[0.25, 0.75]]]}
    assert len(place.trials(tune["name"])) == 2
    assert place.call("GET", f"jobs/{shown['name']}/logs")["text"] == "0.75 hi"
    assert body["entrepot"]["outputs"]["best"]["snapshot"] == tune["entrepot"]["outputs"]["m"]["snapshot"]


def test_a_node_that_sweeps_over_what_its_component_has_not_is_refused(place: Place) -> None:
    node = {
        "type": "sweep", "trial": {"componentId": component(place, "plain", "true")}, "sampling_algorithm": "random",
        "search_space": {"zz": {"type": "randint", "upper": 2}},
        "objective": {"goal": "maximize", "primary_metric": "acc"},
    }  # fmt: skip
    reply = place.server.call(
        "PUT", f"{WORKSPACE}/jobs/wrong", {"properties": {"jobType": "Pipeline", "jobs": {"a": node}}}
    )
    assert reply.status == 400 and "zz" in reply.json["error"]["message"]
