"""What the files of sweep jobs may say."""

from entrepot.client.schemas.checks import anything, fields, one_of
from entrepot.client.schemas.jobs import JOB_FIELDS, STEP_FIELDS
from entrepot.client.schemas.searches import SEARCH_FIELDS

SWEEP_JOB = fields(
    {
        **JOB_FIELDS,
        "type": one_of("sweep"),
        "trial": fields(STEP_FIELDS, required=("command", "environment"), what="the trial"),
        **SEARCH_FIELDS,
        "queue_settings": anything,
        "resources": anything,
    },
    required=("trial", "search_space", "objective"),
    what="a sweep job",
)
