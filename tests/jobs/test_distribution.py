"""Distributed steps that really run: each process knows its place, the first failure ends all of them."""

import json
from typing import Any

import pytest

from entrepot.core.errors import InvalidRequest, Unsupported
from entrepot.domain.jobs import submission
from entrepot.testing.hub import OWNER
from tests.jobs.conftest import House

Json = Any

TELL = (
    'python -c "import json, os; print(json.dumps({k: v for k, v in os.environ.items() if k.startswith('
    "('RANK', 'LOCAL_', 'WORLD_', 'NODE_', 'MASTER_', 'OMPI_', 'AZ_BATCH', 'AZUREML_CR', 'TF_'))}))\""
)


def told(house: House, job: str) -> list[dict[str, Json]]:
    """Return what each process printed of its variables."""
    lines = house.log(job).splitlines()
    return [json.loads(line[line.index("{") :]) for line in lines if line.endswith("}") and "{" in line]


def test_pytorch_processes_know_their_ranks(house: House) -> None:
    distribution = {"distributionType": "PyTorch", "processCountPerInstance": 2}
    house.command("j", TELL, distribution=distribution, resources={"instanceCount": 2})
    ended = house.finish("j")
    assert ended["properties"]["status"] == "Completed", ended["properties"].get("error")
    found = sorted(told(house, "j"), key=lambda variables: int(variables["RANK"]))
    assert [(v["RANK"], v["LOCAL_RANK"], v["NODE_RANK"], v["WORLD_SIZE"]) for v in found] == [
        ("0", "0", "0", "4"), ("1", "1", "0", "4"), ("2", "0", "1", "4"), ("3", "1", "1", "4"),
    ]  # fmt: skip
    assert {v["MASTER_ADDR"] for v in found} == {"127.0.0.1"}
    assert len({v["MASTER_PORT"] for v in found}) == 1
    assert {v["AZUREML_CR_NODE_COUNT"] for v in found} == {"2"}
    assert "all of them are on this machine" in house.log("j")
    assert "[rank 3] " in house.log("j")


def test_mpi_processes_know_their_ranks_without_mpirun(house: House) -> None:
    house.command("j", TELL, distribution={"distributionType": "Mpi", "processCountPerInstance": 3})
    assert house.finish("j")["properties"]["status"] == "Completed"
    found = told(house, "j")
    assert sorted(v["OMPI_COMM_WORLD_RANK"] for v in found) == ["0", "1", "2"]
    assert {v["OMPI_COMM_WORLD_SIZE"] for v in found} == {"3"}
    assert "RANK" not in found[0]
    assert "mpirun is not in the environment" in house.log("j")


def test_tensorflow_workers_and_parameter_servers_know_the_cluster(house: House) -> None:
    command = (
        "python -c \"import json, os, time; text = os.environ['TF_CONFIG']; print(text);"
        " time.sleep(600 if json.loads(text)['task']['type'] == 'ps' else 0)\""
    )
    distribution = {"distributionType": "TensorFlow", "workerCount": 2, "parameterServerCount": 1}
    house.command("j", command, distribution=distribution)
    ended = house.finish("j")  # the parameter server would sleep on, but nobody needs it any more
    assert ended["properties"]["status"] == "Completed", ended["properties"].get("error")
    found = told(house, "j")
    tasks = {(config["task"]["type"], config["task"]["index"]) for config in found}
    assert tasks >= {("worker", 0), ("worker", 1)}
    assert [len(found[0]["cluster"][kind]) for kind in ("worker", "ps")] == [2, 1]


def test_one_failing_rank_ends_the_job_with_its_last_lines(house: House) -> None:
    command = 'if [ "$RANK" = 1 ]; then echo "no GPU for me"; exit 7; else sleep 600; fi'
    house.command("j", command, distribution={"distributionType": "PyTorch", "processCountPerInstance": 3})
    error = house.finish("j")["properties"]["error"]
    assert error["exitCode"] == 7
    assert "Rank 1 of 3 failed with exit code 7. The others were ended" in error["message"]
    assert error["message"].rstrip().endswith("no GPU for me")


def test_canceling_gives_every_rank_its_time(house: House) -> None:
    command = (
        'python -u -c "import os, signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.2), '
        "print('saved', os.environ['RANK']), sys.exit(0))); print('ready'); time.sleep(600)\""
    )
    house.command("j", command, distribution={"distributionType": "PyTorch", "processCountPerInstance": 2})
    house.until(lambda: house.log("j").count("ready") == 2, what="both ranks")
    submission.cancel(house.hub, OWNER, house.scope, "j")
    assert house.finish("j")["properties"]["status"] == "Canceled"
    assert "saved 0" in house.log("j")
    assert "saved 1" in house.log("j")


def test_a_node_says_otherwise_than_its_component(house: House) -> None:
    component = house.component(
        "train", TELL, distribution={"type": "pytorch", "process_count_per_instance": "2"},
        resources={"instance_count": 1},
    )  # fmt: skip
    node = {"type": "command", "componentId": component, "distribution": {"process_count_per_instance": 3}}
    house.pipeline("p", {"two": {"type": "command", "componentId": component}, "three": node})
    assert house.finish("p")["properties"]["status"] == "Completed"
    nodes = house.nodes("p")
    assert {v["WORLD_SIZE"] for v in told(house, nodes["two"]["name"])} == {"2"}
    assert {v["WORLD_SIZE"] for v in told(house, nodes["three"]["name"])} == {"3"}
    assert nodes["three"]["properties"]["distribution"]["processCountPerInstance"] == 3


def test_instances_without_a_distribution_run_the_command_once(house: House) -> None:
    house.command("j", "echo here", resources={"instanceCount": 4})
    assert house.finish("j")["properties"]["status"] == "Completed"
    assert house.log("j").count("here\n") == 1
    assert "instance_count is 4 without a distribution" in house.log("j")


@pytest.mark.parametrize(
    ("distribution", "error", "words"),
    [
        ({"distributionType": "Ray"}, Unsupported, "pytorch, mpi and tensorflow"),
        ({"distributionType": "PyTorch", "processCountPerInstance": "two"}, InvalidRequest, "give a whole number"),
        ({"distributionType": "PyTorch", "processCountPerInstance": 0}, InvalidRequest, "at least 1"),
        ({"distributionType": "Mpi", "processCountPerInstance": 1000}, InvalidRequest, "at most 256"),
    ],
)
def test_what_cannot_be_started_is_refused(idle: House, distribution: Json, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        idle.command("j", "true", distribution=distribution)
