"""Deployment templates as users of azure-ai-ml publish them, and a model that is served as its template says."""

import json
import os
import ssl
import urllib.request

from azure.ai.ml import load_deployment_template, load_model
from azure.ai.ml.entities import (
    CodeConfiguration,
    DeploymentTemplate,
    ManagedOnlineDeployment,
    ManagedOnlineEndpoint,
    Model,
    OnlineRequestSettings,
)
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from checks import SUFFIX, home, refused, registry, run, same, scratch

ML = home("templates")
SHARED = registry(ML, "templates")
REGISTRY = f"templates{SUFFIX}"
WORK = scratch()
BOUND, OVERRIDE = "azureml.deploymentTemplate", "azureml.deploymentTemplateOverride"
YAML = """
$schema: https://azuremlschemas.azureedge.net/latest/deploymentTemplate.schema.json
name: fares
version: {version}
description: How the fares are served
tags: {{team: fares}}
type: deployment_template
deployment_template_type: Managed
environment: {environment}
environment_variables: {{GREETING: hello}}
default_instance_type: Standard_DS3_v2
allowed_instance_types: [Standard_DS3_v2, Standard_DS4_v2]
instance_count: 1
model_mount_path: /var/azureml-app
scoring_path: /v1/fares
scoring_port: 5001
request_settings: {{request_timeout_ms: 90000, max_concurrent_requests_per_instance: 4}}
liveness_probe: {{initial_delay: 1, period: 90, timeout: 2, failure_threshold: 5, path: /, port: 5001, scheme: http,
  method: GET}}
readiness_probe: {{initial_delay: 1, period: 1, timeout: 2}}
"""
SCRIPT = """
import json, os
def init():
    pass
def run(raw):
    return {"greeting": os.environ["GREETING"], "sum": sum(json.loads(raw)["data"])}
"""
ENVIRONMENT = f"azureml://registries/{REGISTRY}/environments/plain/versions/1"


def template(version: int) -> DeploymentTemplate:
    file = WORK / f"template-{version}.yml"
    file.write_text(YAML.format(version=version, environment=ENVIRONMENT))
    return load_deployment_template(file)


def template_id(version: int, name: str = "fares") -> str:
    return f"azureml://registries/{REGISTRY}/deploymenttemplates/{name}/versions/{version}"


def check_a_template_is_published_and_comes_back() -> None:
    made = SHARED.deployment_templates.create_or_update(template(1))
    same((made.id, made.name, made.version, made.stage), (template_id(1), "fares", "1", "Development"))
    got = SHARED.deployment_templates.get("fares", "1")
    same(got.environment, ENVIRONMENT)
    same((got.description, got.tags), ("How the fares are served", {"team": "fares"}))
    same(got.environment_variables, {"GREETING": "hello"})
    same(got.allowed_instance_types, ["Standard_DS3_v2", "Standard_DS4_v2"])
    same((got.default_instance_type, got.instance_count), ("Standard_DS3_v2", 1))
    same((got.scoring_path, got.scoring_port, got.model_mount_path), ("/v1/fares", 5001, "/var/azureml-app"))
    same((got.request_settings.request_timeout_ms, got.request_settings.max_concurrent_requests_per_instance),
         (90000, 4))  # fmt: skip
    same((got.liveness_probe.period, got.liveness_probe.path, got.liveness_probe.method), (90, "/", "GET"))
    assert got.creation_context.created_by and got.creation_context.created_at
    SHARED.deployment_templates.create_or_update(template(1))  # the same again
    same(SHARED.deployment_templates.create_or_update(got).version, "1")  # and what was read


def check_other_content_needs_another_version() -> None:
    changed = template(1)
    changed.instance_count = 3
    with refused(HttpResponseError, "instance_count is 1 there and 3 here"):
        SHARED.deployment_templates.create_or_update(changed)
    inline = DeploymentTemplate(name="inline", version="1", environment="azureml:nobody:1", instance_count=1)
    with refused(HttpResponseError, "that is not there"):
        SHARED.deployment_templates.create_or_update(inline)


def check_latest_lists_and_stages() -> None:
    SHARED.deployment_templates.create_or_update(template(2))
    same(SHARED.deployment_templates.get("fares").version, "2")
    same(SHARED.deployment_templates.get("fares", label="latest").version, "2")
    same(sorted(each.version for each in SHARED.deployment_templates.list()), ["1", "2"])
    same([each.version for each in SHARED.deployment_templates.list(name="fares", count=1)], ["2"])
    same(SHARED.deployment_templates.archive("fares", "2").stage, "Archived")
    same([each.version for each in SHARED.deployment_templates.list(name="fares")], ["1"])
    same([each.version for each in SHARED.deployment_templates.list(list_view_type="ArchivedOnly")], ["2"])
    same(SHARED.deployment_templates.get("fares").version, "1")
    same(SHARED.deployment_templates.restore("fares", "2").stage, "Development")
    same(sorted(each.version for each in SHARED.deployment_templates.list(name="fares")), ["1", "2"])
    with refused(ResourceNotFoundError):
        SHARED.deployment_templates.get("fares", "9")
    with refused(ResourceNotFoundError):
        SHARED.deployment_templates.get("nobody")


