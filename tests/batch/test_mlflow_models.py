"""A batch deployment of an MLflow model with neither code nor environment: it tells itself what it needs."""

from pathlib import Path

import pytest

from tests.batch.conftest import mlflow_model
from tests.journey.console import CommandLine

pytestmark = pytest.mark.slow


def test_an_mlflow_model_scores_tables_without_a_script(az: CommandLine, folder: Path) -> None:
    mlflow_model(folder / "model")
    (folder / "data").mkdir()
    (folder / "data" / "a.csv").write_text("x,y\n1,a\n2,b\n")
    (folder / "data" / "b.csv").write_text("x,y\n5,c\n")
    deployment = "name: nocode\nendpoint_name: scale-batch\ncompute: azureml:cpu-cluster\n"
    (folder / "d.yml").write_text(deployment + "model: {name: doubling, path: ./model, type: mlflow_model}\n")
    made = az("ml", "batch-deployment", "create", "-f", folder / "d.yml")
    assert "/models/doubling/versions/" in made["model"]
    invoke = ("--name", "scale-batch", "-d", "nocode", "--input", folder / "data", "--set", "error_threshold=0")
    job = az.finished(az("ml", "batch-endpoint", "invoke", *invoke)["name"])
    assert job["status"] == "Completed", job
    az("ml", "job", "download", "-n", job["name"], "--output-name", "score", "--download-path", folder)
    (found,) = (folder / "named-outputs" / "score").rglob("predictions.csv")
    assert found.read_text().splitlines() == ["0,2,a.csv", "1,4,a.csv", "0,10,b.csv"]
