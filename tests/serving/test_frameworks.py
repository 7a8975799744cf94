"""Scripts and models with the packages they come with: inference-schema, MLflow, Microsoft's own server, old Pythons.

Environments are built once for all tests; they are asked for by the narrowest set of packages that does.
"""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from entrepot.compute.backend import EnvironmentSpec, Prepared, State
from entrepot.compute.interpreters import Interpreters
from entrepot.compute.local import LocalBackend
from tests.serving.conftest import Serve

SCHEMA = """
import numpy as np
from inference_schema.schema_decorators import input_schema, output_schema
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType

def init(): pass

@input_schema("data", NumpyParameterType(np.array([[1.0, 2.0]])))
@input_schema("scale", StandardPythonParameterType(1.0))
@output_schema(NumpyParameterType(np.array([3.0])))
def run(data, scale=1.0):
    return data.sum(axis=1) * scale
"""
ADDER = """
import mlflow.pyfunc, pandas as pd, sys
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

class Adder(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return (model_input["a"] + model_input["b"]) * (params or {}).get("times", 1)

signature = None
if sys.argv[2] == "signed":
    from mlflow.types import ParamSchema, ParamSpec
    columns = Schema([ColSpec("double", "a"), ColSpec("double", "b")])
    params = ParamSchema([ParamSpec("times", "long", 1)])
    signature = ModelSignature(inputs=columns, outputs=Schema([ColSpec("double")]), params=params)
mlflow.pyfunc.save_model(sys.argv[1], python_model=Adder(), signature=signature, pip_requirements=["mlflow-skinny"])
"""


def environment(backend: LocalBackend, *pip: str, python: str = "3.11") -> Prepared:
    """Return an environment with these packages."""
    return backend.prepare(EnvironmentSpec(conda={"dependencies": [f"python={python}", {"pip": [*pip]}]}), log=print)


@pytest.fixture(scope="module")
def microsoft(backend: LocalBackend) -> Prepared:
    """The environment of a deployment made for Azure: Microsoft's server and inference-schema."""
    return environment(
        backend, "azureml-inference-server-http", "azureml-ai-monitoring", "inference-schema", "numpy",
        "pandas", "pytz", "wrapt",
    )  # fmt: skip


@pytest.fixture(scope="module")
def mlflow(backend: LocalBackend) -> Prepared:
    """What an MLflow model's conda.yaml asks for."""
    return environment(backend, "mlflow-skinny", "numpy", "pandas")


