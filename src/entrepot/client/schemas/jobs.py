"""What the files of command jobs, pipeline jobs and pipeline components may say."""

from entrepot.client.files import Place
from entrepot.client.schemas.assets import (
    ASSET_TYPES,
    CODE,
    COMMON,
    COMPONENT_FIELDS,
    DISTRIBUTION,
    ENVIRONMENT_OR_REFERENCE,
    INPUT_MODES,
    LITERAL_TYPES,
    NAME_RULE,
    OUTPUT_MODES,
    RESOURCES,
)
from entrepot.client.schemas.checks import (
    Check,
    Json,
    Reading,
    anything,
    boolean,
    either,
    fields,
    integer,
    is_reference,
    literal,
    one_of,
    optional,
    table,
    tags,
    text,
)
from entrepot.client.schemas.flows import CONTROLS, PARALLEL_FIELDS
from entrepot.client.schemas.searches import SEARCH_FIELDS


def _path(reading: Reading, place: Place, value: Json) -> Json:
    plain = text("./data")(reading, place, value)
    if not is_reference(plain) and not plain.startswith("${{"):
        reading.document.resolve(plain, place)
    return plain


_INPUT_FIELDS = fields(
    {
        "type": one_of(*ASSET_TYPES, *LITERAL_TYPES),
        "path": _path,
        "mode": one_of(*INPUT_MODES),
        "description": optional(text()),
        "default": literal,
        "optional": boolean,
    }
)


def _nested_input(reading: Reading, place: Place, value: Json) -> Json:
    result = _INPUT_FIELDS(reading, place, value)
    if result.get("path") is None and result.get("default") is None and not result.get("optional"):
        raise reading.document.wrong(place, "an input needs its value: write `path: ...`, or the value itself")
    return result


_INPUT = either(plain=literal, nested=_nested_input)
_OUTPUT = optional(
    either(
        plain=text("${{parent.outputs.model}}"),
        nested=fields(
            {
                "type": one_of(*ASSET_TYPES, *LITERAL_TYPES),
                "path": text("azureml://datastores/workspaceblobstore/paths/results"),
                "mode": one_of(*OUTPUT_MODES),
                "name": text("my_model"),
                "version": text("1"),
                "description": optional(text()),
            }
        ),
    )
)
_INPUTS = table(_INPUT, example="such as {data: {type: uri_folder, path: ./data}}", name_rule=NAME_RULE)
_OUTPUTS = table(_OUTPUT, example="such as {model: {type: mlflow_model}}", name_rule=NAME_RULE)
_LIMITS = fields({"timeout": integer})

JOB_FIELDS: dict[str, Check] = {
    **COMMON,
    "display_name": text("Train the model"),
    "experiment_name": text("taxi"),
    "compute": text("azureml:cpu-cluster"),
    "inputs": _INPUTS,
    "outputs": _OUTPUTS,
    "identity": anything,
    "services": anything,
}

STEP_FIELDS: dict[str, Check] = {
    "command": text("python train.py"),
    "code": CODE,
    "environment": ENVIRONMENT_OR_REFERENCE,
    "environment_variables": tags(),
    "resources": RESOURCES,
    "distribution": DISTRIBUTION,
    "limits": _LIMITS,
    "queue_settings": anything,
}

COMMAND_JOB = fields(
    {**JOB_FIELDS, "type": one_of("command"), **STEP_FIELDS, "is_deterministic": boolean},
    required=("command", "environment"),
    what="a command job",
)

_NODE_FIELDS: dict[str, Check] = {
    "name": text(),
    "display_name": text(),
    "description": optional(text()),
    "compute": text("azureml:cpu-cluster"),
    "inputs": _INPUTS,
    "outputs": _OUTPUTS,
    "tags": tags(),
    "properties": tags(),
    "identity": anything,
    "services": anything,
}

_NODE = fields(
    {
        **_NODE_FIELDS,
        "type": one_of("command", "pipeline", "parallel", "sweep", *CONTROLS),
        "component": either(plain=text("azureml:train:1"), nested=anything),
        "is_deterministic": boolean,
        **PARALLEL_FIELDS,
        **STEP_FIELDS,
        "jobs": anything,
        "settings": anything,
    },
    what="a step",
)

_SWEEP_NODE = fields(
    {
        **_NODE_FIELDS,
        "type": one_of("sweep"),
        "trial": either(plain=text("./train.yml"), nested=anything),
        **SEARCH_FIELDS,
        "queue_settings": anything,
        "resources": RESOURCES,
    },
    required=("trial", "search_space", "objective"),
    what="a sweep step",
)


def node(reading: Reading, place: Place, value: Json) -> Json:
    """Accept a step of a pipeline: it names a component, or is a command with its environment."""
    kind = str(value.get("type")).lower() if isinstance(value, dict) else ""
    if kind in CONTROLS:
        return CONTROLS[kind](reading, place, value)
    if kind == "sweep":
        return _SWEEP_NODE(reading, place, value)
    result = _NODE(reading, place, value)
    if kind == "parallel" and not result.get("component"):
        for name in ("task", "input_data"):
            if not result.get(name):
                raise reading.document.wrong(
                    place, f"a parallel step needs `component: ...`, or `task` and `input_data`; {name!r} is missing"
                )
        return result
    if not result.get("component"):
        for name in ("command", "environment"):
            if not result.get(name):
                raise reading.document.wrong(
                    place,
                    f"a step needs `component: ...`, or `command: ...` and `environment: ...`; {name!r} is missing",
                )
    return result


_NODES = table(node, example="such as {train: {type: command, component: azureml:train:1}}", name_rule=NAME_RULE)
SETTINGS = fields(
    {
        "default_compute": text("azureml:cpu-cluster"),
        "default_datastore": text("azureml:workspaceblobstore"),
        "continue_on_step_failure": boolean,
        "continue_run_on_step_failure": boolean,
        "force_rerun": boolean,
        "on_init": text(),
        "on_finalize": text(),
    }
)

_PIPELINE_JOB = fields(
    {
        **JOB_FIELDS,
        "type": one_of("pipeline"),
        "jobs": _NODES,
        "component": text("azureml:my_pipeline:1"),
        "settings": SETTINGS,
    }
)


def pipeline_job(reading: Reading, place: Place, value: Json) -> Json:
    """Accept a pipeline job: steps of its own, or a pipeline component."""
    result = _PIPELINE_JOB(reading, place, value)
    if not result.get("jobs") and not result.get("component"):
        raise reading.document.wrong(place, "a pipeline needs steps: write `jobs: {train: {...}}`")
    return result


PIPELINE_JOB: Check = pipeline_job

PIPELINE_COMPONENT = fields(
    {**COMPONENT_FIELDS, "type": one_of("pipeline"), "jobs": _NODES, "settings": SETTINGS},
    required=("jobs",),
    what="a pipeline component",
)
