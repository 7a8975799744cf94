"""`configure`: the defaults of options."""

from __future__ import annotations

from entrepot.client.failures import UsageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any


def configure(call: Call) -> Json:
    """Set defaults, or return those that are set."""
    if call.text("list_defaults"):
        return call.configuration.defaults()
    if not call.words("defaults"):
        raise UsageFailure("give --defaults name=value ..., or --list-defaults")
    values = {}
    for word in call.words("defaults"):
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageFailure(f"argument --defaults: {word!r} is not name=value, such as group=contoso-rg")
        values[name.lower()] = value
    call.configuration.save("defaults", values)
    return None