@pytest.fixture(scope="module")
def save(mlflow: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Save a model that adds two columns, `signed` with a signature or `plain` without."""
    made: dict[str, Path] = {}

    def saved(how: str) -> Path:
        if how not in made:
            folder = tmp_path_factory.mktemp("models") / how
            subprocess.run([str(mlflow.python), "-c", ADDER, str(folder), how], check=True, capture_output=True)
            made[how] = folder
        return made[how]

    return saved


def test_schemas_decide_what_run_gets_and_what_swagger_tells(serve: Serve, microsoft: Prepared) -> None:
    host = serve(SCHEMA, environment=microsoft)
    assert host.call(body={"data": [[1, 2], [3, 4]], "scale": 2}).json == [6.0, 14.0]
    assert host.call(body={"data": [[1, 2]]}).json == [3.0]
    assert host.call("GET", "/score?data=[[5,6]]").json == [11.0]
    for body, said in ((b"[1]", "JSON dictionary"), (b"{}", "'data' parameter"), (b"", "empty"), (b"{", "decoded")):
        reply = host.call(body=body)
        assert (reply.status, reply.headers["ms-azureml-model-error-statuscode"]) == (424, "400")
        assert said in reply.json["message"]
    reply = host.call(body=b"{}", headers={"Content-Type": "text/plain"})
    assert reply.headers["ms-azureml-model-error-statuscode"] == "415"
    swagger = host.call("GET", "/swagger.json").json
    assert swagger["swagger"] == "2.0"
    assert swagger["definitions"]["ServiceInput"]["example"] == {"data": [[1.0, 2.0]], "scale": 1.0}
    assert swagger["definitions"]["ServiceOutput"]["example"] == [3.0]
    assert host.call("GET", "/swagger.json?version=3").json["openapi"].startswith("3.0")
    assert host.call("GET", "/swagger.json?version=9").status == 404


def test_genuine_requests_and_responses_are_used_where_they_are(serve: Serve, microsoft: Prepared) -> None:
    script = (
        "import flask\n"
        "from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp\n"
        "from azureml_inference_server_http.api.aml_response import AMLResponse\n"
        "def init(): pass\n"
        "@rawhttp\n"
        "def run(request):\n"
        "    assert isinstance(request, flask.Request)\n"
        "    return AMLResponse(request.get_json()['a'], 202, {'X-A': 'b'}, json_str=True)\n"
    )
    reply = serve(script, environment=microsoft).call(body={"a": [1]})
    assert (reply.status, reply.json, reply.headers["x-a"]) == (202, [1], "b")
    assert reply.headers["x-ms-run-function-failed"] == "False"


def test_microsofts_server_serves_behind_the_same_key(serve: Serve, microsoft: Prepared) -> None:
    script = "def init(): pass\ndef run(data):\n  return {'got': data} if data != 'bad' else 1 / 0"
    host = serve(script, environment=microsoft, server="azmlinfsrv")
    assert host.call(body="hello").json == {"got": "hello"}
    assert host.call(body="hello", key="wrong").status == 401
    assert host.call("GET", "/").body == b"Healthy"
    assert host.call("GET", "/ready").status == 200
    reply = host.call(body="bad")
    assert (reply.status, reply.headers["ms-azureml-model-error-statuscode"]) == (424, "500")
    assert "ZeroDivisionError" in host.log


COLLECTING = """
import azureml.ai.monitoring, pandas
from azureml.ai.monitoring import Collector
from azureml.ai.monitoring.context import BasicCorrelationContext

def init():
    global inputs, outputs
    inputs, outputs = Collector(name="model_inputs"), Collector(name="Rare", on_error=print)

def run(data):
    context = BasicCorrelationContext(id="run-" + data, headers={"Shop": "7"})
    found = inputs.collect(pandas.DataFrame({"a": [data]}), context)
    outputs.collect(pandas.DataFrame({"b": [1]}), found)
    return azureml.ai.monitoring.__file__
"""


@pytest.mark.parametrize("server", ["entrepot", "azmlinfsrv"])
def test_microsofts_own_collector_is_collected_with_requests_and_answers(
    serve: Serve, microsoft: Prepared, tmp_path: Path, server: str
) -> None:
    folder = tmp_path / "collected"
    folder.mkdir()
    collections = {"request": 1.0, "response": 1.0, "model_inputs": 1.0, "rare": 0.0}
    order = {
        "collections": collections, "roll": "Day", "headers": ["x-user"], "source": "s", "folder": str(folder),
        "flush_s": 60, "places": dict.fromkeys(collections, "azureml://x"),
    }  # fmt: skip
    host = serve(COLLECTING, environment=microsoft, server=server, collect=order, writable=folder)
    reply = host.call(body="one", headers={"x-request-id": "r1", "X-User": "ann", "Content-Type": "text/plain"})
    assert "site-packages" in reply.json
    assert "entrepot_serving" not in reply.json
    load = host.call("GET", "/load").json
    assert (load["requests"], load["workers"], load["ready"], load["under_way"]) == (1, 1, 1, 0)
    host.stop()
    found = {file.parts[-5]: json.loads(file.read_text()) for file in folder.rglob("*.jsonl")}
    assert set(found) == {"request", "response", "model_inputs"}
    asked, answered, told = found["request"], found["response"], found["model_inputs"]
    assert (asked["data"], asked["correlationid"], asked["headers"]) == ("one", "r1", {"x-user": "ann"})
    assert (asked["path"], asked["method"], answered["correlationid"]) == ("/score", "POST", "r1")
    assert answered["data"] == reply.json
    assert (told["data"], told["correlationid"], told["Shop"]) == ([{"a": "one"}], "run-one", "7")
    assert told["agent"].startswith("azureml-ai-monitoring/")
    assert told["collectdatatype"].endswith("DataFrame")


def test_an_mlflow_model_takes_azures_and_mlflows_formats(
    serve: Serve, mlflow: Prepared, save: Callable[[str], Path]
) -> None:
    host = serve(model=save("signed"), environment=mlflow)
    frame = {"columns": ["a", "b"], "index": [0, 1], "data": [[1, 2], [3, 4]]}
    assert host.call(body={"input_data": frame}).json == [3.0, 7.0]
    assert host.call(body={"input_data": [[1, 2]]}).json == [3.0]
    assert host.call(body={"input_data": [{"a": 1, "b": 2}]}).json == [3.0]
    assert host.call(body={"input_data": frame, "params": {"times": 10}}).json == [30.0, 70.0]
    assert host.call(body={"dataframe_split": frame}).json == {"predictions": [3.0, 7.0]}
    assert host.call(body={"dataframe_records": [{"a": 1, "b": 2}]}).json == {"predictions": [3.0]}
    assert host.call(body={"inputs": {"a": [1.0], "b": [2.0]}}).json == {"predictions": [3.0]}
    assert host.call(body={"instances": [{"a": 1.0, "b": 2.0}]}).json == {"predictions": [3.0]}
    csv = host.call(body="a,b\n1,2\n3,4\n", headers={"Content-Type": "text/csv; charset=utf-8"})
    assert csv.json == {"predictions": [3.0, 7.0]}
    for body, said in (
        ({"nothing": 1}, "input_data, dataframe_split"), ({"inputs": 1, "instances": 2}, "exactly one"),
        ({"dataframe_split": {"columns": ["a"], "data": [[1]]}}, "b"), ({"input_data": frame, "params": 1}, "`params`"),
        ({"dataframe_split": [1]}, "dataframe_split"),
    ):  # fmt: skip
        reply = host.call(body=body)
        assert (reply.status, reply.headers["ms-azureml-model-error-statuscode"]) == (424, "400"), reply.body
        assert said in reply.json["message"]
    properties = host.call("GET", "/swagger.json").json["definitions"]["ServiceInput"]["properties"]
    assert properties["input_data"]["properties"]["columns"]["example"] == ["a", "b"]


def test_an_mlflow_model_without_a_signature_is_served_too(
    serve: Serve, mlflow: Prepared, save: Callable[[str], Path]
) -> None:
    host = serve(model=save("plain"), environment=mlflow)
    assert host.call(body={"input_data": {"columns": ["a", "b"], "data": [[1, 2]]}}).json == [3]
    assert host.call(body={"dataframe_split": {"columns": ["a", "b"], "data": [["x", "y"]]}}).json == {
        "predictions": ["xy"]
    }
    broken = host.call(body={"dataframe_split": {"columns": ["z"], "data": [[1]]}})
    assert (broken.status, broken.headers["ms-azureml-model-error-statuscode"]) == (424, "500")
    assert "KeyError" in host.log


def test_a_folder_that_is_no_mlflow_model_ends_the_replica(serve: Serve, mlflow: Prepared, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    host = serve(model=tmp_path / "empty", environment=mlflow)
    assert host.end() == (State.FAILED, 3)
    assert "MLmodel" in host.log


@pytest.mark.parametrize("version", [(3, 7), (3, 8), (3, 13)])
def test_the_host_runs_on_other_pythons(
    serve: Serve, backend: LocalBackend, version: tuple[int, int], tmp_path: Path
) -> None:
    found = {one.minor for one in Interpreters(tmp_path / "known.json").discover()}
    if version not in found:
        pytest.skip(f"no Python {version} here")
    prepared = environment(backend, python=".".join(map(str, version)))
    script = (
        "import sys\n"
        "from azureml.contrib.services.aml_request import rawhttp\n"
        "from azureml.contrib.services.aml_response import AMLResponse\n"
        "def init(): pass\n"
        "@rawhttp\n"
        "def run(request): return AMLResponse([*sys.version_info[:2], request.get_data(as_text=True)], 200,\n"
        "    json_str=True)\n"
    )
    host = serve(script, environment=prepared)
    assert host.call(body="hi").json == [*version, "hi"]
    assert json.loads(host.call("GET", "/load").body)["requests"] == 1


def test_an_old_uvicorn_of_the_environment_is_used(serve: Serve, backend: LocalBackend) -> None:
    prepared = environment(backend, "uvicorn==0.23.2")
    script = "import uvicorn\ndef init(): pass\nasync def run(data): return [uvicorn.__version__, data]"
    assert serve(script, environment=prepared).call(body="x").json == ["0.23.2", "x"]
