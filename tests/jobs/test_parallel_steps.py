"""Parallel steps that really run: mini-batches, rows, retries, timeouts, thresholds, and what is said of bad ones."""

from collections.abc import Mapping
from typing import Any

import pytest

from entrepot.core.errors import InvalidRequest, Unsupported
from entrepot.core.ids import AssetRef
from entrepot.core.nouns import CODE
from entrepot.domain.assets import catalog
from entrepot.testing.hub import OWNER, upload
from tests.jobs.conftest import House

Json = Any
SCRIPT = """
import os, sys
seen = []
def init():
    print("init in", os.environ["AZUREML_RUN_ID"][:3], sys.argv[1:])
def run(mini_batch):
    return [f"{os.path.basename(file)} {len(mini_batch)}" for file in mini_batch]
def shutdown():
    print("shut down")
"""
FILES = {f"f{number}.txt": b"x" for number in range(5)}


def code(house: House, script: str, *, name: str = "c1") -> str:
    ref = AssetRef(house.scope, CODE, name, "1")
    uri = upload(house.hub, ref, {"score.py": script}, at="src")
    catalog.create(house.hub, OWNER, ref, {"codeUri": uri})
    return ref.id


def parallel(house: House, script: str, *, task: Mapping[str, Json] | None = None, **spec: Json) -> str:
    """Make a parallel component over a folder and return its id."""
    told = {
        "type": "run_function", "code": code(house, script), "entry_script": "score.py",
        "environment": house.environment(), "append_row_to": "${{outputs.rows}}", **(task or {}),
    }  # fmt: skip
    return house.component(
        "par", "", type="parallel", inputs={"data": {"type": "uri_folder"}, "n": {"type": "integer", "default": "1"}},
        outputs={"rows": {"type": "uri_file"}}, task=told,
        **{"mini_batch_size": "2", "input_data": "${{inputs.data}}", **spec},
    )  # fmt: skip


def run(house: House, component: str, *, files: Mapping[str, bytes] = FILES, **node: Json) -> Json:
    data = {"job_input_type": "uri_folder", "uri": house.upload("in", files)}
    step = {"type": "parallel", "componentId": component, "inputs": {"data": data}, **node}
    house.pipeline("p", {"score": step})
    return house.finish("p")


def log(house: House) -> str:
    return house.log(house.nodes("p")["score"]["name"])


def test_files_are_split_and_rows_appended_in_order(house: House) -> None:
    component = parallel(house, SCRIPT, task={"program_arguments": "--n ${{inputs.n}}"}, max_concurrency_per_instance=2)
    ended = run(house, component)
    assert ended["properties"]["status"] == "Completed", ended["properties"].get("error")
    node = house.nodes("p")["score"]
    assert node["entrepot"]["kind"] == "parallel"
    rows = house.output(node["name"], "rows")["rows"].decode().splitlines()
    assert rows == ["f0.txt 2", "f1.txt 2", "f2.txt 2", "f3.txt 2", "f4.txt 1"]
    told = log(house)
    assert "['--n', '1']" in told
    assert told.count("init in") == 2
    assert told.count("shut down") == 2
    assert "5 files in 3 mini-batches for 2 workers" in told


def test_a_node_says_otherwise_than_its_component(house: House) -> None:
    ended = run(house, parallel(house, SCRIPT), mini_batch_size=5, logging_level="WARNING")
    assert ended["properties"]["status"] == "Completed", ended["properties"].get("error")
    rows = house.output(house.nodes("p")["score"]["name"], "rows")["rows"].decode()
    assert "f0.txt 5" in rows
    assert "mini-batches" not in log(house)


def test_a_failing_mini_batch_is_tried_again(house: House) -> None:
    script = """
import os
def run(files):
    mark = os.environ["AZURE_ML_OUTPUT_rows"] + ".mark"
    if "f2.txt" in str(files) and not os.path.exists(mark):
        open(mark, "w").close()
        os._exit(7)
    return files
"""
    ended = run(house, parallel(house, script), error_threshold=0)
    assert ended["properties"]["status"] == "Completed", ended["properties"].get("error")
    assert "exit code 7" in log(house)


def test_failures_below_the_threshold_are_counted(house: House) -> None:
    script = "def run(files):\n    if 'f0.txt' in str(files): raise ValueError('not this one')\n    return files"
    ended = run(house, parallel(house, script), error_threshold=2, retry_settings={"max_retries": 0})
    assert ended["properties"]["status"] == "Completed", ended["properties"].get("error")
    told = log(house)
    assert "ValueError: not this one" in told
    assert "1 failed; 2 of 5 files failed" in told


def test_more_failures_than_the_threshold_fail_the_job(house: House) -> None:
    script = "def run(files):\n    raise ValueError('never')"
    ended = run(house, parallel(house, script), error_threshold=1, retry_settings={"max_retries": 1, "timeout": 30})
    message = ended["properties"]["error"]["message"]
    assert ended["properties"]["status"] == "Failed"
    assert "ValueError: never" in message
    assert "error_threshold is 1" in message
    assert log(house).count("attempt 2") == 1


def test_files_without_a_result_count_as_failed(house: House) -> None:
    script = "def run(files):\n    return files[:1]"
    ended = run(house, parallel(house, script), error_threshold=1)
    assert ended["properties"]["status"] == "Failed"
    assert "run() returned 1 results for 2 files" in ended["properties"]["error"]["message"]


def test_a_mini_batch_that_takes_too_long_is_ended(house: House) -> None:
    script = "import time\ndef run(files):\n    time.sleep(600)"
    settings = {"max_retries": 0, "timeout": 1}
    ended = run(house, parallel(house, script), mini_batch_error_threshold=0, retry_settings=settings)
    assert ended["properties"]["status"] == "Failed"
    assert "longer than its timeout of 1 s" in ended["properties"]["error"]["message"]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            "def init():\n    raise RuntimeError('no model')\ndef run(files):\n    return files",
            "RuntimeError: no model",
        ),
        ("def score(files):\n    return files", "score.py has no function run(mini_batch)"),
        ("def run(files):\n    return None", "run() must return a list, an array or a pandas DataFrame, not NoneType"),
    ],
)
def test_a_script_that_cannot_work_is_told(house: House, script: str, told: str) -> None:
    ended = run(house, parallel(house, script), error_threshold=0, retry_settings={"max_retries": 0})
    assert ended["properties"]["status"] == "Failed"
    assert told in ended["properties"]["error"]["message"]


@pytest.mark.parametrize(
    ("spec", "error", "told"),
    [
        ({"mini_batch_size": "10kb"}, Unsupported, "in bytes"),
        ({"mini_batch_size": "none"}, InvalidRequest, "whole number"),
        ({"partition_keys": '["a"]'}, Unsupported, "partition_keys"),
        ({"input_data": "${{inputs.other}}"}, InvalidRequest, "names other"),
        ({"logging_level": "loud"}, InvalidRequest, "must be one of"),
    ],
)
def test_what_cannot_be_done_is_refused_at_submission(
    idle: House, spec: Mapping[str, Json], error: type[Exception], told: str
) -> None:
    component = parallel(idle, SCRIPT, **spec)
    data = {"job_input_type": "uri_folder", "uri": idle.upload("in", FILES)}
    with pytest.raises(error, match=told):
        idle.pipeline("p", {"score": {"type": "parallel", "componentId": component, "inputs": {"data": data}}})
