"""Models: a file or folder of any framework; an MLflow model tells its flavors itself."""

from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest
from entrepot.core.ids import AssetRef
from entrepot.domain import yaml_text
from entrepot.domain.assets.kind import Content, Properties, Rules, other_contents, require_text, snapshot_contents

Json = Any

TYPES = ("custom_model", "mlflow_model", "triton_model")
_FILE = "MLmodel"


def _normalise(ref: AssetRef, properties: Properties) -> None:
    properties["modelType"] = properties.get("modelType") or TYPES[0]
    require_text(properties, "modelType", choices=TYPES)
    if not isinstance(properties.get("flavors"), dict):
        properties["flavors"] = {}  # azure-ai-ml 1.35 fails on a model without


def _inspect(ref: AssetRef, properties: Properties, content: Content) -> None:
    if properties["modelType"] != "mlflow_model":
        return
    text = None if content.is_file else content.text(_FILE)
    if text is None:
        paths = ", ".join(entry.path for entry in content.manifest.files[:5])
        raise InvalidRequest(
            f"{ref.name}:{ref.version} is not an mlflow_model: its path {content.name or '.'} has no file {_FILE} "
            f"(it holds {paths}). Point the path at the folder that mlflow wrote, or use type custom_model",
            target="modelUri",
        )
    properties["flavors"] = _flavors(text)


def _flavors(text: str) -> dict[str, Json]:
    try:
        flavors = yaml_text.read(text, f"The model's {_FILE}")["flavors"]
        return {str(name): {"data": {str(k): _plain(v) for k, v in data.items()}} for name, data in flavors.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidRequest(f"The model's {_FILE} cannot be read: {error}", target="modelUri") from error


def _plain(value: Json) -> Json:
    return value if isinstance(value, str | int | float | bool | dict | list) or value is None else str(value)


def _contents(properties: Properties, ours: Mapping[str, Json]) -> dict[str, Json]:
    known = ("modelType", "modelUri")
    return {"type": properties.get("modelType"), **snapshot_contents(ours), **other_contents(properties, known)}


RULES = Rules(address=("modelUri",), normalise=_normalise, contents=_contents, inspect=_inspect, may_be_late=True)
