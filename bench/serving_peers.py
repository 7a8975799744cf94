"""For bench_serving: the peers, each as its documentation starts it, with one worker on loopback.

azmlinfsrv and MLServer are in build/serving-peers, MLflow is in build/peers.
"""

import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = Any

START_S = 180.0
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
SCORE = """
import json, os, joblib

def init():
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.joblib"))

def run(raw):
    return model.predict(json.loads(raw)["data"]).tolist()
"""
_TRAIN = """
import sys, joblib, mlflow.sklearn
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
x, y = load_iris(return_X_y=True)
model = LogisticRegression(max_iter=500).fit(x, y)
joblib.dump(model, sys.argv[1] + "/model.joblib")
mlflow.sklearn.save_model(model, sys.argv[1] + "/mlflow", input_example=x[:2])
"""
_AZML = "import sys; from azureml_inference_server_http import amlserver_linux as s; s.run('127.0.0.1', sys.argv[1], 1)"


@dataclass(frozen=True, slots=True)
class Target:
    """Something to score with: where, and what to send."""

    name: str
    url: str
    body: str
    headers: Mapping[str, str]


def train(python: Path, folder: Path) -> None:
    """Make the model, as joblib keeps it and as MLflow saves it."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/train.db"}
    command = [str(python), "-c", _TRAIN, str(folder)]
    subprocess.run(command, check=True, cwd=folder, env=environment, capture_output=True)


@contextmanager
def azmlinfsrv(python: Path, folder: Path) -> Iterator[Target]:
    """Run Microsoft's inference server with the same script and model."""
    (folder / "azml").mkdir(exist_ok=True)
    (folder / "azml" / "score.py").write_text(SCORE)
    variables = {
        "AML_APP_ROOT": str(folder / "azml"), "AZUREML_ENTRY_SCRIPT": "score.py", "AZUREML_MODEL_DIR": str(folder),
    }  # fmt: skip
    body = json.dumps({"data": ROWS})
    with _running("azmlinfsrv", folder, lambda port: [str(python), "-c", _AZML, str(port)], variables) as port:
        yield _ready(Target("azmlinfsrv", f"http://127.0.0.1:{port}/score", body, {}))


@contextmanager
def mlflow(python: Path, folder: Path) -> Iterator[Target]:
    """Run `mlflow models serve` with the same model."""

    def command(port: int) -> list[str]:
        options = ["-m", str(folder / "mlflow"), "-h", "127.0.0.1", "-p", str(port), "-w", "1"]
        return [str(python), "-m", "mlflow", "models", "serve", "--env-manager", "local", *options]

    variables = {"PATH": f"{python.parent}:{os.environ['PATH']}"}
    body = json.dumps({"inputs": ROWS})
    with _running("mlflow models serve", folder, command, variables) as port:
        yield _ready(Target("mlflow models serve", f"http://127.0.0.1:{port}/invocations", body, {}))


@contextmanager
def mlserver(python: Path, folder: Path) -> Iterator[Target]:
    """Run MLServer with the same model, without its pool of processes."""
    place = folder / "mlserver"
    place.mkdir(exist_ok=True)
    model = {
        "name": "iris", "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(folder / "model.joblib"), "version": "1"},
    }  # fmt: skip
    (place / "model-settings.json").write_text(json.dumps(model))
    data = [value for row in ROWS for value in row]
    tensor = {"name": "x", "shape": [len(ROWS), len(ROWS[0])], "datatype": "FP64", "data": data}

    def command(port: int) -> list[str]:
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
            others = {"grpc_port": one.getsockname()[1], "metrics_port": two.getsockname()[1]}
        settings = {"host": "127.0.0.1", "http_port": port, "parallel_workers": 0, "debug": False, **others}
        (place / "settings.json").write_text(json.dumps(settings))
        return [str(python.with_name("mlserver")), "start", str(place)]

    with _running("MLServer", folder, command, {}) as port:
        url = f"http://127.0.0.1:{port}/v2/models/iris/infer"
        yield _ready(Target("MLServer", url, json.dumps({"inputs": [tensor]}), {}))


def ask(target: Target, *, timeout_s: float = 30) -> tuple[int, bytes]:
    """Send the target's request once; status 0 when nobody answers."""
    host, _, path = target.url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=timeout_s)
    try:
        headers = {"Content-Type": "application/json", **target.headers}
        connection.request("POST", f"/{path}", target.body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def _ready(target: Target) -> Target:
    end = time.monotonic() + START_S
    while (found := ask(target))[0] != 200:
        if time.monotonic() > end:
            raise TimeoutError(f"{target.name} does not answer: {found}")
        time.sleep(0.1)
    return target


@contextmanager
def _running(
    name: str, folder: Path, command: Callable[[int], list[str]], variables: Mapping[str, str]
) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = (folder / f"{name.partition(' ')[0]}.log").open("w")
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/train.db", **variables}
    with log:
        process = subprocess.Popen(
            command(port), stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True
        )
    try:
        yield port
    finally:
        os.killpg(process.pid, 15)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
