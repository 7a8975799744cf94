"""Batch endpoints without a server: pipelines from registries, lineage, access, audit, repetition, deletion."""

from typing import Any

import pytest

from entrepot.core.errors import AccessDenied, InvalidRequest, NotFound, StateConflict
from entrepot.core.ids import AssetRef
from entrepot.core.nouns import MODEL
from entrepot.domain import audit, lineage
from entrepot.domain.assets import catalog
from entrepot.domain.authorization import assignments
from entrepot.domain.endpoints.batch import deployments, endpoints, invocation
from entrepot.domain.endpoints.batch.invocation import Invocation
from entrepot.domain.hub import Principal
from entrepot.testing.hub import OWNER, upload
from tests.jobs.conftest import REGISTRY, House
from tests.jobs.test_parallel_steps import code

Json = Any
READER = Principal("r1", "Rita Reader")
SCIENTIST = Principal("d1", "Dana")
SCRIPT = "import os\ndef run(files):\n    return [os.listdir(os.environ['AZUREML_MODEL_DIR'])[0] for file in files]"


def model(house: House) -> str:
    ref = AssetRef(house.scope, MODEL, "m", "1")
    uri = upload(house.hub, ref, {"weights.bin": "w"}, at="net")
    catalog.create(house.hub, OWNER, ref, {"modelUri": uri, "modelType": "custom_model"})
    return ref.id


def deployment(house: House, **more: Json) -> Json:
    return {
        "properties": {
            "model": {"referenceType": "Id", "assetId": model(house)},
            "environmentId": house.environment(),
            "codeConfiguration": {"codeId": code(house, SCRIPT), "scoringScript": "score.py"},
            **more,
        }
    }


def endpoint(house: House, body: Json) -> None:
    """Make endpoint ep1 with the default deployment d1."""
    endpoints.put(house.hub, OWNER, house.scope, "ep1", {})
    deployments.put(house.hub, OWNER, house.scope, "ep1", "d1", body)
    endpoints.patch(house.hub, OWNER, house.scope, "ep1", {"properties": {"defaults": {"deploymentName": "d1"}}})


def pipeline_component(house: House) -> str:
    """Publish a pipeline component to the registry and return its id."""
    inputs = {"text": {"type": "string"}, "data": {"type": "uri_folder"}}
    step = house.component(
        "step", "cat ${{inputs.data}}/* > ${{outputs.o}}/all; echo ${{inputs.text}} >> ${{outputs.o}}/all",
        scope=REGISTRY, inputs=inputs, outputs={"o": {"type": "uri_folder"}},
    )  # fmt: skip
    bound = {name: {"job_input_type": "literal", "value": f"${{{{parent.inputs.{name}}}}}"} for name in inputs}
    node = {
        "type": "command",
        "componentId": step,
        "inputs": bound,
        "outputs": {"o": {"value": "${{parent.outputs.o}}"}},
    }
    return house.component(
        "both", "", type="pipeline", scope=REGISTRY, jobs={"s": node}, inputs=inputs,
        outputs={"o": {"type": "uri_folder"}},
    )  # fmt: skip


def folder(house: House) -> Json:
    return {"jobInputType": "uri_folder", "uri": house.upload("in", {"a.txt": b"1", "b.txt": b"2"})}


def test_a_pipeline_component_of_a_registry_is_invoked_with_its_inputs(house: House) -> None:
    component = pipeline_component(house)
    configuration = {"deploymentConfigurationType": "PipelineComponent", "componentId": {"assetId": component}}
    settings = {"default_compute": "cpu-cluster", "ComponentDeployment.Settings.continue_on_step_failure": "false"}
    endpoint(house, {"properties": {"deploymentConfiguration": {**configuration, "settings": settings}}})
    given = {"text": {"jobInputType": "literal", "value": "end"}, "UriFolder": folder(house)}
    with pytest.raises(InvalidRequest, match="no input UriFolder"):
        invocation.invoke(house.hub, OWNER, house.scope, "ep1", Invocation(given))
    given["data"] = given.pop("UriFolder")
    job = invocation.invoke(house.hub, OWNER, house.scope, "ep1", Invocation(given, job="scored"))
    assert house.finish(job.body["name"])["properties"]["status"] == "Completed"
    assert house.output("scored", "o") == {"all": b"12end\n"}


def test_a_deployment_must_name_a_pipeline(house: House) -> None:
    endpoints.put(house.hub, OWNER, house.scope, "ep1", {})
    step = house.component("plain", "true")
    body = {"properties": {"deploymentConfiguration": {"componentId": {"assetId": step}}}}
    with pytest.raises(InvalidRequest, match="is no pipeline component"):
        deployments.put(house.hub, OWNER, house.scope, "ep1", "d1", body)