def check_an_unused_template_is_deleted() -> None:
    SHARED.deployment_templates.create_or_update(template(3))
    SHARED.deployment_templates.delete("fares", "3")
    with refused(ResourceNotFoundError):
        SHARED.deployment_templates.get("fares", "3")


def model(version: int, **more: str) -> Model:
    folder = WORK / "model"
    folder.mkdir(exist_ok=True)
    (folder / "weights.txt").write_text("1")
    file = WORK / f"model-{version}.yml"
    file.write_text(
        f"name: taxi\nversion: {version}\npath: ./model\ntype: custom_model\n"
        f"default_deployment_template: {{asset_id: {template_id(1)}}}\n"
        f"allowed_deployment_templates: [{{asset_id: {template_id(2)}}}]\n"
        + (f"properties: {json.dumps(more)}\n" if more else "")
    )
    return load_model(file)


def check_a_model_keeps_its_templates() -> None:
    made = SHARED.models.create_or_update(model(1))
    same(made.default_deployment_template.asset_id, template_id(1))
    got = SHARED.models.get("taxi", "1")
    same([each.asset_id for each in got.allowed_deployment_templates], [template_id(2)])
    with refused(HttpResponseError, "is used by"):
        SHARED.deployment_templates.delete("fares", "1")


def deployment(endpoint: str, version: int, **more: object) -> ManagedOnlineDeployment:
    code = WORK / "score"
    code.mkdir(exist_ok=True)
    (code / "score.py").write_text(SCRIPT)
    configuration = CodeConfiguration(code=str(code), scoring_script="score.py")
    served = f"azureml://registries/{REGISTRY}/models/taxi/versions/{version}"
    return ManagedOnlineDeployment(
        name="blue", endpoint_name=endpoint, model=served, code_configuration=configuration, **more
    )


def check_a_model_is_served_as_its_template_says() -> None:
    name = f"taxi-{SUFFIX}"
    ML.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=name)).result()
    made = ML.online_deployments.begin_create_or_update(deployment(name, 1)).result()
    same((made.instance_type, made.instance_count), ("Standard_DS3_v2", 1))
    same(made.properties[BOUND], template_id(1))
    same(made.environment, ENVIRONMENT)
    same(made.request_settings.request_timeout_ms, 90000)
    request = WORK / "request.json"
    request.write_text('{"data": [1, 2]}')
    answer = ML.online_endpoints.invoke(name, deployment_name="blue", request_file=str(request))
    same(json.loads(answer), {"greeting": "hello", "sum": 3})
    endpoint = ML.online_endpoints.get(name)
    endpoint.traffic = {"blue": 100}
    ML.online_endpoints.begin_create_or_update(endpoint).result()
    same(_scored(name, "/v1/fares"), {"greeting": "hello", "sum": 3})
    with refused(HttpResponseError, "instance_count is 5", "allows 1 at most"):
        more = ML.online_deployments.get("blue", name)
        more.instance_count = 5
        ML.online_deployments.begin_create_or_update(more).result()
    with refused(HttpResponseError, "instance_type is 'Standard_NC6'", "allows Standard_DS3_v2, Standard_DS4_v2"):
        ML.online_deployments.begin_create_or_update(deployment(name, 1, instance_type="Standard_NC6")).result()
    ML.online_endpoints.begin_delete(name).result()


def check_a_model_that_enforces_refuses_other_settings() -> None:
    SHARED.models.create_or_update(model(2, **{"entrepot.enforce": "true"}))
    same(SHARED.models.get("taxi", "2").properties["entrepot.enforce"], "true")
    name = f"strict-{SUFFIX}"
    ML.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=name)).result()
    own = SHARED.environments.get("plain", "1")
    own.version = "2"
    own.image = "python:3.12-slim"
    SHARED.environments.create_or_update(own)
    other = f"azureml://registries/{REGISTRY}/environments/plain/versions/2"
    with refused(HttpResponseError, "environment is", "entrepot.enforce"):
        ML.online_deployments.begin_create_or_update(deployment(name, 2, environment=other)).result()
    settings = OnlineRequestSettings(request_timeout_ms=100000)
    with refused(HttpResponseError, "request_timeout_ms is 100000"):
        ML.online_deployments.begin_create_or_update(deployment(name, 2, request_settings=settings)).result()
    chosen = deployment(name, 2, properties={OVERRIDE: template_id(2)})
    same(ML.online_deployments.begin_create_or_update(chosen).result().properties[BOUND], template_id(2))
    ML.online_endpoints.begin_delete(name).result()


def _scored(name: str, path: str) -> object:
    """Score at a path of the endpoint's own."""
    uri = ML.online_endpoints.get(name).scoring_uri.removesuffix("/score") + path
    key = ML.online_endpoints.get_keys(name).primary_key
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    context = ssl.create_default_context(cafile=os.environ["REQUESTS_CA_BUNDLE"])
    request = urllib.request.Request(uri, b'{"data": [1, 2]}', headers)
    handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)]
    with urllib.request.build_opener(*handlers).open(request, timeout=60) as answer:
        return json.loads(answer.read())


if __name__ == "__main__":
    run(globals())
