"""Lineage: edges in both directions, and nothing shown that may not be seen."""

import pytest

from entrepot.core.errors import InvalidRequest, NotFound
from entrepot.core.ids import AssetRef, RegistryScope, WorkspaceScope
from entrepot.core.nouns import COMPONENT, ENVIRONMENT, MODEL
from entrepot.domain import lineage
from entrepot.domain.assets import catalog, sharing
from entrepot.domain.authorization import assignments
from entrepot.domain.hub import Hub, Principal
from entrepot.testing.hub import OWNER
from entrepot.testing.jobs import ended_job


@pytest.fixture
def promoted(hub: Hub, registry: RegistryScope, dev: WorkspaceScope) -> str:
    """A model that a job made from data, shared with the registry, and a component on an environment beside it."""
    ended_job(hub, dev, "train")
    job = f"{dev.arm_id}/jobs/train"
    hub.documents.commit([lineage.used(job, f"{dev.arm_id}/data/taxi/versions/1")])
    ref = AssetRef(dev, MODEL, "m", "1")
    catalog.create(hub, OWNER, ref, {"modelUri": "azureml://jobs/train/outputs/trained/paths/model"})
    return str(sharing.share(hub, OWNER, ref, AssetRef(registry, MODEL, "m", "1")).body["id"])


def test_upstream_of_a_promoted_model_lead_the_workspace_the_job_and_the_data(
    hub: Hub, dev: WorkspaceScope, promoted: str
) -> None:
    found = lineage.edges(hub, OWNER, promoted, direction="upstream")
    job = f"{dev.arm_id}/jobs/train"
    model = f"{dev.arm_id}/models/m/versions/1"
    assert [(edge.source, edge.relation, edge.target) for edge in found] == [
        (model, "shared", promoted),
        (job, "produced", model),
        (job, "registered", model),
        (job, "used", f"{dev.arm_id}/data/taxi/versions/1"),
    ]
    assert lineage.edges(hub, OWNER, promoted, direction="downstream") == ()


def test_an_id_is_found_as_anybody_spells_it_and_nothing_else_is(hub: Hub, dev: WorkspaceScope, promoted: str) -> None:
    job = f"{dev.arm_id}/jobs/train"
    for spelled in (job, job.replace("resourceGroups", "RESOURCEGROUPS").replace("/jobs/", "/Jobs/"), f"azureml:{job}"):
        name, found = lineage.told(hub, OWNER, spelled, direction="downstream", depth=1)
        assert name == job
        assert {edge.relation for edge in found} == {"produced", "registered"}
    assert lineage.told(hub, OWNER, promoted)[0] == promoted
    nobody = Principal("nobody", "Nobody", OWNER.tenant)
    for who, name in (
        (OWNER, f"{dev.arm_id}/jobs/none"),
        (OWNER, "words"),
        (OWNER, ""),
        (nobody, job),
        (nobody, promoted),
    ):
        with pytest.raises(NotFound):
            lineage.told(hub, who, name)
    for wrong in ({"direction": "sideways"}, {"depth": 0}, {"depth": 101}):
        with pytest.raises(InvalidRequest):
            lineage.told(hub, OWNER, job, **wrong)


def test_downstream_of_data_leads_to_the_promoted_model(hub: Hub, dev: WorkspaceScope, promoted: str) -> None:
    found = lineage.edges(hub, OWNER, f"{dev.arm_id}/data/taxi/versions/1", direction="downstream")
    assert found[-1].target == promoted
    near = lineage.edges(hub, OWNER, f"{dev.arm_id}/data/taxi/versions/1", depth=1)
    assert [edge.relation for edge in near] == ["used"]


def test_a_component_used_its_environment(hub: Hub, registry: RegistryScope) -> None:
    catalog.create(hub, OWNER, AssetRef(registry, ENVIRONMENT, "e", "1"), {"image": "x"})
    spec = {"type": "command", "command": "echo", "environment": "azureml:e:1"}
    made, _ = catalog.create(hub, OWNER, AssetRef(registry, COMPONENT, "c", "1"), {"componentSpec": spec})
    (edge,) = lineage.edges(hub, OWNER, "azureml://registries/contoso/environments/e/versions/1")
    assert (edge.source, edge.relation) == (made.body["id"], "used")


def test_what_may_not_be_seen_is_hidden_and_not_walked_through(hub: Hub, stranger: Principal, promoted: str) -> None:
    assignments.assign(hub, OWNER, role="AzureML Registry User", assignee=stranger.id, scope="registries/contoso")
    (edge,) = lineage.edges(hub, stranger, promoted)
    assert (edge.source, edge.relation, edge.target) == ("hidden", "shared", promoted)
    hub.documents.commit(
        [
            lineage.produced(
                "/subscriptions/s1/resourceGroups/rg/providers/"
                "Microsoft.MachineLearningServices/workspaces/dev/jobs/secret",
                promoted,
                {"output": "secret"},
            )
        ]
    )
    told = {(edge.source, edge.relation): edge.body for edge in lineage.edges(hub, stranger, promoted)}
    assert told == {("hidden", "shared"): None, ("hidden", "produced"): None}


def test_a_circle_ends(hub: Hub) -> None:
    hub.documents.commit([lineage.shared("x-a", "x-b"), lineage.shared("x-b", "x-a")])
    assert len(lineage.edges(hub, OWNER, "x-a")) == 2
