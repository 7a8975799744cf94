"""The gallery: the public registry `azureml` with curated environments, made at first start and read-only.

What is in it are the specs `curated/*.yml`, each an environment's name, version, description, image, conda
dependencies and tags. `stands_in_for` names environments of Azure's that scripts ask for: they are there with what the
spec has, and say so. A changed spec needs a new version, as any asset does. Builds wait for the first use.
"""

import logging
from pathlib import Path
from typing import Any

import yaml

from entrepot.core.digests import digest_json, digest_of
from entrepot.core.errors import AlreadyExists, StateConflict
from entrepot.core.ids import AssetRef, RegistryScope
from entrepot.core.nouns import ENVIRONMENT
from entrepot.domain import access, registries
from entrepot.domain.access import PUBLIC_REGISTRY, SYSTEM
from entrepot.domain.assets import catalog
from entrepot.domain.hub import Hub
from entrepot.store.documents import Put

Json = Any

SPECS = Path(__file__).parent / "curated"
GROUP = "azureml-gallery"
_STATE_KEY = "gallery"

log = logging.getLogger(__name__)


def publish(hub: Hub) -> None:
    """Bring the public registry in line with the specs and the server's regions; a few file reads when it is.

    Interrupted half way, it goes on at the next start.
    """
    files = {file.name: file.read_bytes() for file in sorted(SPECS.glob("*.yml"))}
    wanted = digest_json([list(hub.settings.regions), {name: digest_of(data) for name, data in files.items()}])
    state = hub.documents.get(_STATE_KEY)
    if state is not None and state.body["digest"] == wanted:
        return
    try:
        registries.create(hub, SYSTEM, hub.settings.subscription, GROUP, PUBLIC_REGISTRY, _registry(hub))
    except StateConflict as error:
        log.warning("the gallery keeps its regions: %s", error.message)
    for name, data in files.items():
        _publish_spec(hub, name, yaml.safe_load(data))
    hub.documents.commit([Put(_STATE_KEY, {"digest": wanted})])


def _publish_spec(hub: Hub, file: str, spec: dict[str, Json]) -> None:
    _publish_environment(hub, file, spec, spec["name"], spec.get("description"))
    for name in spec.get("stands_in_for") or ():
        told = f"Stands in for Azure's environment of this name. It has what {spec['name']} has: {spec['description']}"
        _publish_environment(hub, file, spec, name, told)


def _publish_environment(hub: Hub, file: str, spec: dict[str, Json], name: str, description: str | None) -> None:
    ref = AssetRef(RegistryScope(PUBLIC_REGISTRY), ENVIRONMENT, name, str(spec["version"]))
    properties: dict[str, Json] = {
        "image": spec["image"],
        "description": description,
        "tags": {str(name): str(value) for name, value in (spec.get("tags") or {}).items()},
        "environmentType": "Curated",
    }
    if spec.get("conda"):
        properties["condaFile"] = yaml.safe_dump(spec["conda"], sort_keys=False)
    try:
        catalog.create(hub, access.SYSTEM, ref, properties)
    except AlreadyExists as error:
        log.error("%s changed without a new version, and is left as it was: %s", file, error.message)


def _registry(hub: Hub) -> dict[str, Json]:
    return {
        "location": hub.settings.regions[0],
        "tags": {"purpose": "curated assets, readable by all"},
        "properties": {
            "description": "Curated environments, there from the first start",
            "regionDetails": [{"location": region} for region in hub.settings.regions],
        },
    }
