"""An MLflow model served through mlflow.pyfunc: the input formats of Azure and of MLflow, and the answers of each.

`input_data` is Azure's and is answered with the bare predictions; `dataframe_split`, `dataframe_records`, `inputs`
and `instances` are MLflow's and are answered as `{"predictions": ...}`, as `mlflow models serve` does.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from datetime import date
from importlib import import_module
from typing import Any, Callable, Dict, Optional, Tuple

from .answers import JSON, Answer, InputError
from .scripts import Scope, json_object

_MLFLOW_FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_FORMATS = ("input_data", *_MLFLOW_FORMATS)
_EXPECTED = "The body must be a JSON object with exactly one of %s, or text/csv" % ", ".join(_FORMATS)


class PyfuncModel:
    """A model that is loaded at `start`. `call` predicts for one request."""

    is_raw = False
    reads_head = False  # but the content type, which is the same where the head is
    run = None
    folder = ""

    def __init__(self, path: str) -> None:
        self._path = path
        self.schema: Any = None
        self.output_schema: Any = None
        self.collect: Optional[Callable[[Any, Any], None]] = None

    def start(self) -> None:
        """Load the model and its signature."""
        self._model = import_module("mlflow.pyfunc").load_model(self._path)
        metadata = self._model.metadata
        self.schema = metadata.get_input_schema()
        self.output_schema = metadata.get_output_schema()

    def call(self, scope: Scope, body: bytes) -> Any:
        """Predict. Raises InputError for a body in no known format or one that the signature refuses."""
        if scope["method"] != "POST":
            raise InputError("An MLflow model is scored with POST, not %s" % scope["method"], status=405)
        kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"application/json")
        if kind.partition(b";")[0].strip().lower() == b"text/csv":
            data, params, is_bare = self._of_csv(body), None, False
        else:
            data, params, is_bare = self._of_json(json_object(scope, body))
        exception = import_module("mlflow.exceptions").MlflowException
        try:
            found = self._model.predict(data) if params is None else self._model.predict(data, params=params)
        except exception as error:  # the signature's refusals; what the model's own code raises is no MlflowException
            raise InputError(str(error)) from error
        if self.collect is not None:
            self._collected(data, found)
        found = plain(found)
        return Answer(200, [JSON], json.dumps(found if is_bare else {"predictions": found}).encode())

    def _collected(self, data: Any, found: Any) -> None:
        assert self.collect is not None
        try:
            self.collect(data, found)
        except Exception as error:  # tensors of many dimensions make no frame: that must not fail the request
            print("entrepot: an input or output could not be collected: %s" % error, file=sys.stderr, flush=True)

    def _of_csv(self, body: bytes) -> Any:
        pandas = import_module("pandas")
        types: Optional[Dict[str, Any]] = None
        if self.schema is not None and self.schema.has_input_names():
            types = dict(zip(self.schema.input_names(), self.schema.pandas_types()))
        try:
            return pandas.read_csv(io.BytesIO(body), dtype=types)
        except ValueError as error:
            raise InputError("The body is no CSV of the model's columns: %s" % error) from error

    def _of_json(self, given: Dict[str, Any]) -> Tuple[Any, Optional[Dict[str, Any]], bool]:
        """Return the model's input, its parameters if there are any, and whether the answer is bare."""
        formats = [name for name in _FORMATS if name in given]
        if len(formats) != 1:
            raise InputError("%s; got %s" % (_EXPECTED, ", ".join(map(repr, given)) or "nothing"))
        name, params = formats[0], given.get("params")
        if params is not None and not isinstance(params, dict):
            raise InputError("`params` must be a JSON object of parameters, got %s" % type(params).__name__)
        try:
            return self._parsed(name, given[name]), params, name == "input_data"
        except InputError:
            raise
        except Exception as error:  # mlflow and pandas raise whatever they like for a body that does not fit
            raise InputError("`%s` cannot be read: %s" % (name, error)) from error

    def _parsed(self, name: str, value: Any) -> Any:
        json_utils = import_module("mlflow.utils.proto_json_utils")
        if name in ("instances", "inputs"):
            return json_utils.parse_tf_serving_input({name: value}, schema=self.schema)
        if name == "input_data":
            return self._of_input_data(value)
        return self._frame(value, name[len("dataframe_") :])

    def _of_input_data(self, value: Any) -> Any:
        """Read Azure's own format: a frame in split orientation, or tensors as lists or by name."""
        if isinstance(value, dict) and "columns" in value and "data" in value:
            return self._frame(value, "split")
        if isinstance(value, dict) and set(value) <= {"index", "data"} and "data" in value:
            value = value["data"]
        is_tensor = self.schema is not None and self.schema.is_tensor_spec()
        if is_tensor:
            return import_module("mlflow.utils.proto_json_utils").parse_tf_serving_input(
                {"inputs": value}, schema=self.schema
            )
        if self.schema is not None and isinstance(value, list):
            is_records = bool(value) and isinstance(value[0], dict)
            if is_records:
                return self._frame(value, "records")
            if self.schema.has_input_names():
                return self._frame({"columns": self.schema.input_names(), "data": value}, "split")
        if isinstance(value, dict):
            return import_module("pandas").DataFrame(value)
        is_table = isinstance(value, list) and bool(value) and isinstance(value[0], (list, int, float))
        return import_module("numpy").array(value) if is_table else import_module("pandas").DataFrame(value)

    def _frame(self, value: Any, orient: str) -> Any:
        json_utils = import_module("mlflow.utils.proto_json_utils")
        if hasattr(json_utils, "dataframe_from_parsed_json"):
            return json_utils.dataframe_from_parsed_json(value, pandas_orient=orient, schema=self.schema)
        pandas = import_module("pandas")  # mlflow 1: no such function
        if orient == "split":
            frame = pandas.DataFrame(value["data"], index=value.get("index"), columns=value.get("columns"))
        else:
            frame = pandas.DataFrame(value)
        if self.schema is not None and self.schema.has_input_names():
            for column, kind in zip(self.schema.input_names(), self.schema.pandas_types()):
                if column in frame.columns:
                    frame[column] = frame[column].astype(kind)
        return frame


def plain(value: Any) -> Any:
    """Return predictions as JSON values: frames as records, arrays as lists, bytes in base 64."""
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return [{str(name): plain(item) for name, item in row.items()} for row in value.to_dict(orient="records")]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return base64.encodebytes(value).decode("ascii")
    if isinstance(value, date):
        return value.isoformat()
    return value
