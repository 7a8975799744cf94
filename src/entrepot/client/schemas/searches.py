"""What sweep jobs and the sweep steps of pipelines may say of their search: space, sampling, objective, limits."""

from entrepot.client.files import Place
from entrepot.client.schemas.checks import (
    Check,
    Json,
    Reading,
    anything,
    either,
    fields,
    integer,
    number,
    one_of,
    table,
    text,
)
from entrepot.client.shapes.sweep_bodies import ARGUMENTS

_DISTRIBUTION = fields(
    {
        "type": one_of(*ARGUMENTS),
        "values": anything,
        **dict.fromkeys(("min_value", "max_value", "mu", "sigma", "q"), number),
        "upper": integer,
    },
    required=("type",),
    what="a parameter",
)


def _parameter(reading: Reading, place: Place, value: Json) -> Json:
    found = _DISTRIBUTION(reading, place, value)
    for name in ARGUMENTS[found["type"]]:
        if found.get(name) is None:
            raise reading.document.wrong(place, f"{found['type']} needs {', '.join(ARGUMENTS[found['type']])}")
    return found


SEARCH_FIELDS: dict[str, Check] = {
    "search_space": table(_parameter, example="such as {lr: {type: uniform, min_value: 0.01, max_value: 0.9}}"),
    "sampling_algorithm": either(
        plain=one_of("random", "grid", "bayesian"),
        nested=fields({"type": one_of("random", "grid", "bayesian"), "seed": integer, "rule": text("sobol")}),
    ),
    "objective": fields(
        {"goal": one_of("maximize", "minimize"), "primary_metric": text("accuracy")},
        required=("goal", "primary_metric"),
        what="the objective",
    ),
    "limits": fields(dict.fromkeys(("max_total_trials", "max_concurrent_trials", "timeout", "trial_timeout"), integer)),
    "early_termination": fields(
        {
            "type": one_of("bandit", "median_stopping", "truncation_selection"),
            "delay_evaluation": integer,
            "evaluation_interval": integer,
            "slack_factor": number,
            "slack_amount": number,
            "truncation_percentage": integer,
        },
        required=("type",),
        what="the early termination policy",
    ),
}
