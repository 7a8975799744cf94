"""Is this the same version again? What differs, told so that the reader knows what to do. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from entrepot.core.errors import AlreadyExists
from entrepot.domain.assets.kind import MUTABLE, Draft, is_empty
from entrepot.domain.assets.kinds import rules_of

Json = Any

_SHOWN = 120
_MOST = 8


def differences(body: Mapping[str, Json], draft: Draft) -> dict[str, tuple[Json, Json]]:
    """Return the fixed fields in which a stored version and a draft differ: {field: (there, here)}."""
    contents = rules_of(draft.ref.kind).contents
    there = contents(body["properties"], body["entrepot"])
    here = contents(draft.properties, draft.ours)
    fields = [*there, *(name for name in here if name not in there)]
    return {
        name: (there.get(name), here.get(name)) for name in fields if not _are_same(there.get(name), here.get(name))
    }


def _are_same(there: Json, here: Json) -> bool:
    return there == here or (is_empty(there) and is_empty(here))


def conflict(draft: Draft, differing: Mapping[str, tuple[Json, Json]], next_version: str) -> AlreadyExists:
    """Return the error for a name and version that is taken by other content."""
    told = [f"{name} is {_show(there)} there and {_show(here)} here" for name, (there, here) in differing.items()]
    more = f"; and {len(told) - _MOST} more fields" if len(told) > _MOST else ""
    ref = draft.ref
    noun = ref.kind.noun.capitalize()
    return AlreadyExists(
        f"{noun} {ref.name}:{ref.version} already exists in {ref.scope} with other content: "
        f"{'; '.join(told[:_MOST])}{more}. What it holds never changes; the next free version is {next_version}",
        target=ref.id,
        hint=f"--set version={next_version}",
        details=[{"field": name, "there": there, "here": here} for name, (there, here) in differing.items()],
    )


def _show(value: Json) -> str:
    if is_empty(value):
        return "nothing"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if text.startswith("sha256:"):
        return text[: len("sha256:") + 12]
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
    return repr(shown) if isinstance(value, str) else shown


def updates(properties: Mapping[str, Json], draft: Draft) -> dict[str, Json]:
    """Return the fields of a stored version that a draft changes and may change."""
    changed: dict[str, Json] = {}
    for name in MUTABLE:
        here = draft.properties.get(name)
        if here is None or name == "isAnonymous":
            continue
        if name == "properties":
            here = {**(properties.get(name) or {}), **here}  # may be added to, as in Azure
        if here != properties.get(name):
            changed[name] = here
    return changed | rules_of(draft.ref.kind).restated(properties, draft.properties, changed)
