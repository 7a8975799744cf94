"""Command jobs that really run: what they see, what they leave behind, how they fail."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from entrepot.core.errors import InvalidReference, InvalidRequest, NotFound
from entrepot.core.ids import AssetRef
from entrepot.core.nouns import CODE, DATA, ENVIRONMENT, MODEL
from entrepot.domain.assets import catalog
from entrepot.domain.jobs import outputs, records, staging, submission
from entrepot.store.documents import Postpone
from entrepot.testing.hub import OWNER

House = Any
FOLDER = {"jobInputType": "uri_folder"}
FILE = {"jobInputType": "uri_file"}


def test_a_command_gets_its_inputs_and_leaves_outputs_logs_and_artifacts(house: House) -> None:
    folder = house.upload("in", {"a.txt": b"one", "sub/b.txt": b"two"})
    house.command(
        "j",
        "cat ${{inputs.folder}}/sub/b.txt ${{inputs.file}} > ${{outputs.result}}/joined; mkdir -p outputs; "
        "echo kept > outputs/note.txt; echo ${{inputs.word}} $[[none ${{inputs.none}}]]",
        inputs={
            "folder": {**FOLDER, "uri": folder},
            "file": {**FILE, "uri": f"{folder}/a.txt"},
            "word": {"jobInputType": "literal", "value": "hello"},
            "none": None,
        },
        outputs={"result": {"jobOutputType": "uri_folder"}},
    )
    body = house.finish("j")
    assert body["properties"]["status"] == "Completed", body
    assert house.output("j", "result") == {"joined": b"twoone"}
    artifacts = house.output("j", "artifacts")
    assert artifacts["outputs/note.txt"] == b"kept\n"
    assert artifacts["user_logs/std_log.txt"] == b"hello\n"
    assert house.log("j") == "hello\n"
    ours = body["entrepot"]
    assert ours["outputs"]["result"]["path"] == "azureml/j/result"
    assert ours["inputs"]["folder"]["uri"] == folder
    assert ours["artifacts"]["path"] == "ExperimentRun/dcid.j"
    assert ours["startTime"] <= ours["endTime"]
    assert ours["sandbox"] in ("bwrap", "none")


def test_the_environment_of_azure_ml_jobs_is_there(house: House) -> None:
    house.command(
        "j",
        "env",
        environmentVariables={"MINE": "x-${{inputs.n}}"},
        experimentName="taxi",
        inputs={"n": {"jobInputType": "literal", "value": "7"}},
        outputs={"o": {"jobOutputType": "uri_file"}},
    )
    house.finish("j")
    found = dict(line.split("=", 1) for line in house.log("j").splitlines() if "=" in line)
    assert found["AZUREML_RUN_ID"] == found["AZUREML_ROOT_RUN_ID"] == found["MLFLOW_RUN_ID"] == "j"
    assert found["AZUREML_ARM_WORKSPACE_NAME"] == "dev"
    assert found["MLFLOW_TRACKING_URI"] == found["MLFLOW_REGISTRY_URI"] == "http://127.0.0.1:9/"
    assert found["MLFLOW_TRACKING_TOKEN"] == "token of Olga Owner"
    assert found["MLFLOW_EXPERIMENT_NAME"] == "taxi"
    assert found["AZURE_ML_INPUT_n"] == "7"
    assert found["AZURE_ML_OUTPUT_o"].endswith("/outputs/o/o")
    assert found["MINE"] == "x-7"


def test_code_is_the_working_folder_and_may_be_written_to(house: House) -> None:
    upload = house.upload("src", {"main.py": b"open('main.py', 'a').write('x'); print('ran')\n"})
    catalog.create(house.hub, OWNER, AssetRef(house.scope, CODE, "src", "1"), {"codeUri": f"{upload}"})
    house.command("j", "python main.py", codeId="azureml:src:1")
    assert house.finish("j")["properties"]["status"] == "Completed", house.log("j")
    assert house.log("j") == "ran\n"
    house.command("again", "python main.py", codeId="azureml:src:1")
    assert house.finish("again")["properties"]["status"] == "Completed", house.log("again")


def test_assets_and_outputs_of_jobs_are_inputs(house: House) -> None:
    uri = house.upload("data", {"x.csv": b"1,2"})
    catalog.create(
        house.hub, OWNER, AssetRef(house.scope, DATA, "file", "1"), {"dataType": "uri_file", "dataUri": f"{uri}/x.csv"}
    )
    catalog.create(
        house.hub, OWNER, AssetRef(house.scope, MODEL, "m", "1"), {"modelType": "custom_model", "modelUri": uri}
    )
    house.command("first", "echo made > ${{outputs.o}}/f", outputs={"o": {"jobOutputType": "uri_folder"}})
    house.finish("first")
    house.command(
        "second",
        "cat ${{inputs.file}} ${{inputs.model}}/x.csv ${{inputs.made}}/f; echo ${{inputs.direct}}",
        inputs={
            "file": {**FILE, "uri": "azureml:file@latest"},
            "model": {"jobInputType": "custom_model", "uri": "azureml:m:1"},
            "made": {**FOLDER, "uri": "azureml://jobs/first/outputs/o"},
            "direct": {**FOLDER, "uri": "azureml:file:1", "mode": "Direct"} | {"jobInputType": "uri_file"},
        },
    )
    body = house.finish("second")
    pinned = f"{house.scope.arm_id}/data/file/versions/1"
    assert house.log("second") == f"1,21,2made\n{pinned}\n"
    assert body["properties"]["inputs"]["file"]["uri"] == pinned
    assert body["entrepot"]["inputs"]["file"]["id"] == pinned
    used = {link.target for link in house.hub.documents.links(body["id"], relation="used")}
    assert {pinned, f"{house.scope.arm_id}/models/m/versions/1", "azureml://jobs/first/outputs/o"} <= used
    produced = house.hub.documents.links("azureml://jobs/first/outputs/o", reverse=True, relation="produced")
    assert [link.source for link in produced] == [f"{house.scope.arm_id}/jobs/first"]


@pytest.fixture
def web() -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/taxi.csv" else 404)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"1,2\n")

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_address_on_this_machine_is_an_input(house: House, web: str) -> None:
    house.command("j", "cat ${{inputs.f}}; basename ${{inputs.f}}", inputs={"f": {**FILE, "uri": f"{web}/taxi.csv"}})
    house.finish("j")
    assert house.log("j") == "1,2\ntaxi.csv\n"


def test_an_address_that_answers_not_found_fails_the_job_with_its_words(house: House, web: str) -> None:
    house.command("j", "cat ${{inputs.f}}", inputs={"f": {**FILE, "uri": f"{web}/other"}})
    error = house.finish("j")["properties"]["error"]
    assert error["message"] == f"Input f: {web}/other answers 404 Not Found"
    assert error["message"] in house.log("j")


def test_an_address_elsewhere_is_refused_before_anything_runs(idle: House) -> None:
    with pytest.raises(InvalidReference, match=r"fetch_addresses.*input f"):
        idle.command("j", "cat ${{inputs.f}}", inputs={"f": {**FILE, "uri": "http://203.0.113.7/x"}})


def test_inputs_cannot_be_changed_by_a_job(house: House) -> None:
    uri = house.upload("in", {"a.txt": b"one"})
    given = {"f": {**FILE, "uri": f"{uri}/a.txt"}}
    house.command(
        "bad", "echo spoiled > ${{inputs.f}}; chmod u+w ${{inputs.f}}; echo spoiled > ${{inputs.f}}; true", inputs=given
    )
    house.finish("bad")
    house.command("good", "cat ${{inputs.f}}", inputs=given)
    house.finish("good")
    assert house.log("good") == "one"


def test_a_failing_command_tells_its_exit_code_and_last_lines(house: House) -> None:
    house.command("j", "for i in $(seq 30); do echo line $i; done; exit 3")
    error = house.finish("j")["properties"]["error"]
    assert "exit code 3" in error["message"].lower()
    assert error["message"].endswith("\n".join(f"line {i}" for i in range(11, 31)))
    assert "line 10\n" not in error["message"]
    assert house.status("j") == "Failed"


def test_a_folder_given_as_a_file_is_told_with_both_names(house: House) -> None:
    uri = house.upload("in", {"a": b"1", "b": b"2"})
    house.command("j", "cat ${{inputs.f}}", inputs={"f": {**FILE, "uri": uri}})
    message = house.finish("j")["properties"]["error"]["message"]
    assert "Input f is a uri_file" in message
    assert "folder of 2 files" in message


def test_data_that_are_not_there_fail_the_job_with_their_address(house: House) -> None:
    house.command("j", "ls", inputs={"d": {**FOLDER, "uri": "azureml://datastores/workspaceblobstore/paths/none"}})
    assert "paths/none" in house.finish("j")["properties"]["error"]["message"]


def test_a_job_over_its_time_limit_is_ended(house: House) -> None:
    house.command("j", "sleep 60", limits={"jobLimitsType": "Command", "timeout": "PT0.3S"})
    body = house.finish("j")
    assert body["properties"]["status"] == "Failed"
    assert "0.3" in body["properties"]["error"]["message"]


def test_a_full_disk_is_told_in_bytes(house: House) -> None:
    upload = house.upload("src", {"main.py": b"pass\n"})
    catalog.create(house.hub, OWNER, AssetRef(house.scope, CODE, "src", "1"), {"codeUri": upload})
    object.__setattr__(house.hub.settings, "reserve_bytes", 1 << 60)  # more than any disk has
    house.command("j", "python main.py", codeId="azureml:src:1")
    error = house.finish("j")["properties"]["error"]
    assert error["code"] == "InsufficientStorage"
    assert "needs 5 bytes" in error["message"]


def test_an_output_with_a_name_becomes_an_asset(house: House) -> None:
    house.command(
        "j",
        "echo x > ${{outputs.o}}/f",
        outputs={"o": {"jobOutputType": "uri_folder", "assetName": "made", "assetVersion": "7"}},
    )
    house.finish("j")
    document = catalog.get(house.hub, OWNER, AssetRef(house.scope, DATA, "made", "7"))
    assert document.body["entrepot"]["provenance"]["jobName"] == "j"


def test_a_place_for_an_output_is_filled_in_and_used(house: House) -> None:
    place = "azureml://datastores/${{default_datastore}}/paths/mine/${{name}}/${{output_name}}"
    house.command("j", "echo x > ${{outputs.o}}/f", outputs={"o": {"jobOutputType": "uri_folder", "uri": place}})
    entry = house.finish("j")["entrepot"]["outputs"]["o"]
    assert entry["path"] == "mine/j/o"
    assert house.files(entry["container"], "mine/j/o") == {"f": b"x\n"}


def test_downloads_are_told_where_outputs_are(house: House) -> None:
    house.command("j", "echo x > ${{outputs.o}}/f", outputs={"o": {"jobOutputType": "uri_folder"}})
    house.finish("j")
    assert outputs.reading(house.hub, OWNER, house.scope, "j", "o").prefix == "azureml/j/o"
    assert outputs.reading(house.hub, OWNER, house.scope, "j", "logs").prefix == "ExperimentRun/dcid.j/user_logs"
    with pytest.raises(NotFound, match="there are o, artifacts, logs"):
        outputs.reading(house.hub, OWNER, house.scope, "j", "p")


def test_a_canceled_job_ends_with_all_its_processes(house: House) -> None:
    house.command("j", "sleep 300 & echo started; sleep 300")
    house.until(lambda: "started" in house.log("j"), what="the log")
    submission.cancel(house.hub, OWNER, house.scope, "j")
    body = house.finish("j")
    assert body["properties"]["status"] == "Canceled"
    assert "Olga Owner" in body["entrepot"]["statusMessage"]
    assert house.log("j").startswith("started")


def test_a_job_that_waits_is_canceled_at_once_and_never_runs(idle: House) -> None:
    idle.command("j", "echo ran")
    submission.cancel(idle.hub, OWNER, idle.scope, "j")
    assert idle.status("j") == "Canceled"
    idle.start()
    idle.command("other", "true")
    idle.finish("other")
    assert idle.log("j") == ""
    assert idle.status("j") == "Canceled"


def test_a_job_whose_environment_is_being_built_is_canceled_at_once_and_never_runs(house: House) -> None:
    house.environment()
    document = catalog.get(house.hub, OWNER, AssetRef(house.scope, ENVIRONMENT, "python", "1"))
    with house.hub.locks.of(f"builds/{document.body['entrepot']['build']['digest']}"):  # as if another built it now
        house.command("j", "echo ran")
        house.until(
            lambda: not house.hub.documents.lease(["node"], owner="x", now=time.time(), seconds=0), what="the start"
        )
        submission.cancel(house.hub, OWNER, house.scope, "j")
        assert house.status("j") == "Canceled"
    house.command("other", "true")
    house.finish("other")
    assert house.status("j") == "Canceled"
    assert house.log("j") == ""


def test_a_refused_body_is_not_half_a_job(idle: House) -> None:
    with pytest.raises(InvalidRequest, match="no environment"):
        idle.submit("j", {"jobType": "Command", "command": "true"})
    with pytest.raises(NotFound):
        idle.job("j")


def test_the_folder_outputs_is_there_and_kept_without_being_declared(house: House) -> None:
    house.command("j", "echo kept > outputs/f.txt")
    body = house.finish("j")
    assert body["properties"]["status"] == "Completed", house.log("j")
    entry = body["entrepot"]["artifacts"]
    assert house.files(entry["container"], f"{entry['path']}/outputs") == {"f.txt": b"kept\n"}


def test_a_cancel_just_before_the_server_stops_is_carried_out(house: House) -> None:
    append = house.component("wait", "sleep 600")
    house.command("single", "sleep 600")
    house.pipeline("whole", {"a": {"component": append}})
    house.until(lambda: house.status("single") == "Running", what="a job that runs")
    house.until(lambda: house.nodes("whole")["a"]["properties"]["status"] == "Running", what="a step that runs")
    for name in ("single", "whole"):
        submission.cancel(house.hub, OWNER, house.scope, name)
    house.stop()
    assert house.status("single") == "Canceled"
    assert house.nodes("whole")["a"]["properties"]["status"] == "Canceled"


def test_trouble_of_the_server_is_tried_again_however_often_the_work_was_taken_up(
    idle: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def broken(*_: object) -> None:
        tries.append("x")
        raise RuntimeError("out of luck")

    monkeypatch.setattr(staging, "find_inputs", broken)
    idle.command("j", "true")
    for _ in range(4):  # taken up and given back, as by restarts
        now = idle.hub.clock.now()
        leased = idle.hub.documents.lease([records.NODE_QUEUE], owner="t", now=now, seconds=60)
        assert len(leased) == 1
        idle.hub.documents.commit([Postpone(leased[0], due=now)])
    idle.start()
    error = idle.finish("j")["properties"]["error"]
    assert "The server failed to run this step: RuntimeError: out of luck" in error["message"]
    assert len(tries) == 3
