"""Scores rows of ten numbers with the model in AZUREML_MODEL_DIR, wherever below it the file stands."""

import json
import os
from pathlib import Path

import joblib

_state = {}


def init():
    """Load the model once, when the deployment starts."""
    folder = Path(os.environ["AZUREML_MODEL_DIR"])
    file = next(folder.rglob("model.joblib"), None)
    if file is None:
        raise FileNotFoundError(f"no model.joblib below {folder}")
    _state["model"] = joblib.load(str(file))


def run(data):
    """Answer `{"data": [[ten numbers], ...]}` with one prediction for each row."""
    rows = json.loads(data)["data"]
    return _state["model"].predict(rows).tolist()
