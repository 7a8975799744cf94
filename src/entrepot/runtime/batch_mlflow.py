"""The scoring script of MLflow models that are deployed to batch endpoints without one of their own.

Used by `batch.py` as a user's script would be. Reads CSV and Parquet files and gives one line for each row: its number
in the file, the prediction, the file's name. MLflow and pandas are those of the model's environment.
"""

from __future__ import annotations

import glob
import importlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List

READERS = {".csv": "read_csv", ".parquet": "read_parquet", ".pqt": "read_parquet"}
model = None  # type: Any


def init() -> None:
    """Load the model from where the driver has put it."""
    global model
    root = os.environ["AZUREML_MODEL_DIR"]
    places = [root, *sorted(glob.glob(os.path.join(root, "*")))]
    found = [place for place in places if os.path.isfile(os.path.join(place, "MLmodel"))]
    if not found:
        raise FileNotFoundError("there is no MLmodel file in %s" % root)
    model = importlib.import_module("mlflow.pyfunc").load_model(found[0])


def run(mini_batch: "List[str]") -> "Any":
    """Return the predictions for all rows of the files as a data frame."""
    pandas = importlib.import_module("pandas")
    parts = []
    for path in mini_batch:
        ending = os.path.splitext(path)[1].lower()
        if ending not in READERS:
            raise ValueError("%s is no file of rows: %s are read" % (os.path.basename(path), ", ".join(READERS)))
        rows = getattr(pandas, READERS[ending])(path)
        predicted = model.predict(rows)
        frame = predicted if hasattr(predicted, "columns") else pandas.DataFrame(predicted)
        frame = frame.reset_index(drop=True)
        frame.insert(0, "row", range(len(frame)))
        frame["file"] = os.path.basename(path)
        parts.append(frame)
    return pandas.concat(parts)
