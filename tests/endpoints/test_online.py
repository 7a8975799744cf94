"""Online endpoints and deployments as documents: names, traffic, states, lineage, refusals and their words."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from entrepot.core.errors import AccessDenied, EntrepotError, InvalidName, InvalidRequest, NotFound, StateConflict
from entrepot.core.ids import AssetRef, WorkspaceScope
from entrepot.core.nouns import MODEL
from entrepot.domain import audit, lineage, operations
from entrepot.domain.assets import catalog
from entrepot.domain.authorization import assignments
from entrepot.domain.endpoints import deployments, endpoints
from entrepot.domain.endpoints.places import DeploymentRef, EndpointRef
from entrepot.domain.hub import Principal
from entrepot.testing.hub import OWNER
from tests.endpoints.house import House

Json = Any
STRANGER = Principal(id="22222222-2222-2222-2222-222222222222", name="Stan Stranger")


def body_of(house: House, ref: EndpointRef) -> Json:
    return endpoints.get(house.hub, OWNER, ref).body


def test_a_new_endpoint_has_its_address_and_no_secret_in_it(house: House) -> None:
    ref = house.endpoint("testep123", description="d")
    body = body_of(house, ref)
    properties = body["properties"]
    assert properties["provisioningState"] == "Succeeded"
    assert properties["authMode"] == "Key"
    assert properties["traffic"] == {}
    assert properties["scoringUri"].startswith("https://score.entrepot.invalid/testep123-")
    keys = endpoints.list_keys(house.hub, OWNER, ref)
    assert keys.primary != keys.secondary
    everything = b"".join(document.raw for document in house.hub.documents.scan("").documents)
    for secret in (keys.primary, keys.secondary, keys.signing):
        assert secret not in json.dumps(body)
        assert secret.encode() not in everything


@pytest.mark.parametrize("name", ["ab", "1abc", "a" * 33, "a--b", "a_b", "abc-", "a b", "tåxi"])
def test_names_follow_the_documented_rule(house: House, name: str) -> None:
    with pytest.raises(InvalidName, match="3 to 32 letters, digits and single"):
        house.endpoint(name)
    endpoint = house.endpoint("good")
    with pytest.raises(InvalidName):
        house.deploy(endpoint, name + "-")


@pytest.mark.parametrize(
    ("traffic", "words"),
    [
        ({"blue": 90}, "Traffic must sum to 0 or 100: got 90"),
        ({"blue": 60, "green": 60}, "got 120"),
        ({"blue": 50.5, "green": 49.5}, "whole percentage"),
        ({"blue": -10, "green": 110}, "whole percentage"),
        ({"blue": True}, "whole percentage"),
        ({"red": 100}, "names the deployment 'red', which is not there: there are blue, green"),
        ("blue=100", "must be an object"),
    ],
)
def test_traffic_that_cannot_be_is_told_why(house: House, traffic: Json, words: str) -> None:
    endpoint = house.endpoint()
    for name in ("blue", "green"):
        house.serve(house.deploy(endpoint, name))
    with pytest.raises(InvalidRequest) as told:
        endpoints.patch(house.hub, OWNER, endpoint, {"properties": {"traffic": traffic}})
    assert words in told.value.message


def test_traffic_cannot_come_before_deployments(house: House) -> None:
    with pytest.raises(InvalidRequest, match="the endpoint has none yet"):
        house.endpoint("early", traffic={"blue": 100})
    endpoint = house.endpoint("late")
    blue = house.deploy(endpoint, "blue")
    with pytest.raises(StateConflict, match="Deployment blue is Creating and answers no requests yet"):
        house.traffic(endpoint, blue=100)
    house.serve(blue)
    house.traffic(endpoint, blue=100)
    assert body_of(house, endpoint)["properties"]["traffic"] == {"blue": 100}


def test_a_mirror_is_one_deployment_without_live_traffic(house: House) -> None:
    endpoint = house.endpoint()
    for name in ("blue", "green"):
        house.serve(house.deploy(endpoint, name))
    house.traffic(endpoint, blue=100)

    def mirror(**shares: int) -> None:
        endpoints.patch(house.hub, OWNER, endpoint, {"properties": {"mirrorTraffic": shares}})

    with pytest.raises(InvalidRequest, match="At most 50 %"):
        mirror(green=60)
    with pytest.raises(InvalidRequest, match="blue has 100 % of the live traffic"):
        mirror(blue=10)
    with pytest.raises(InvalidRequest, match="mirrored to one deployment"):
        mirror(blue=10, green=10)
    mirror(green=10)
    with pytest.raises(InvalidRequest, match="cannot be a mirror too"):
        house.traffic(endpoint, blue=50, green=50)
    mirror()
    house.traffic(endpoint, blue=50, green=50)


def test_a_deployment_is_creating_until_all_its_replicas_are_ready(house: House) -> None:
    endpoint = house.endpoint()
    written = deployments.put(
        house.hub, OWNER, DeploymentRef(endpoint, "blue"),
        {"sku": {"capacity": 2}, "properties": house.properties()},
    )  # fmt: skip
    blue = DeploymentRef(endpoint, "blue")
    assert written.is_new
    assert house.state(blue) == "Creating"
    assert body_of(house, endpoint)["properties"]["traffic"] == {"blue": 0}
    house.serve(blue, id="r1")
    house.replica(blue, "r2", "Starting", address="127.0.0.1:9")
    assert house.state(blue) == "Creating"
    told = operations.get(house.hub, OWNER, written.operation).body
    assert told["status"] == "InProgress"
    assert told["properties"]["progress"].startswith("1 of 2 ready; 1 loading the model")
    assert deployments.get(house.hub, OWNER, blue).body["entrepot"]["progress"] == told["properties"]["progress"]
    house.serve(blue, id="r2")
    assert house.state(blue) == "Succeeded"
    assert "progress" not in deployments.get(house.hub, OWNER, blue).body["entrepot"]
    assert operations.get(house.hub, OWNER, written.operation).body["status"] == "Succeeded"


def test_a_replica_that_fails_fails_the_deployment_with_its_words_and_a_new_write_tries_again(house: House) -> None:
    endpoint = house.endpoint()
    blue = DeploymentRef(endpoint, "blue")
    body = {"properties": house.properties()}
    written = deployments.put(house.hub, OWNER, blue, body)
    house.replica(blue, "r1", "Failed", error="score.py: ImportError: no module named nowhere")
    document = deployments.get(house.hub, OWNER, blue).body
    assert document["properties"]["provisioningState"] == "Failed"
    operation = operations.get(house.hub, OWNER, written.operation).body
    assert operation["status"] == "Failed"
    assert "no module named nowhere" in operation["error"]["message"]
    deployments.put(house.hub, OWNER, blue, body)
    again = deployments.get(house.hub, OWNER, blue).body
    assert again["entrepot"]["generation"] == "2"
    assert "error" not in again["entrepot"]


def test_only_what_replicas_are_made_of_begins_a_generation(house: House) -> None:
    endpoint = house.endpoint()
    blue = house.deploy(endpoint, "blue")
    house.serve(blue)

    def generation() -> str:
        found: str = deployments.get(house.hub, OWNER, blue).body["entrepot"]["generation"]
        return found

    house.deploy(endpoint, "blue")
    house.settle()
    assert (generation(), house.state(blue)) == ("1", "Succeeded")
    deployments.patch(house.hub, OWNER, blue, {"sku": {"capacity": 3}, "tags": {"a": "b"}})
    house.settle()
    assert (generation(), house.state(blue)) == ("1", "Updating")
    house.deploy(endpoint, "blue", environmentVariables={"A": "1"})
    house.settle()
    assert (generation(), house.state(blue)) == ("2", "Updating")
    house.serve(blue, id="new")
    assert house.state(blue) == "Succeeded"


def test_lineage_leads_from_the_endpoint_to_a_model_of_a_registry_and_back(house: House) -> None:
    endpoint = house.endpoint()
    blue = house.deploy(endpoint, "blue")
    model = house.parts["model"]
    assert model.startswith("azureml://registries/contoso/models/fares")
    upstream = {(edge.source, edge.relation, edge.target) for edge in lineage.edges(house.hub, OWNER, endpoint.id)}
    assert (endpoint.id, "deployed", blue.id) in upstream
    assert (blue.id, "deployed", model) in upstream
    assert (blue.id, "used", house.parts["environment"]) in upstream
    assert endpoint.id in {edge.source for edge in lineage.edges(house.hub, OWNER, model)}


def test_a_served_model_cannot_be_deleted_until_nothing_serves_it(house: House) -> None:
    endpoint = house.endpoint()
    blue = house.deploy(endpoint, "blue")
    old, new = house.parts["model"], house.model(house.registry, "fares", "2")
    ref = AssetRef(house.registry, MODEL, "fares", "1")
    with pytest.raises(StateConflict) as told:
        catalog.delete(house.hub, OWNER, ref)
    assert blue.id in told.value.message
    house.deploy(endpoint, "blue", model=new)
    catalog.delete(house.hub, OWNER, ref)
    with pytest.raises(StateConflict):
        catalog.delete(house.hub, OWNER, AssetRef(house.registry, MODEL, "fares", "2"))
    deployments.delete(house.hub, OWNER, blue)
    house.settle()
    catalog.delete(house.hub, OWNER, AssetRef(house.registry, MODEL, "fares", "2"))
    assert old != new


def test_a_deployment_with_traffic_is_not_deleted_and_one_without_goes_when_its_replicas_did(house: House) -> None:
    endpoint = house.endpoint()
    blue = house.deploy(endpoint, "blue")
    house.serve(blue)
    house.traffic(endpoint, blue=100)
    with pytest.raises(StateConflict, match="blue has 100 % of the live traffic"):
        deployments.delete(house.hub, OWNER, blue)
    house.traffic(endpoint, blue=0)
    operation = deployments.delete(house.hub, OWNER, blue)
    house.settle()
    assert house.state(blue) == "Deleting"
    house.ended(blue, "r1")
    with pytest.raises(NotFound):
        deployments.get(house.hub, OWNER, blue)
    assert operations.get(house.hub, OWNER, operation).body["status"] == "Succeeded"
    assert body_of(house, endpoint)["properties"]["traffic"] == {}


def test_deleting_an_endpoint_takes_its_deployments_along(house: House) -> None:
    endpoint = house.endpoint()
    blue = house.deploy(endpoint, "blue")
    house.serve(blue)
    house.traffic(endpoint, blue=100)
    operation = endpoints.delete(house.hub, OWNER, endpoint)
    assert operation is not None
    house.settle()
    assert body_of(house, endpoint)["properties"]["provisioningState"] == "Deleting"
    with pytest.raises(StateConflict, match="is being deleted"):
        house.deploy(endpoint, "green")
    house.ended(blue, "r1")
    with pytest.raises(NotFound):
        endpoints.get(house.hub, OWNER, endpoint)
    assert operations.get(house.hub, OWNER, operation).body["status"] == "Succeeded"
    left = [document.key for document in house.hub.documents.scan(endpoint.key).documents]
    assert left == []
    assert endpoints.delete(house.hub, OWNER, house.endpoint("empty")) is None


def test_what_others_do_not_know_of_an_endpoint_they_do_not_take_away(house: House) -> None:
    cors = {"allowOrigins": ["https://app.example.com"]}
    endpoint = house.endpoint("web", cors=cors, sticky={"header": "X-User"})
    endpoints.put(house.hub, OWNER, endpoint, {"properties": {"authMode": "Key", "traffic": {}}, "tags": {"t": "1"}})
    properties = body_of(house, endpoint)["properties"]
    assert properties["cors"] == cors
    assert properties["sticky"] == {"header": "x-user"}
    endpoints.put(house.hub, OWNER, endpoint, {"properties": {"authMode": "Key", "cors": None}})
    assert "cors" not in body_of(house, endpoint)["properties"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"codeConfiguration": None}, "needs codeConfiguration"),
        ({"environmentId": None}, "needs environmentId"),
        ({"codeConfiguration": {"codeId": "code", "scoringScript": "scorer.py"}}, "it has more/util.py, score.py"),
        ({"codeConfiguration": {"codeId": "code"}}, "needs scoringScript"),
        ({"requestSettings": {"requestTimeout": "PT10M"}}, "from 1 ms to 180 s: got 600 s"),
        ({"requestSettings": {"maxConcurrentRequestsPerInstance": 0}}, "must be a number from 1"),
        ({"endpointComputeType": "Mainframe"}, "must be Managed or Kubernetes"),
        ({"scaleSettings": {"scaleType": "TargetUtilization", "minInstances": 3, "maxInstances": 2}}, "minInstances"),
        ({"environmentVariables": {"A": 1}}, "an object with texts"),
        ({"livenessProbe": {"period": "soon"}}, "is not a duration"),
        ({"model": "azureml://registries/contoso/models/nothing/versions/1"}, "nothing:1"),
    ],
)
def test_a_deployment_that_cannot_work_is_refused_in_words_that_help(house: House, change: Json, words: str) -> None:
    endpoint = house.endpoint()
    properties = house.properties()
    if isinstance(change.get("codeConfiguration"), dict):
        change["codeConfiguration"]["codeId"] = house.parts["code"]
    with pytest.raises(EntrepotError) as told:
        deployments.put(house.hub, OWNER, DeploymentRef(endpoint, "blue"), {"properties": {**properties, **change}})
    assert words in told.value.message


def test_an_mlflow_model_needs_neither_code_nor_environment_and_triton_is_not_served(house: House) -> None:
    from entrepot.testing.hub import upload

    endpoint = house.endpoint()
    ref = AssetRef(house.dev, MODEL, "flow", "1")
    uri = upload(house.hub, ref, {"MLmodel": "flavors: {python_function: {env: conda.yaml}}"}, at="m")
    model = catalog.create(house.hub, OWNER, ref, {"modelUri": uri, "modelType": "mlflow_model"})[0].body["id"]
    written = deployments.put(house.hub, OWNER, DeploymentRef(endpoint, "blue"), {"properties": {"model": model}})
    assert written.document.body["entrepot"]["resolved"]["environment"] is None
    triton = house.model(house.dev, "tri", modelType="triton_model")
    with pytest.raises(EntrepotError, match="triton_model is not supported"):
        deployments.put(house.hub, OWNER, DeploymentRef(endpoint, "red"), {"properties": {"model": triton}})


def test_keys_are_replaced_one_by_one(house: House) -> None:
    endpoint = house.endpoint()
    before = endpoints.list_keys(house.hub, OWNER, endpoint)
    endpoints.regenerate_keys(house.hub, OWNER, endpoint, "Primary", None)
    after = endpoints.list_keys(house.hub, OWNER, endpoint)
    assert after.primary != before.primary
    assert after.secondary == before.secondary
    endpoints.regenerate_keys(house.hub, OWNER, endpoint, "Secondary", "a-key-of-my-own-choice")
    assert endpoints.list_keys(house.hub, OWNER, endpoint).secondary == "a-key-of-my-own-choice"
    endpoints.regenerate_keys(house.hub, OWNER, endpoint, "Primary", after.primary)  # as azure-ai-ml asks for a new one
    assert endpoints.list_keys(house.hub, OWNER, endpoint).primary != after.primary
    with pytest.raises(InvalidRequest, match="Primary or Secondary"):
        endpoints.regenerate_keys(house.hub, OWNER, endpoint, "Third", None)
    with pytest.raises(InvalidRequest, match="at least 16 characters"):
        endpoints.regenerate_keys(house.hub, OWNER, endpoint, "Primary", "short")


def test_each_right_is_asked_for_by_name(house: House) -> None:
    endpoint = house.endpoint()
    with pytest.raises(NotFound):
        endpoints.get(house.hub, STRANGER, endpoint)
    assignments.assign(house.hub, OWNER, role="Reader", assignee=STRANGER.id, scope=house.dev.arm_id)
    endpoints.get(house.hub, STRANGER, endpoint)
    refused: list[Callable[[], object]] = [
        lambda: endpoints.list_keys(house.hub, STRANGER, endpoint),
        lambda: endpoints.put(house.hub, STRANGER, endpoint, {}),
        lambda: endpoints.delete(house.hub, STRANGER, endpoint),
        lambda: endpoints.regenerate_keys(house.hub, STRANGER, endpoint, "Primary", None),
    ]
    for act in refused:
        with pytest.raises(AccessDenied, match="onlineEndpoints/"):
            act()
    entries = [entry.body for entry in audit.entries(house.hub)]
    assert [entry["outcome"] for entry in entries if "onlineEndpoints" in entry["action"]].count("denied") == 4
    written = [e for e in entries if e["action"].endswith("onlineEndpoints/write") and e["outcome"] == "allowed"]
    assert written[0]["target"] == endpoint.id


def test_a_token_is_only_for_endpoints_that_take_tokens(house: House) -> None:
    with pytest.raises(StateConflict, match="has the auth mode Key"):
        endpoints.token_secret(house.hub, OWNER, house.endpoint("keyed"))
    document, _ = endpoints.token_secret(house.hub, OWNER, house.endpoint("tokened", authMode="aml_token"))
    assert document.body["properties"]["authMode"] == "AMLToken"


def test_an_endpoint_is_sought_in_its_own_workspace(house: House) -> None:
    house.endpoint("here")
    with pytest.raises(NotFound):
        endpoints.get(house.hub, OWNER, EndpointRef(WorkspaceScope("s1", "Contoso-RG", "elsewhere"), "here"))
