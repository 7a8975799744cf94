"""What the files of models, environments, components and data assets may say."""

from entrepot.client.schemas.checks import (
    Check,
    Json,
    Reading,
    anything,
    boolean,
    either,
    fields,
    integer,
    items,
    literal,
    number,
    one_of,
    optional,
    reference_or_path,
    table,
    tags,
    text,
)

NAME_RULE = r"[A-Za-z_][A-Za-z0-9_]*"
DATA_TYPES = ("uri_file", "uri_folder", "mltable")
MODEL_TYPES = ("custom_model", "mlflow_model", "triton_model")
ASSET_TYPES = (*DATA_TYPES, *MODEL_TYPES)
LITERAL_TYPES = ("string", "number", "integer", "boolean")
INPUT_MODES = ("ro_mount", "rw_mount", "download", "direct", "eval_mount", "eval_download")
OUTPUT_MODES = ("rw_mount", "mount", "upload", "direct")
RESERVED = ("path", "ld_library_path", "user", "logname", "home", "pwd", "shell")  # names Azure ML refuses

COMMON: dict[str, Check] = {
    "$schema": anything,
    "name": text("taxi_model"),
    "version": text("1"),
    "description": optional(text()),
    "tags": tags(),
    "properties": tags(),
}

_TEMPLATE = fields(
    {"asset_id": text("azureml://registries/contoso/deploymenttemplates/small/versions/1")},
    required=("asset_id",),
    what="a deployment template's reference",
)

MODEL = fields(
    {
        **COMMON,
        "path": reference_or_path("./model"),
        "type": one_of(*MODEL_TYPES),
        "stage": text("Production"),
        "flavors": table(anything),
        "datastore": text("azureml:workspaceblobstore"),
        "job_name": text(),
        "default_deployment_template": _TEMPLATE,
        "allowed_deployment_templates": items(_TEMPLATE, example="[{asset_id: ...}]"),
    }
)

DATA = fields(
    {
        **COMMON,
        "path": reference_or_path("./data"),
        "type": one_of(*DATA_TYPES),
        "datastore": text("azureml:workspaceblobstore"),
    }
)

_ROUTE = fields({"port": integer, "path": text("/score")})

ENVIRONMENT_FIELDS: dict[str, Check] = {
    **COMMON,
    "image": text("docker.io/python"),
    "conda_file": either(plain=reference_or_path("./conda.yml"), nested=anything),
    "build": fields({"path": reference_or_path("./context"), "dockerfile_path": text("Dockerfile")}),
    "os_type": one_of("linux", "windows"),
    "inference_config": fields({"liveness_route": _ROUTE, "readiness_route": _ROUTE, "scoring_route": _ROUTE}),
    "datastore": text("azureml:workspaceblobstore"),
}

_ENVIRONMENT = fields(ENVIRONMENT_FIELDS)


def environment(reading: Reading, place: tuple[str | int, ...], value: Json) -> Json:
    """Accept an environment's fields, of which an image or a build context there must be one."""
    result = _ENVIRONMENT(reading, place, value)
    if not result.get("image") and not result.get("build"):
        raise reading.document.wrong(
            place, "an environment needs `image: ...` (with or without `conda_file: ...`) or `build: {path: ...}`"
        )
    if result.get("image") and result.get("build"):
        raise reading.document.wrong(place, "an environment has an image or a build context, not both")
    if result.get("conda_file") and result.get("build"):
        raise reading.document.wrong((*place, "conda_file"), "goes with `image`; a build context installs by itself")
    return result


ENVIRONMENT: Check = environment

ENVIRONMENT_OR_REFERENCE = either(plain=text("azureml:my-env:1"), nested=environment)

_INPUT_PORT = fields(
    {
        "type": one_of(*ASSET_TYPES, *LITERAL_TYPES),
        "description": optional(text()),
        "optional": boolean,
        "default": literal,
        "min": number,
        "max": number,
        "enum": items(literal, example="[a, b]"),
        "mode": one_of(*INPUT_MODES),
        "path": text(),
        "datastore": text(),
    },
    required=("type",),
    what="an input",
)

_OUTPUT_PORT = fields(
    {
        "type": one_of(*ASSET_TYPES, *LITERAL_TYPES),
        "description": optional(text()),
        "mode": one_of(*OUTPUT_MODES),
        "path": text(),
        "early_available": boolean,
    },
    required=("type",),
    what="an output",
)


def _ports(port: Check) -> Check:
    named = table(port, example="such as {data: {type: uri_folder}}", name_rule=NAME_RULE)

    def check_ports(reading: Reading, place: tuple[str | int, ...], value: Json) -> Json:
        result = named(reading, place, value)
        for name in result:
            if name.lower() in RESERVED:
                raise reading.document.wrong(
                    (*place, name), f"{name!r} is reserved; take another name than {', '.join(RESERVED)}"
                )
        return result

    return check_ports


RESOURCES = fields(
    {
        "instance_count": integer,
        "instance_type": text("Standard_DS3_v2"),
        "shm_size": text("2g"),
        "docker_args": anything,
        "properties": anything,
    }
)
DISTRIBUTION = fields(
    {
        "type": text("pytorch"),
        "process_count_per_instance": integer,
        "worker_count": integer,
        "parameter_server_count": integer,
    }
)
CODE = reference_or_path("./src")

COMPONENT_FIELDS: dict[str, Check] = {
    **COMMON,
    "display_name": text("Train the model"),
    "is_deterministic": boolean,
    "inputs": _ports(_INPUT_PORT),
    "outputs": _ports(_OUTPUT_PORT),
}

COMMAND_COMPONENT = fields(
    {
        **COMPONENT_FIELDS,
        "type": one_of("command"),
        "command": text("python train.py"),
        "code": CODE,
        "environment": ENVIRONMENT_OR_REFERENCE,
        "environment_variables": tags(),
        "resources": RESOURCES,
        "distribution": DISTRIBUTION,
        "additional_includes": items(text()),
    },
    required=("command", "environment"),
    what="a command component",
)
