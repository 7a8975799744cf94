"""What every function of the model registry takes, and how names and versions become MLflow's entities."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.core.clock import from_iso
from entrepot.core.errors import NotFound
from entrepot.core.ids import AssetRef, RegistryScope, Scope
from entrepot.core.nouns import MODEL
from entrepot.domain.assets import catalog
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.jobs.tracking.session import entries, text
from entrepot.domain.scopes import API_ORIGIN
from entrepot.store.documents import Document, View

Json = Any

NO_STAGE = "None"
NO_PROMPT = {"mlflow.prompt.is_prompt": "false"}
"""What searches see of each model: MLflow 3 asks for those whose tag is not 'true', and means those without it too."""
RUN, LOGGED_MODEL = "mlflow.sourceRunId", "mlflow.sourceModelId"
"""Properties of a version that tell where MLflow made it."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Who asks, and in which workspace or registry."""

    hub: Hub
    principal: Principal
    scope: Scope

    def name(self, body: Mapping[str, Json]) -> Document:
        """Return the document of the name that a request is about. Raises NotFound in MLflow's words."""
        wanted = text(body, "name")
        try:
            return catalog.get_container(self.hub, self.principal, self.scope, MODEL, wanted)
        except NotFound as error:
            raise NotFound(f"Registered Model with name={wanted} not found") from error

    def version(self, body: Mapping[str, Json]) -> Document:
        """Return the document of the version that a request is about. Raises NotFound in MLflow's words."""
        ref = self.ref(text(body, "name"), text(body, "version"))
        try:
            return catalog.get(self.hub, self.principal, ref)
        except NotFound as error:
            raise NotFound(f"Model Version (name={ref.name}, version={ref.version}) not found") from error

    def ref(self, name: str, version: str) -> AssetRef:
        """Return the reference of a version."""
        return AssetRef(self.scope, MODEL, name, version)

    def names(self) -> Iterator[Document]:
        """Yield all names that the caller may read and that are not archived."""
        after: str | None = None
        while True:
            page = catalog.containers(self.hub, self.principal, self.scope, MODEL, after=after, limit=1000)
            yield from page.documents
            if (after := page.next) is None:
                return

    def versions(self, name: str, *, view: View = View.ACTIVE) -> Iterator[Document]:
        """Yield the versions of a name, newest first."""
        after: str | None = None
        while True:
            page = catalog.versions(
                self.hub, self.principal, self.scope, MODEL, name, view=view, after=after, limit=1000
            )
            yield from page.documents
            if (after := page.next) is None:
                return


def aliases_of(container: Mapping[str, Json]) -> dict[str, str]:
    """Return the aliases that a name's document keeps: {alias: version}."""
    return dict(container["entrepot"].get("aliases") or {})


def shown_name(container: Mapping[str, Json], newest: list[dict[str, Json]]) -> dict[str, Json]:
    """Return MLflow's RegisteredModel. `newest`: the latest versions, as `shown_version` gives them."""
    properties = container["properties"]
    return {
        "name": container["name"],
        **_times(container),
        "description": properties.get("description") or "",
        "latest_versions": newest,
        "tags": entries(_texts(properties.get("tags"))),
        "aliases": [{"alias": alias, "version": version} for alias, version in aliases_of(container).items()],
    }


def shown_version(desk: Desk, body: Mapping[str, Json], aliases: Mapping[str, str]) -> dict[str, Json]:
    """Return MLflow's ModelVersion. `aliases`: those of its name."""
    ref = catalog.ref_of(body)
    properties = body["properties"]
    told = properties.get("properties") or {}
    return {
        "name": ref.name,
        "version": ref.version,
        **_times(body),
        "current_stage": stage_of(body),
        "description": properties.get("description") or "",
        "source": address(desk.scope, ref),
        "run_id": told.get(RUN) or properties.get("jobName") or "",
        "model_id": told.get(LOGGED_MODEL) or "",
        "status": "READY",
        "tags": entries(_texts(properties.get("tags"))),
        "aliases": [alias for alias, version in aliases.items() if version == ref.version],
    }


def stage_of(body: Mapping[str, Json]) -> str:
    """Return a version's stage as MLflow tells it."""
    return str(body["properties"].get("stage") or NO_STAGE)


def address(scope: Scope, ref: AssetRef) -> str:
    """Return where MLflow clients download a version, whatever their tracking server is."""
    where = f"/registries/{scope.name}" if isinstance(scope, RegistryScope) else scope.arm_id
    proxy = "registered-models/api/2.0/mlflow-artifacts/artifacts"
    return f"{API_ORIGIN}/mlflow/v2.0{where}/{proxy}/{ref.name}/{ref.version}"


def _times(body: Mapping[str, Json]) -> dict[str, Json]:
    told = body["systemData"]
    return {
        "creation_timestamp": int(from_iso(told["createdAt"]) * 1000),
        "last_updated_timestamp": int(from_iso(told["lastModifiedAt"]) * 1000),
        "user_id": told.get("createdBy") or "",
    }


def _texts(tags: Mapping[str, Json] | None) -> dict[str, str]:
    return {str(key): str(value) for key, value in (tags or {}).items()}
