"""What the files of online endpoints and of their deployments may say: Azure's managed schemas, and what is ours."""

from entrepot.client.schemas.assets import CODE, ENVIRONMENT_OR_REFERENCE
from entrepot.client.schemas.checks import (
    Check,
    anything,
    boolean,
    either,
    fields,
    integer,
    items,
    number,
    one_of,
    optional,
    table,
    tags,
    text,
)

_NAMED: dict[str, Check] = {
    "$schema": anything,
    "name": text("taxi-fares"),
    "description": optional(text()),
    "tags": tags(),
    "properties": tags(),
}

_CORS = fields(
    {
        "allow_origins": items(text("https://app.example.com")),
        "allow_methods": items(text("POST")),
        "allow_headers": items(text("content-type")),
        "expose_headers": items(text("x-request-id")),
        "allow_credentials": boolean,
        "max_age": integer,
    },
    required=("allow_origins",),
    what="cors",
)

ONLINE_ENDPOINT = fields(
    {
        **_NAMED,
        "auth_mode": one_of("key", "aml_token", "aad_token"),
        "traffic": table(integer, example="such as {blue: 90, green: 10}"),
        "mirror_traffic": table(integer, example="such as {green: 10}"),
        "identity": anything,
        "location": text("eastus"),
        "public_network_access": text("enabled"),
        "compute": text("azureml:cluster"),
        "cors": optional(_CORS),
        "sticky": optional(fields({"header": text("x-user-id")}, required=("header",), what="sticky")),
    },
    what="an online endpoint",
)

_PROBE = fields(
    {
        "initial_delay": integer,
        "period": integer,
        "timeout": integer,
        "success_threshold": integer,
        "failure_threshold": integer,
        "scheme": text("http"),
        "method": text("GET"),
        "path": text("/health"),
        "port": integer,
    },
    what="a probe",
)

_SCALE = fields(
    {
        "type": one_of("default", "target_utilization"),
        "min_instances": integer,
        "max_instances": integer,
        "target_utilization_percentage": integer,
        "polling_interval": integer,
    },
    what="scale_settings",
)

_REQUESTS = fields(
    {
        "request_timeout_ms": integer,
        "max_concurrent_requests_per_instance": integer,
        "max_queue_wait_ms": integer,
    },
    what="request_settings",
)

_ROLLOUT = fields(
    {
        "steps": items(integer, example="such as [10, 50, 100]"),
        "bake_time": integer,
        "max_error_rate": number,
        "max_p95_ms": number,
        "min_requests": integer,
    },
    required=("steps",),
    what="a rollout",
)

_SERVED: dict[str, Check] = {
    "environment_variables": tags(),
    "instance_count": integer,
    "model_mount_path": text("/var/models"),
    "scoring_path": text("/score"),
    "scoring_port": integer,
    "request_settings": _REQUESTS,
    "liveness_probe": _PROBE,
    "readiness_probe": _PROBE,
}

DEPLOYMENT_TEMPLATE = fields(
    {
        **_NAMED,
        **_SERVED,
        "version": text("1"),
        "display_name": text("Small and plain"),
        "type": text("deployment_template"),
        "deployment_template_type": one_of("Managed", "managed"),
        "stage": text("Development"),
        "environment": text("azureml://registries/contoso/environments/serving/versions/1"),
        "default_instance_type": text("Standard_DS3_v2"),
        "allowed_instance_types": items(text("Standard_DS3_v2"), example="[Standard_DS3_v2, Standard_DS4_v2]"),
        "allowed_environment_variable_overrides": items(text("WORKER_COUNT"), example="[WORKER_COUNT]"),
        "accelerator_maps": items(anything, example="[{accelerator_type: H100_80GB}]"),
    },
    required=("environment",),
    what="a deployment template",
)

_COLLECTED = fields(
    {"name": text("taxi-inputs"), "path": text("azureml://datastores/..."), "version": anything,
     "data_id": text("azureml:taxi-inputs:1")},
    what="data of a collection",
)  # fmt: skip

_COLLECTION = fields(
    {
        "enabled": one_of("true", "false"),
        "data": either(plain=text("azureml:taxi-inputs:1"), nested=_COLLECTED),
        "client_id": text("00000000-0000-0000-0000-000000000000"),
        "sampling_rate": number,
    },
    required=("enabled",),
    what="a collection",
)

_COLLECTOR = fields(
    {
        "collections": table(_COLLECTION, example="such as {request: {enabled: 'True'}}"),
        "rolling_rate": one_of("year", "month", "day", "hour", "minute"),
        "sampling_rate": number,
        "request_logging": fields({"capture_headers": items(text("x-user"))}, what="request_logging"),
    },
    required=("collections",),
    what="data_collector",
)

ONLINE_DEPLOYMENT = fields(
    {
        **_NAMED,
        "endpoint_name": text("taxi-fares"),
        "type": one_of("managed", "kubernetes"),
        "model": either(plain=text("azureml:taxi-model:1"), nested=anything),
        "code_configuration": fields(
            {"code": CODE, "scoring_script": text("score.py")},
            required=("code", "scoring_script"),
            what="code_configuration",
        ),
        "environment": ENVIRONMENT_OR_REFERENCE,
        "instance_type": text("Standard_DS3_v2"),
        **_SERVED,
        "scale_settings": _SCALE,
        "app_insights_enabled": boolean,
        "egress_public_network_access": text("enabled"),
        "data_collector": optional(_COLLECTOR),
        "inference_server": one_of("entrepot", "azmlinfsrv"),
        "rollout": optional(_ROLLOUT),
    },
    required=("endpoint_name",),
    what="an online deployment",
)
