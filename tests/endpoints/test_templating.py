"""Deployment templates and deployments: what is filled in, what overrides it, and limits that hold."""

from collections.abc import Mapping
from typing import Any

import pytest

from entrepot.core.errors import (
    EntrepotError,
    InvalidReference,
    InvalidRequest,
    NotFound,
    StateConflict,
    TemplateLimitExceeded,
)
from entrepot.core.ids import AssetRef
from entrepot.core.nouns import DEPLOYMENT_TEMPLATE, ENVIRONMENT
from entrepot.domain import lineage
from entrepot.domain.assets import catalog
from entrepot.domain.endpoints import deployments, routing
from entrepot.domain.endpoints.places import DeploymentRef, EndpointRef
from entrepot.testing.hub import OWNER
from tests.endpoints.house import House

Json = Any
BOUND, OVERRIDE = "azureml.deploymentTemplate", "azureml.deploymentTemplateOverride"


def _template(house: House, name: str = "small", version: str = "1", **more: Json) -> str:
    """Publish a template and return its id."""
    properties = {
        "environmentId": house.properties()["environmentId"], "allowedInstanceType": ["Small", "Large"],
        "defaultInstanceType": "Small", "instanceCount": 2, "modelMountPath": "/var/models",
        "scoringPath": "/v1/fares", "scoringPort": 5001, "environmentVariables": {"A": "1", "B": "2"},
        "requestSettings": {"requestTimeout": "PT30S", "maxConcurrentRequestsPerInstance": 4},
        "livenessProbe": {"period": "PT7S", "path": "/health"}, **more,
    }  # fmt: skip
    ref = AssetRef(house.registry, DEPLOYMENT_TEMPLATE, name, version)
    return str(catalog.create(house.hub, OWNER, ref, properties)[0].body["id"])


def _model(
    house: House, name: str, default: str = "", *allowed: str, enforced: bool = False, version: str = "1"
) -> str:
    more: dict[str, Json] = {"defaultDeploymentTemplate": {"assetId": default}} if default else {}
    more["allowedDeploymentTemplates"] = [{"assetId": id} for id in allowed]
    if enforced:
        more["properties"] = {"entrepot.enforce": "true"}
    return house.model(house.registry, name, version, **more)


def _put(
    house: House, endpoint: EndpointRef, model: str, *, instances: int | None = None, override: str = "", **more: Json
) -> Mapping[str, Json]:
    """Deploy a model with its script and nothing else that a template knows."""
    given = {name: value for name, value in house.properties(model=model).items() if name != "environmentId"} | more
    if override:
        given["properties"] = {OVERRIDE: override}
    ref = DeploymentRef(endpoint, "blue")
    body: dict[str, Json] = {"properties": given, "sku": {"name": "Default", "capacity": instances}}
    return deployments.put(house.hub, OWNER, ref, body).document.body


def test_a_deployment_takes_from_its_models_template_what_it_does_not_say(house: House) -> None:
    template = _template(house)
    endpoint = house.endpoint()
    body = _put(house, endpoint, _model(house, "m", template), environmentVariables={"B": "3", "C": "4"})
    properties = body["properties"]
    assert properties["environmentId"] == house.properties()["environmentId"]
    assert properties["instanceType"] == "Small"
    assert body["sku"]["capacity"] == 2
    assert properties["modelMountPath"] == "/var/models"
    assert (properties["scoringPath"], properties["scoringPort"]) == ("/v1/fares", 5001)
    assert properties["environmentVariables"] == {"A": "1", "B": "3", "C": "4"}
    assert properties["requestSettings"] == {
        "requestTimeout": "PT30S", "maxConcurrentRequestsPerInstance": 4, "maxQueueWait": "PT0.5S",
    }  # fmt: skip
    assert properties["livenessProbe"]["period"] == "PT7S"
    assert properties["properties"][BOUND] == template
    route = routing.read_all(house.hub)[0].deployments[0]
    assert route.scoring_path == "v1/fares"
    assert route.timeout_s == 30


def test_a_deployment_is_bound_to_a_version_and_keeps_it_from_deletion(house: House) -> None:
    template = _template(house)
    endpoint = house.endpoint()
    body = _put(house, endpoint, house.model(house.registry, "plain"), override=template)
    assert template in {link.target for link in house.hub.documents.links(body["id"], relation=lineage.USED)}
    with pytest.raises(StateConflict, match="is used by"):
        catalog.delete(house.hub, OWNER, AssetRef(house.registry, DEPLOYMENT_TEMPLATE, "small", "1"))
    _template(house, version="2", instanceCount=1)
    assert (
        deployments.get(house.hub, OWNER, DeploymentRef(endpoint, "blue"))
        .body["properties"]["properties"][BOUND]
        .endswith("/versions/1")
    )


def test_an_override_takes_the_place_of_the_models_template(house: House) -> None:
    other = _template(house, "other", defaultInstanceType="Large", allowedInstanceType=["Large"])
    body = _put(house, house.endpoint(), _model(house, "m", _template(house)), override=other)
    assert body["properties"]["instanceType"] == "Large"
    assert body["properties"]["properties"][BOUND] == other


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"instanceType": "Huge"}, "instance_type is 'Huge'.* allows Small, Large"),
        ({"instances": 3}, "instance_count is 3.* allows 2 at most"),
        ({"scaleSettings": {"scaleType": "TargetUtilization", "minInstances": 0, "maxInstances": 5}},
         "max_instances is 5.* allows 2 at most"),
        ({"requestSettings": {"requestTimeout": "PT31S"}}, "request_timeout_ms is 31000.* allows 30000 at most"),
        ({"requestSettings": {"maxConcurrentRequestsPerInstance": 5}}, "per_instance is 5.* allows 4 at most"),
        ({"environmentVariables": {"B": "3"}}, "environment_variables.B is '3'.* lets A be replaced"),
    ],
)  # fmt: skip
def test_the_limits_of_a_template_hold_for_everybody(house: House, more: dict[str, Json], words: str) -> None:
    template = _template(house, allowedEnvironmentVariableOverrides=["A"])
    endpoint = house.endpoint()
    model = _model(house, "m", template)
    with pytest.raises(TemplateLimitExceeded, match=words):
        _put(house, endpoint, model, **more)
    assert _put(house, endpoint, model, instanceType="large", instances=1, environmentVariables={"A": "9"})
    with pytest.raises(TemplateLimitExceeded, match="allows 2 at most"):
        deployments.patch(house.hub, OWNER, DeploymentRef(endpoint, "blue"), {"sku": {"capacity": 3}})


