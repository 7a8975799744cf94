"""What deployments of models name: a model, which may stand in the file, and the code that scores with it."""

from collections.abc import Mapping
from typing import Any

from entrepot.client.files import Document, Place
from entrepot.client.publishing.assets import create_model
from entrepot.client.publishing.components import code_id
from entrepot.client.publishing.content import Publisher, expand, is_local
from entrepot.client.transfers.hashes import snapshot_digest

Json = Any


def model_id(publisher: Publisher, document: Document, value: Json, place: Place) -> str:
    """Return the id of a model: as referred to, or of what stands in the file, which is created.

    A model without a name gets one of its content, so that the same one is created once. Raises FileFailure.
    """
    if isinstance(value, str) and not is_local(value):
        return expand(publisher, "models", value, document=document, place=place)
    data = {"path": value} if isinstance(value, str) else dict(value)
    path = str(data.get("path") or "")
    if not data.get("name"):
        if not path or not is_local(path):
            raise document.wrong(place, "a model in the file needs a name, or a local path: write `path: ./model`")
        data |= {"name": f"model-{snapshot_digest(document.resolve(path, (*place, 'path')))[:24]}", "version": "1"}
    inner = Document(data, path=document.path, lines={}, texts={})
    return str(create_model(publisher, inner, data)["id"])


def code_configuration(
    publisher: Publisher, document: Document, value: Mapping[str, Json], place: Place
) -> dict[str, str]:
    """Return a `code_configuration` as it is sent, its folder uploaded."""
    return {
        "codeId": code_id(publisher, document, value["code"], (*place, "code")),
        "scoringScript": str(value["scoring_script"]),
    }
