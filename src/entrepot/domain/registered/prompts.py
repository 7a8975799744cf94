"""Prompts of MLflow 3: registered models whose text is in a tag; here the text is the model's one file as well."""

from collections.abc import Mapping

from entrepot.domain.assets import uploads
from entrepot.domain.registered.desk import Desk
from entrepot.domain.registered.origins import Made
from entrepot.store import snapshots

IS_PROMPT = "mlflow.prompt.is_prompt"
_TEXT = "mlflow.prompt.text"
_FILE = "prompt.txt"


def is_prompt(tags: Mapping[str, str]) -> bool:
    """Say whether the tags of a version make it a prompt, whose source is a word without a meaning."""
    return tags.get(IS_PROMPT) == "true" and _TEXT in tags


def origin_of(desk: Desk, name: str, tags: Mapping[str, str]) -> Made:
    """Write a prompt's text where a version can be made of it. Raises AccessDenied, InvalidName."""
    upload = uploads.start(desk.hub, desk.principal, desk.ref(name, "1"))
    data = tags[_TEXT].encode()
    digest = snapshots.keep(desk.hub.containers.store(upload.container), data)
    desk.hub.containers.put(upload.container, _FILE, digest, len(data))
    return Made(f"{upload.blob_uri}/{_FILE}", is_mlflow=False)
