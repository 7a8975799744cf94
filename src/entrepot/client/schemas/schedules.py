"""What the files of schedules may say."""

from entrepot.client.schemas.checks import anything, boolean, either, fields, integer, one_of, optional, tags, text

_MOMENTS = {name: text("2026-11-23T10:00:00") for name in ("start_time", "end_time")}

SCHEDULE = fields(
    {
        "name": text("nightly"),
        "display_name": text("Every night"),
        "description": optional(text()),
        "tags": tags(),
        "properties": tags(),
        "is_enabled": boolean,
        "trigger": fields(
            {
                "type": one_of("cron", "recurrence"),
                "expression": text("0 8 * * 1-5"),
                "frequency": one_of("minute", "hour", "day", "week", "month"),
                "interval": integer,
                "schedule": anything,
                "time_zone": text("UTC"),
                **_MOMENTS,
            },
            required=("type",),
            what="the trigger",
        ),
        "create_job": either(plain=text("./pipeline.yml"), nested=anything),
    },
    required=("trigger", "create_job"),
    what="a schedule",
)
