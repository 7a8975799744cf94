"""What the files of pipelines may say of parallel steps and of control flow: conditions and loops."""

from entrepot.client.schemas.assets import CODE, COMPONENT_FIELDS, ENVIRONMENT_OR_REFERENCE, RESOURCES
from entrepot.client.schemas.checks import Check, anything, fields, integer, one_of, optional, tags, text

TASK = fields(
    {
        "type": one_of("run_function", "function", "model"),
        "code": CODE,
        "entry_script": text("score.py"),
        "program_arguments": text("--rate ${{inputs.rate}}"),
        "append_row_to": text("${{outputs.rows}}"),
        "model": text("${{inputs.model}}"),
        "environment": ENVIRONMENT_OR_REFERENCE,
    },
    required=("entry_script", "environment"),
    what="the task of a parallel step",
)

PARALLEL_FIELDS: dict[str, Check] = {
    "task": TASK,
    "input_data": text("${{inputs.data}}"),
    "mini_batch_size": text("10"),
    "partition_keys": anything,
    "max_concurrency_per_instance": integer,
    "error_threshold": integer,
    "mini_batch_error_threshold": integer,
    "retry_settings": fields({"max_retries": integer, "timeout": integer}),
    "logging_level": one_of("debug", "info", "warn", "warning"),
    "resources": RESOURCES,
    "environment_variables": tags(),
}

PARALLEL_COMPONENT = fields(
    {**COMPONENT_FIELDS, "type": one_of("parallel"), **PARALLEL_FIELDS},
    required=("task", "input_data"),
    what="a parallel component",
)

_CONTROL: dict[str, Check] = {"name": text(), "display_name": text(), "description": optional(text())}

CONTROLS: dict[str, Check] = {
    "if_else": fields(
        {**_CONTROL, "type": one_of("if_else"), "condition": anything, "true_block": anything, "false_block": anything},
        required=("condition",),
        what="a condition",
    ),
    "do_while": fields(
        {
            **_CONTROL,
            "type": one_of("do_while"),
            "body": text("${{parent.jobs.train}}"),
            "condition": text("${{parent.jobs.train.outputs.more}}"),
            "mapping": anything,
            "limits": fields({"max_iteration_count": integer}, required=("max_iteration_count",), what="the limits"),
        },
        required=("body", "limits"),
        what="a loop",
    ),
    "parallel_for": fields(
        {
            **_CONTROL,
            "type": one_of("parallel_for"),
            "body": text("${{parent.jobs.train}}"),
            "items": anything,
            "max_concurrency": integer,
            "outputs": anything,
        },
        required=("body", "items"),
        what="a loop over items",
    ),
}
"""Steps without a component, by their type; the server checks what they name."""
