"""From a model deployment to the parallel component that scores with it: one for folders and one for single files.

The components are anonymous, named by their content, and made in the server's name: who may deploy need not be
allowed to write components, and nobody sees them among their own.
"""

from collections.abc import Mapping
from typing import Any

from entrepot.core.digests import digest_json
from entrepot.core.errors import InvalidRequest
from entrepot.core.ids import AssetRef, WorkspaceScope
from entrepot.core.nouns import COMPONENT, ENVIRONMENT
from entrepot.domain import access
from entrepot.domain.assets import catalog, sources
from entrepot.domain.assets.references import spelled
from entrepot.domain.endpoints.batch.settings import ModelSettings
from entrepot.domain.hub import Hub
from entrepot.store import paths
from entrepot.store.documents import Document

Json = Any

DATA, MODEL, SCORE = "data", "model", "score"
"""The ports of a scoring component; `score` is also the output's name in Azure ML."""

INPUT_TYPES = ("uri_folder", "uri_file")
_ANONYMOUS_COMPONENT = "azureml_anonymous"
_ANONYMOUS_ENVIRONMENT = "CliV2AnonymousEnvironment"
_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04"  # conda decides what is in it
_CONDA = "conda.yaml"  # where MLflow tells what its models need


def components(
    hub: Hub,
    scope: WorkspaceScope,
    settings: ModelSettings,
    *,
    model: Document,
    environment: Document,
    code: Document | None,
) -> dict[str, str]:
    """Make the components of a deployment and return their ids, by the type of their input."""
    found = {}
    for kind in INPUT_TYPES:
        spec = _spec(settings, kind, model=model, environment=environment, code=code)
        ref = AssetRef(scope, COMPONENT, _ANONYMOUS_COMPONENT, digest_json(spec))
        named = {**spec, "name": ref.name, "version": ref.version}
        catalog.create(hub, access.SYSTEM, ref, {"componentSpec": named, "isAnonymous": True})
        found[kind] = ref.id
    return found


def environment_of(hub: Hub, scope: WorkspaceScope, model: Document) -> Document:
    """Return the environment that an MLflow model asks for, made of its conda file. Raises InvalidRequest."""
    source = sources.of_document(hub, model)
    entry = source.manifest.find(_CONDA)
    name = model.body["id"]
    if entry is None:
        raise InvalidRequest(
            f"{name} has no {_CONDA} that would tell what it needs: give the deployment an environment", target="model"
        )
    with hub.depots.of(source.region).open(paths.content(entry.digest)) as file:
        conda = file.read().decode("utf-8", "replace")
    properties = {"image": _IMAGE, "condaFile": conda, "isAnonymous": True}
    ref = AssetRef(scope, ENVIRONMENT, _ANONYMOUS_ENVIRONMENT, digest_json(properties))
    return catalog.create(hub, access.SYSTEM, ref, properties)[0]


def _spec(
    settings: ModelSettings, kind: str, *, model: Document, environment: Document, code: Document | None
) -> dict[str, Json]:
    task: dict[str, Json] = {
        "type": "model", "environment": spelled(environment), "model": f"${{{{inputs.{MODEL}}}}}",
        "output_file_name": settings.file_name,
    }  # fmt: skip
    if code is not None:
        task |= {"code": spelled(code), "entry_script": settings.script}
    if settings.is_appending:
        task["append_row_to"] = f"${{{{outputs.{SCORE}}}}}"
    model_type = str(model.body["properties"].get("modelType") or "custom_model").lower()
    return {
        "type": "parallel",
        "is_deterministic": False,
        "inputs": {DATA: {"type": kind}, MODEL: {"type": model_type, "default": model.body["id"]}},
        "outputs": {SCORE: {"type": "uri_folder"}},
        "input_data": f"${{{{inputs.{DATA}}}}}",
        "task": task,
        "environment_variables": _texts(settings.environment_variables),
        **settings.parallel,
    }


def _texts(variables: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(variables.items()))
