"""The driver's side of an attempt: its program and its order, beside the step's code and inputs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from entrepot.core.errors import InvalidRequest
from entrepot.domain.jobs.parallel.settings import MODEL_SCRIPT

Json = Any

COMMAND = 'python -u "$ENTREPOT_BATCH_DRIVER"'
"""How a parallel step is started; its program arguments follow."""

FOLDER = "driver"
_PROGRAMS = Path(__file__).parents[3] / "runtime"
_NAMES = ("batch.py", MODEL_SCRIPT)


def lay_out(
    folder: Path, told: Mapping[str, Json], *, inputs: Mapping[str, str], outputs: Mapping[str, str], files: set[str]
) -> dict[str, str]:
    """Write the driver and its order into an attempt's folder and return the variables that name them.

    `told`: the settings as the job keeps them. `inputs`, `outputs`: where they are. `files`: the outputs that are
    files. Raises InvalidRequest for a script outside the code.
    """
    place = folder / FOLDER
    place.mkdir()
    for name in _NAMES:
        (place / name).write_bytes((_PROGRAMS / name).read_bytes())
    code = folder / "code"
    entry = code / told["script"] if told["script"] else place / MODEL_SCRIPT
    if told["script"] and not entry.resolve().is_relative_to(code.resolve()):
        raise InvalidRequest(f"The script {told['script']!r} is not inside the code: write its path there")
    target = _target(told, outputs, files)
    order = {
        "entry": str(entry), "inputs": [inputs[name] for name in told["data"] if name in inputs],
        "append_to": target, "workers": told["workers"], "logging_level": told["loggingLevel"],
        "mini_batch_size": told["miniBatchSize"], "error_threshold": told["errorThreshold"],
        "mini_batch_error_threshold": told["miniBatchErrorThreshold"], "max_retries": told["maxRetries"],
        "timeout_s": told["timeoutSeconds"],
    }  # fmt: skip
    (place / "order.json").write_text(json.dumps(order))
    found = {"ENTREPOT_BATCH_DRIVER": str(place / "batch.py"), "ENTREPOT_BATCH_ORDER": str(place / "order.json")}
    if told["model"] in inputs:
        found["AZUREML_MODEL_DIR"] = str(folder / "inputs" / told["model"])
    if outputs:  # where scripts with files of their own to write put them
        own = next(iter(outputs))
        found["AZUREML_BI_OUTPUT_PATH"] = str(Path(outputs[own]).parent) if own in files else outputs[own]
    return found


def _target(told: Mapping[str, Json], outputs: Mapping[str, str], files: set[str]) -> str | None:
    """Return the file to which rows are appended."""
    name = told["appendTo"]
    if not name:
        return None
    return outputs[name] if name in files else str(Path(outputs[name]) / told["fileName"])