def test_without_enforcement_a_deployment_may_have_its_own_environment(house: House) -> None:
    template = _template(house)
    other = _environment(house, "2")
    body = _put(house, house.endpoint(), _model(house, "m", template), environmentId=other)
    assert body["properties"]["environmentId"] == other


def _environment(house: House, version: str) -> str:
    ref = AssetRef(house.registry, ENVIRONMENT, "environment", version)
    return str(catalog.create(house.hub, OWNER, ref, {"image": "docker.io/python:3.12"})[0].body["id"])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"environmentId": True}, "environment is .* sets .*entrepot.enforce"),
        ({"modelMountPath": "/elsewhere"}, "modelMountPath is '/elsewhere'"),
        ({"livenessProbe": {"period": "PT9S"}}, "livenessProbe is"),
        ({"environmentVariables": {"A": "9"}}, "lets none of its variables be replaced"),
        ({"override": True}, "allows only .*small.*entrepot.enforce"),
    ],
)
def test_a_model_that_enforces_is_served_as_its_templates_say(house: House, more: dict[str, Json], words: str) -> None:
    template = _template(house)
    if "environmentId" in more:
        more = {"environmentId": _environment(house, "2")}
    if "override" in more:
        more = {"override": _template(house, "other")}
    endpoint = house.endpoint()
    model = _model(house, "strict", template, enforced=True)
    with pytest.raises(TemplateLimitExceeded, match=words):
        _put(house, endpoint, model, **more)
    assert _put(house, endpoint, model, environmentVariables={"A": "1", "NEW": "1"}, livenessProbe={"period": "PT7S"})


def test_a_model_that_enforces_needs_one_of_its_templates(house: House) -> None:
    template = _template(house)
    endpoint = house.endpoint()
    model = _model(house, "listed", "", template, enforced=True)
    with pytest.raises(TemplateLimitExceeded, match=r"name one of .*small/versions/1.*deploymentTemplateOverride"):
        _put(house, endpoint, model, environmentId=house.properties()["environmentId"])
    assert _put(house, endpoint, model, override=template)["properties"]["properties"][BOUND] == template


def test_what_a_client_was_shown_does_not_hold_against_the_next_models_template(house: House) -> None:
    endpoint = house.endpoint()
    first = _put(house, endpoint, _model(house, "m", _template(house)), environmentVariables={"MINE": "1"})
    newer = _template(
        house, version="2", environmentId=_environment(house, "2"), environmentVariables={"A": "10"}, instanceCount=1,
        requestSettings={"requestTimeout": "PT1M30S"}, defaultInstanceType="Large", allowedInstanceType=["Large"],
    )  # fmt: skip
    shown = {**first["properties"], "model": _model(house, "m", newer, version="2")}
    sent = {"properties": shown, "sku": first["sku"]}
    body = deployments.put(house.hub, OWNER, DeploymentRef(endpoint, "blue"), sent).document.body
    properties = body["properties"]
    assert properties["environmentId"].endswith("environment/versions/2")
    assert properties["environmentVariables"] == {"A": "10", "MINE": "1"}
    assert properties["requestSettings"]["requestTimeout"] == "PT1M30S"
    assert properties["requestSettings"]["maxConcurrentRequestsPerInstance"] == 1
    assert properties["instanceType"] == "Large"
    assert body["sku"]["capacity"] == 1
    assert properties["properties"][BOUND] == newer


def test_a_change_of_what_a_deployment_said_itself_is_kept(house: House) -> None:
    endpoint = house.endpoint()
    body = _put(house, endpoint, _model(house, "m", _template(house)), instances=1, instanceType="Large")
    ref = DeploymentRef(endpoint, "blue")
    for _ in range(2):
        sent = {"properties": body["properties"], "sku": body["sku"], "tags": {"a": "b"}}
        body = deployments.put(house.hub, OWNER, ref, sent).document.body
        assert (body["sku"]["capacity"], body["properties"]["instanceType"]) == (1, "Large")
        assert body["entrepot"]["generation"] == "1"  # the same replicas: nothing changed for them


@pytest.mark.parametrize(
    ("override", "error"),
    [
        ("azureml://registries/contoso/deploymenttemplates/none/versions/1", NotFound),
        ("azureml:none:1", NotFound),
        ("azureml://registries/contoso/models/fares/versions/1", InvalidReference),
    ],
)
def test_an_override_that_names_no_template_is_told(house: House, override: str, error: type[EntrepotError]) -> None:
    with pytest.raises(error, match="deploymentTemplateOverride"):
        _put(house, house.endpoint(), house.model(house.registry, "plain"), override=override)


def test_a_scoring_path_that_no_gateway_could_route_is_refused(house: House) -> None:
    with pytest.raises(InvalidRequest, match="scoringPath is '/a b'"):
        house.deploy(house.endpoint(), "blue", scoringPath="/a b")
