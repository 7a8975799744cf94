"""What the files of batch endpoints, of their deployments and of invocations may say."""

from entrepot.client.files import Place
from entrepot.client.schemas.assets import CODE, ENVIRONMENT_OR_REFERENCE, RESOURCES
from entrepot.client.schemas.checks import (
    Check,
    Json,
    Reading,
    anything,
    boolean,
    either,
    fields,
    integer,
    one_of,
    optional,
    tags,
    text,
)
from entrepot.client.schemas.jobs import JOB_FIELDS

_NAMED: dict[str, Check] = {
    "$schema": anything,
    "name": text("taxi-batch"),
    "description": optional(text()),
    "tags": tags(),
    "properties": tags(),
}

BATCH_ENDPOINT = fields(
    {
        **_NAMED,
        "auth_mode": one_of("aad_token"),
        "defaults": fields({"deployment_name": text("blue")}),
        "location": text("eastus"),
        "identity": anything,
    },
    what="a batch endpoint",
)

_RETRIES = fields({"max_retries": integer, "timeout": integer})

SETTINGS: dict[str, Check] = {
    "mini_batch_size": integer,
    "instance_count": integer,
    "max_concurrency_per_instance": integer,
    "output_action": one_of("append_row", "summary_only"),
    "output_file_name": text("predictions.csv"),
    "error_threshold": integer,
    "retry_settings": _RETRIES,
    "logging_level": one_of("debug", "info", "warning"),
    "environment_variables": tags(),
}
"""Of a model deployment; they may stand at the root of its file as well."""

INVOCATION = fields(
    {
        "$schema": anything,
        "inputs": JOB_FIELDS["inputs"],
        "outputs": JOB_FIELDS["outputs"],
        "job_name": text("my-scoring-1"),
        "display_name": text("Score the trips"),
        "experiment_name": text("scoring"),
        "tags": tags(),
        "properties": tags(),
        **{name: check for name, check in SETTINGS.items() if name not in ("output_action", "environment_variables")},
    },
    what="an invocation",
)

_MODEL = fields(
    {
        **_NAMED,
        "endpoint_name": text("taxi-batch"),
        "type": one_of("model"),
        "model": either(plain=text("azureml:taxi-model:1"), nested=anything),
        "code_configuration": fields(
            {"code": CODE, "scoring_script": text("score.py")},
            required=("code", "scoring_script"),
            what="code_configuration",
        ),
        "environment": ENVIRONMENT_OR_REFERENCE,
        "compute": text("azureml:cpu-cluster"),
        "resources": RESOURCES,
        "settings": fields(SETTINGS, what="the settings"),
        **SETTINGS,
    },
    required=("endpoint_name", "model"),
    what="a batch deployment",
)

_PIPELINE = fields(
    {
        **_NAMED,
        "endpoint_name": text("taxi-batch"),
        "type": one_of("pipeline"),
        "component": either(plain=text("azureml:my_pipeline:1"), nested=anything),
        "job_definition": anything,
        "settings": fields(
            {
                "default_compute": text("azureml:cpu-cluster"),
                "default_datastore": text("azureml:workspaceblobstore"),
                "continue_on_step_failure": boolean,
                "force_rerun": boolean,
            }
        ),
    },
    required=("endpoint_name", "component"),
    what="a batch deployment of a pipeline",
)


def batch_deployment(reading: Reading, place: Place, value: Json) -> Json:
    """Accept a deployment of a model, or with `type: pipeline` of a pipeline component."""
    kind = value.get("type") if isinstance(value, dict) else None
    is_pipeline = str(kind or "").lower() == "pipeline" or (kind is None and "component" in value)
    return (_PIPELINE if is_pipeline else _MODEL)(reading, place, value)
