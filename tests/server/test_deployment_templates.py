"""Deployment templates over HTTP: the calls and shapes of azure-ai-ml's asset service, with the rules of all assets."""

from collections.abc import Mapping
from typing import Any

import pytest

from entrepot.testing.live import LiveServer, Reply

Json = Any

ENVIRONMENT = "azureml://registries/contoso/environments/plain/versions/1"
SERVICE = "/regions/eastus.api.azureml.ms/genericasset/v2.0"


@pytest.fixture(autouse=True)
def environment(server: LiveServer, provider: str) -> None:
    """An environment in the registry."""
    body = {"properties": {"image": "docker.io/python:3.11"}}
    made = server.call("PUT", f"{provider}/registries/contoso/environments/plain/versions/1", body)
    assert made.status in (200, 201), made.body


def _template(**more: Json) -> dict[str, Json]:
    """A template as azure-ai-ml 1.35 sends it."""
    return {
        "type": "deploymenttemplates", "deploymentTemplateType": "Managed", "environmentId": ENVIRONMENT,
        "allowedInstanceTypes": ["Standard_DS3_v2"], "allowedInstanceType": ["Standard_DS3_v2"],
        "defaultInstanceType": "Standard_DS3_v2", "instanceCount": 1, "scoringPort": 5001, "scoringPath": "/score",
        "requestSettings": {"requestTimeout": "PT90S", "maxConcurrentRequestsPerInstance": 4},
        "livenessProbe": {"period": "PT5S", "httpMethod": "GET", "path": "/", "port": 5001, "scheme": "http"},
        "environmentVariables": {"A": "1"}, **more,
    }  # fmt: skip


def _create(server: LiveServer, provider: str, name: str, version: str, body: Mapping[str, Json]) -> Reply:
    sent = {"name": name, "version": version, **body}
    return server.call("POST", f"{SERVICE}{provider}/registries/contoso/deploymenttemplates/{name}/versions/{version}",
                       sent)  # fmt: skip


def _listed(server: LiveServer, provider: str, query: str = "") -> list[str]:
    answer = server.call("GET", f"{SERVICE}{provider}/registries/contoso/deploymenttemplates?{query}")
    assert answer.status == 200, answer.body
    return [f"{item['name']}:{item['version']}" for item in answer.json["value"]]


def test_a_template_is_created_read_and_created_again(server: LiveServer, provider: str) -> None:
    made = _create(server, provider, "one", "1", _template(tags={"a": "b"}, futureField={"x": 1}))
    assert made.status == 200, made.body
    got = server.call("GET", f"{SERVICE}{provider}/registries/contoso/deploymenttemplates/one/versions/1").json
    assert got["id"] == "azureml://registries/contoso/deploymenttemplates/one/versions/1"
    assert got["allowedInstanceType"] == ["Standard_DS3_v2"]
    assert got["stage"] == "Development"
    assert got["tags"] == {"a": "b"}
    assert got["futureField"] == {"x": 1}
    again = dict(got) | {"requestSettings": {"requestTimeout": "PT1M30S", "maxConcurrentRequestsPerInstance": 4}}
    repeated = _create(server, provider, "one", "1", again)
    assert repeated.status == 200, repeated.body
    assert repeated.json["systemData"]["createdAt"] == got["systemData"]["createdAt"]


def test_other_content_under_the_same_version_is_a_conflict_that_names_the_field(
    server: LiveServer, provider: str
) -> None:
    assert _create(server, provider, "fixed", "1", _template()).status == 200
    refused = _create(server, provider, "fixed", "1", _template(instanceCount=2))
    assert refused.status == 409
    assert "instance_count is 1 there and 2 here" in refused.json["error"]["message"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"environmentId": None}, "environmentId is missing"),
        ({"environmentId": "azureml://registries/contoso/environments/none/versions/1"}, "that is not there"),
        ({"environmentId": "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.MachineLearningServices"
                           "/workspaces/dev/environments/e/versions/1"}, "must be the id of a registry's environment"),
        ({"environmentId": "image: python"}, "must be the id of a registry's environment"),
        ({"defaultInstanceType": "Standard_NC6"}, "it must be one of those allowed: Standard_DS3_v2"),
        ({"deploymentTemplateType": "Kubernetes"}, "Managed is the only type"),
        ({"instanceCount": 0}, "from 1 to"),
        ({"scoringPort": 70000}, "from 1 to 65535"),
        ({"scoringPath": "score"}, "a path such as /score"),
        ({"scoringPath": "/a?b={c}"}, "a path such as /score"),
        ({"modelMountPath": "models"}, "an absolute path"),
        ({"requestSettings": {"requestTimeout": "PT1H"}}, "requestTimeout must be"),
        ({"livenessProbe": {"period": "often"}}, "is not a duration"),
        ({"environmentVariables": ["A"]}, "an object is needed"),
        ({"allowedInstanceType": "Standard_DS3_v2", "allowedInstanceTypes": None}, "a list of texts is needed"),
    ],
)  # fmt: skip
def test_a_template_that_no_deployment_could_use_is_refused(
    server: LiveServer, provider: str, change: dict[str, Json], words: str
) -> None:
    refused = _create(server, provider, "wrong", "1", _template(**change))
    assert refused.status in (400, 404), refused.body
    assert words in refused.json["error"]["message"]