def test_lineage_leads_from_the_job_over_the_deployment_to_the_model(house: House) -> None:
    endpoint(house, deployment(house))
    job = invocation.invoke(house.hub, OWNER, house.scope, "ep1", Invocation({"data": folder(house)}))
    house.finish(job.body["name"])
    node = house.nodes(job.body["name"])["batchscoring"]
    assert house.output(job.body["name"], "score")["predictions.csv"] == b"net\nnet\n"
    edges = {
        (edge.source, edge.relation, edge.target)
        for edge in lineage.edges(house.hub, OWNER, job.body["id"], direction="upstream")
    }
    above = f"{house.scope.arm_id}/batchEndpoints/ep1/deployments/d1"
    model_id = f"{house.scope.arm_id}/models/m/versions/1"
    assert (job.body["id"], "used", above) in edges
    assert (above, "deployed", model_id) in edges
    used = [(link.relation, link.target) for link in house.hub.documents.links(node["id"])]
    assert ("used", model_id) in used
    assert any(target.endswith("/in") for _, target in used)
    deployments.delete(house.hub, OWNER, house.scope, "ep1", "d1")
    left = lineage.edges(house.hub, OWNER, job.body["id"], direction="upstream", depth=1)
    assert (job.body["id"], "used", model_id) in {(edge.source, edge.relation, edge.target) for edge in left}


def test_a_deployed_model_may_be_deleted_when_its_deployment_is_gone(idle: House) -> None:
    ref = AssetRef(idle.scope, MODEL, "m", "1")
    endpoint(idle, deployment(idle))
    with pytest.raises(StateConflict, match="batchEndpoints/ep1/deployments/d1"):
        catalog.delete(idle.hub, OWNER, ref)
    deployments.delete(idle.hub, OWNER, idle.scope, "ep1", "d1")
    catalog.delete(idle.hub, OWNER, ref)
    endpoint(idle, deployment(idle))
    endpoints.delete(idle.hub, OWNER, idle.scope, "ep1")
    catalog.delete(idle.hub, OWNER, ref)


def test_invoking_asks_for_more_than_reading(idle: House) -> None:
    endpoint(idle, deployment(idle))
    assignments.assign(idle.hub, OWNER, role="Reader", assignee=READER.id, scope=f"/{idle.scope.key}")
    asked = Invocation({"data": folder(idle)})
    with pytest.raises(AccessDenied, match="batchEndpoints/jobs/write"):
        invocation.invoke(idle.hub, READER, idle.scope, "ep1", asked)
    with pytest.raises(AccessDenied, match="batchEndpoints/deployments/delete"):
        deployments.delete(idle.hub, READER, idle.scope, "ep1", "d1")
    with pytest.raises(AccessDenied, match="batchEndpoints/write"):
        endpoints.put(idle.hub, READER, idle.scope, "ep2", {})
    assert deployments.get(idle.hub, READER, idle.scope, "ep1", "d1").body["name"] == "d1"
    stranger = Principal("s1", "Sam")
    with pytest.raises(NotFound, match="Sam may not see it"):
        endpoints.get(idle.hub, stranger, idle.scope, "ep1")
    assignments.assign(
        idle.hub, OWNER, role="AzureML Data Scientist", assignee=SCIENTIST.id, scope=f"/{idle.scope.key}"
    )
    made = invocation.invoke(idle.hub, SCIENTIST, idle.scope, "ep1", asked).body
    assert made["entrepot"]["submittedBy"]["name"] == "Dana"
    actions = [entry.body["action"] for entry in idle.hub.documents.read(audit.STREAM, limit=1000)]
    assert sum(action.endswith("batchEndpoints/write") for action in actions) >= 2


def test_a_repeated_request_is_the_same_job(idle: House) -> None:
    endpoint(idle, deployment(idle))
    asked = Invocation({"data": folder(idle)}, request="3f0c")
    first = invocation.invoke(idle.hub, OWNER, idle.scope, "ep1", asked)
    assert invocation.invoke(idle.hub, OWNER, idle.scope, "ep1", asked).body["name"] == first.body["name"]
    other = invocation.invoke(idle.hub, OWNER, idle.scope, "ep1", Invocation({"data": folder(idle)}))
    assert other.body["name"] != first.body["name"]
    listed = invocation.jobs(idle.hub, OWNER, idle.scope, "ep1").documents
    assert [found.body["name"] for found in listed] == [other.body["name"], first.body["name"]]


def test_jobs_outlive_their_endpoint(house: House) -> None:
    endpoint(house, deployment(house))
    name = invocation.invoke(house.hub, OWNER, house.scope, "ep1", Invocation({"data": folder(house)})).body["name"]
    endpoints.delete(house.hub, OWNER, house.scope, "ep1")
    with pytest.raises(NotFound):
        deployments.get(house.hub, OWNER, house.scope, "ep1", "d1")
    assert house.finish(name)["properties"]["status"] == "Completed"


def test_a_model_deployment_has_one_output(idle: House) -> None:
    endpoint(idle, deployment(idle))
    asked = Invocation({"data": folder(idle)}, outputs={"a": {}, "b": {}})
    with pytest.raises(InvalidRequest, match="has one output: got 2"):
        invocation.invoke(idle.hub, OWNER, idle.scope, "ep1", asked)
