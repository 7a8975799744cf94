"""A live server with a workspace, a registry, a model and a scoring script, driven by the command line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journey.console import CommandLine

SCORE = """
import os
def init():
    global factor
    folder = os.environ["AZUREML_MODEL_DIR"]
    factor = int(open(os.path.join(folder, "scale", "factor.txt")).read())
    print("model is", os.listdir(folder))
def run(mini_batch):
    if "SIZE" in os.environ:
        print("size", len(mini_batch))
    return [f"{os.path.basename(file)},{factor * int(open(file).read())}" for file in mini_batch]
"""
DEPLOYMENT = """
name: blue
endpoint_name: scale-batch
model: azureml:scale:1
code_configuration: {code: ./code, scoring_script: score.py}
environment: azureml:plain:1
compute: azureml:cpu-cluster
settings:
  mini_batch_size: 2
  max_concurrency_per_instance: 2
  output_file_name: scores.csv
  error_threshold: 0
  environment_variables: {SIZE: "yes"}
  retry_settings: {max_retries: 0, timeout: 120}
"""
ENVIRONMENT = "name: plain\nversion: '1'\nimage: docker.io/python\n"


@pytest.fixture(scope="package")
def az(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The command line, in a folder that holds `deployment.yml`, its `code`, a model, and `data` of five files."""
    top = tmp_path_factory.mktemp("batch")
    folder = top / "files"
    files = {"code/score.py": SCORE, "scale/factor.txt": "3", "deployment.yml": DEPLOYMENT, "plain.yml": ENVIRONMENT}
    for name, text in {**files, **{f"data/{number}.txt": str(number) for number in range(5)}}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    az = CommandLine(top / "home", folder=folder)
    az.text("up", "--detach")
    try:
        az("group", "create", "-n", "rg", "-l", "eastus")
        az("configure", "--defaults", "group=rg", "workspace=dev", "location=eastus")
        az("ml", "workspace", "create", "-n", "dev")
        az("ml", "environment", "create", "-f", "plain.yml")
        az("ml", "model", "create", "--name", "scale", "--version", "1", "--path", "scale")
        az("ml", "batch-endpoint", "create", "--name", "scale-batch")
        az("ml", "batch-deployment", "create", "-f", "deployment.yml", "--set-default")
        yield az
    finally:
        az.run("down")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for a test's own files."""
    return tmp_path


def mlflow_model(folder: Path) -> None:
    """Write an MLflow model that doubles column x, whose own conda file says what it needs."""
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "doubling.py").write_text(
        "class Doubling:\n    def predict(self, rows):\n        return rows['x'] * 2\n\n"
        "def _load_pyfunc(path):\n    return Doubling()\n"
    )
    (folder / "MLmodel").write_text(
        "flavors:\n  python_function:\n    env: {conda: conda.yaml}\n    loader_module: doubling\n    code: code\n"
        "    python_version: 3.11.0\n"
    )
    (folder / "conda.yaml").write_text(
        "name: mlflow-env\nchannels: [conda-forge]\ndependencies:\n- python=3.11\n- pip\n"
        "- pip: [mlflow-skinny, pandas]\n"
    )