def test_an_environment_without_version_is_pinned(server: LiveServer, provider: str) -> None:
    sent = _template(environmentId="azureml://registries/contoso/environments/plain/labels/latest")
    assert _create(server, provider, "pinned", "1", sent).json["environmentId"] == ENVIRONMENT


def test_a_stage_archives_and_restores_and_lists_follow(server: LiveServer, provider: str) -> None:
    for version in ("1", "2"):
        assert _create(server, provider, "staged", version, _template()).status == 200
    assert _listed(server, provider, "name=staged") == ["staged:2", "staged:1"]
    assert _create(server, provider, "staged", "1", _template(stage="Archived")).json["stage"] == "Archived"
    assert _listed(server, provider, "name=staged&listViewType=ActiveOnly") == ["staged:2"]
    assert _listed(server, provider, "name=staged&listViewType=ArchivedOnly") == ["staged:1"]
    assert _listed(server, provider, "name=staged&stage=Archived") == ["staged:1"]
    assert _listed(server, provider, "name=staged&listViewType=All") == ["staged:2", "staged:1"]
    assert _create(server, provider, "staged", "1", _template()).json["stage"] == "Archived"  # says nothing of a stage
    assert _create(server, provider, "staged", "1", _template(stage="Development")).json["stage"] == "Development"
    assert _listed(server, provider, "name=staged") == ["staged:2", "staged:1"]


def test_a_list_is_of_all_names_and_count_is_its_most(server: LiveServer, provider: str) -> None:
    for name in ("listed-a", "listed-b"):
        assert _create(server, provider, name, "1", _template(tags={"family": "listed"})).status == 200
    assert {"listed-a:1", "listed-b:1"} <= set(_listed(server, provider))
    assert sorted(_listed(server, provider, "tags=family=listed")) == ["listed-a:1", "listed-b:1"]
    answer = server.call("GET", f"{SERVICE}{provider}/registries/contoso/deploymenttemplates?count=1").json
    assert len(answer["value"]) == 1
    assert "nextLink" not in answer


def test_latest_is_the_newest_version(server: LiveServer, provider: str) -> None:
    for version in ("1", "beta"):
        assert _create(server, provider, "labelled", version, _template()).status == 200
    path = f"{SERVICE}{provider}/registries/contoso/deploymenttemplates/labelled/labels/latest"
    assert server.call("GET", path).json["version"] == "beta"


def test_what_a_model_names_cannot_be_deleted_and_all_else_can(server: LiveServer, provider: str) -> None:
    made = [_create(server, provider, "kept", version, _template()).json for version in ("1", "2")]
    path = f"{provider}/registries/contoso/models/templated"
    reference = {"assetId": made[0]["id"]}
    missing = {"assetId": "azureml://registries/contoso/deploymenttemplates/none/versions/1"}
    folder = _uploaded(server, provider, "templated")
    properties = {"modelType": "custom_model", "modelUri": folder, "defaultDeploymentTemplate": reference}
    wrong = {**properties, "allowedDeploymentTemplates": [missing]}
    refused = server.call("PUT", f"{path}/versions/1", {"properties": wrong}, secure=True)
    assert refused.status == 404
    assert "allowedDeploymentTemplates[0]" in refused.json["error"]["message"]
    created = server.call("PUT", f"{path}/versions/1", {"properties": properties}, secure=True)
    assert created.status == 201, created.body
    assert created.json["properties"]["defaultDeploymentTemplate"] == reference
    template = f"{SERVICE}{provider}/registries/contoso/deploymenttemplates/kept/versions"
    in_use = server.call("DELETE", f"{template}/1")
    assert in_use.status == 409
    assert "models/templated/versions/1" in in_use.json["error"]["message"]
    moved = {"defaultDeploymentTemplate": {"assetId": made[1]["id"]}}  # as Azure: no new version of the model
    patched = server.call("PATCH", f"{path}/versions/1", {"properties": moved})
    assert patched.status == 200, patched.body
    assert server.call("DELETE", f"{template}/2").status == 409
    unused = _create(server, provider, "kept", "3", _template())
    assert unused.status == 200
    assert server.call("DELETE", f"{template}/3").status == 204
    assert server.call("GET", f"{template}/3").status == 404


def _uploaded(server: LiveServer, provider: str, name: str) -> str:
    """Upload a file and return the address of its folder."""
    from tests.server.test_asset_routes import _upload

    return _upload(server, provider, "registries/contoso", plural="models", name=name)


def test_arms_own_routes_answer_too_and_workspaces_have_none(server: LiveServer, provider: str) -> None:
    assert _create(server, provider, "arm", "1", _template()).status == 200
    found = server.call("GET", f"{provider}/registries/contoso/deploymenttemplates/arm/versions/1").json
    assert found["properties"]["environmentId"] == ENVIRONMENT
    assert found["type"] == "Microsoft.MachineLearningServices/registries/deploymenttemplates/versions"
    refused = server.call("GET", f"{provider}/workspaces/dev/deploymenttemplates")
    assert refused.status == 404
    assert "not supported by this server" in refused.json["error"]["message"]


def test_discovery_leads_the_client_back_here(server: LiveServer) -> None:
    path = "/registrymanagement/v1.0/registries/contoso/discovery"
    region = server.call("GET", path, secure=True).json["primaryRegion"]
    assert region == f"{server.file.https_url.partition('://')[2]}/regions/eastus"
    assert server.call("GET", path).json["primaryRegion"] == "eastus"
