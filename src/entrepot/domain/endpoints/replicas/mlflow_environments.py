"""The environment that an MLflow model brings: its conda.yaml, else its python_env.yaml and requirements.txt."""

import re
from typing import Any

from entrepot.core.errors import BuildFailed, InvalidRequest
from entrepot.core.manifests import Manifest
from entrepot.domain import yaml_text
from entrepot.store import paths
from entrepot.store.blobs import BlobStore

Json = Any

_MLMODEL, _CONDA, _PYTHON, _PIP = "MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SERVES = {"mlflow", "mlflow-skinny"}


def conda_of(store: BlobStore, model: Manifest) -> dict[str, Json]:
    """Return the conda dependencies of a model's folder, mlflow among them. Raises BuildFailed that names the file."""
    text = _text(store, model, _MLMODEL)
    described = _yaml(text, _MLMODEL) if text is not None else {}
    flavor = (described.get("flavors") or {}).get("python_function")
    if flavor is None:
        raise BuildFailed("The model's MLmodel has no flavor python_function: give code_configuration and environment")
    env = flavor.get("env")
    name = env.get("conda") if isinstance(env, dict) else env
    if name and (conda := _text(store, model, str(name))) is not None:
        return _with_mlflow(_yaml(conda, str(name)), described)
    if (conda := _text(store, model, _CONDA)) is not None:
        return _with_mlflow(_yaml(conda, _CONDA), described)
    lines = (_text(store, model, _PIP) or "").splitlines()
    pip: list[Json] = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    if not pip:
        raise BuildFailed("The model has neither conda.yaml nor requirements.txt: give the deployment an environment")
    python = (_yaml(_text(store, model, _PYTHON) or "", _PYTHON) or {}).get("python") or flavor.get("python_version")
    dependencies: list[Json] = [f"python={python}"] if python else []
    return _with_mlflow({"dependencies": [*dependencies, {"pip": pip}]}, described)


def _with_mlflow(conda: dict[str, Json], described: Json) -> dict[str, Json]:
    """Add mlflow in the version that wrote the model where a conda file lacks it: nothing else can load the model."""
    dependencies = list(conda.get("dependencies") or [])
    pip = next((entry["pip"] for entry in dependencies if isinstance(entry, dict) and "pip" in entry), None)
    named = [entry for entry in dependencies if isinstance(entry, str)] + list(pip or [])
    found = {match[0].lower() for entry in named if (match := _NAME.match(str(entry).rpartition("::")[2]))}
    if found & _SERVES:
        return conda
    version = described.get("mlflow_version")
    wanted = f"mlflow=={version}" if version else "mlflow"
    rest = [entry for entry in dependencies if not (isinstance(entry, dict) and "pip" in entry)]
    return {**conda, "dependencies": [*rest, {"pip": [*(pip or []), wanted]}]}


def _text(store: BlobStore, model: Manifest, path: str) -> str | None:
    entry = model.find(path)
    if entry is None:
        return None
    if entry.size_bytes > yaml_text.MOST_CHARACTERS:
        raise BuildFailed(
            f"The model's {path} has {entry.size_bytes:,} bytes: at most {yaml_text.MOST_CHARACTERS:,} are read"
        )
    with store.open(paths.content(entry.digest)) as file:
        return file.read().decode("utf-8", "replace")


def _yaml(text: str, name: str) -> Json:
    try:
        found = yaml_text.read(text, f"The model's {name}")
    except InvalidRequest as error:
        raise BuildFailed(error.message) from error
    if found is not None and not isinstance(found, dict):
        raise BuildFailed(f"The model's {name} must be a mapping")
    return found or {}
