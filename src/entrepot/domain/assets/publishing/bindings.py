"""Registry assets that a version names in its properties: a template's environment, the templates of a model.

They are pinned when the version is written, so that they mean the same for ever. What a component references stands in
its specification instead: `references.py`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.core.errors import InvalidReference, InvalidRequest, NotFound
from entrepot.core.ids import AssetPointer, AssetRef, RegistryScope, parse_reference
from entrepot.core.nouns import DEPLOYMENT_TEMPLATE, ENVIRONMENT, MODEL, Kind
from entrepot.domain import lineage
from entrepot.domain.assets import reading
from entrepot.domain.assets.kind import TEMPLATES, Properties
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Link

Json = Any

_DEFAULT, _ALLOWED = TEMPLATES
_ENVIRONMENT = "environmentId"


@dataclass(frozen=True, slots=True)
class _Slot:
    """A place in the properties that names an asset."""

    where: str
    value: Json
    kind: Kind
    fill: Callable[[str], None]


def bind(hub: Hub, principal: Principal, ref: AssetRef, properties: Properties, stored: Mapping[str, Json]) -> None:
    """Put the ids of the versions that are meant into the properties. Raises InvalidReference, NotFound.

    `stored`: the properties that the version has already; what they name is not looked up again.
    """
    known = {slot.value for slot in _slots(ref.kind, dict(stored))}
    for slot in _slots(ref.kind, properties):
        slot.fill(slot.value if slot.value in known else _pinned(hub, principal, ref, slot))


def links(ref: AssetRef, properties: Mapping[str, Json]) -> list[Link]:
    """Return the edges from a version to what its bound properties name."""
    return [lineage.used(ref.id, slot.value) for slot in _slots(ref.kind, dict(properties))]


def _slots(kind: Kind, properties: Properties) -> Iterator[_Slot]:
    if kind is DEPLOYMENT_TEMPLATE and properties.get(_ENVIRONMENT):

        def fill_environment(id: str) -> None:
            properties[_ENVIRONMENT] = id

        yield _Slot(_ENVIRONMENT, properties[_ENVIRONMENT], ENVIRONMENT, fill_environment)
    if kind is MODEL:
        yield from _templates(properties)


def _templates(properties: Properties) -> Iterator[_Slot]:
    default, allowed = properties.get(_DEFAULT), properties.get(_ALLOWED)
    if default:

        def fill_default(id: str) -> None:
            properties[_DEFAULT] = {"assetId": id}

        yield _Slot(_DEFAULT, _asset_id(default, _DEFAULT), DEPLOYMENT_TEMPLATE, fill_default)
    if not allowed:
        return
    if not isinstance(allowed, list):
        raise InvalidRequest(f"{_ALLOWED} must be a list: got {allowed!r}", target=_ALLOWED)
    pinned = properties[_ALLOWED] = list(allowed)
    for at, item in enumerate(allowed):

        def fill_allowed(id: str, at: int = at) -> None:
            pinned[at] = {"assetId": id}

        where = f"{_ALLOWED}[{at}]"
        yield _Slot(where, _asset_id(item, where), DEPLOYMENT_TEMPLATE, fill_allowed)


def _asset_id(given: Json, where: str) -> str:
    text = given.get("assetId") or given.get("asset_id") if isinstance(given, dict) else None
    if not isinstance(text, str):
        raise InvalidRequest(
            f"{where} must be an object with assetId, the id of a deployment template: got {given!r}", target=where
        )
    return text


def _pinned(hub: Hub, principal: Principal, ref: AssetRef, slot: _Slot) -> str:
    noun = slot.kind.noun.replace("-", " ")
    try:
        pointer = parse_reference(slot.value, slot.kind) if isinstance(slot.value, str) else None
    except InvalidReference:
        pointer = None
    is_right = isinstance(pointer, AssetPointer) and pointer.kind is slot.kind and not pointer.workspace_guid
    scope = pointer.scope or ref.scope if isinstance(pointer, AssetPointer) else None
    if not is_right or not isinstance(scope, RegistryScope) or not isinstance(pointer, AssetPointer):
        raise InvalidReference(
            f"{slot.where} of {ref} is {slot.value!r}, and must be the id of a registry's {noun}: "
            f"azureml://registries/<registry>/{slot.kind.plural}/<name>/versions/<version>",
            target=slot.where,
        )
    try:
        return str(reading.resolve(hub, principal, pointer.within(scope)).body["id"])
    except NotFound as error:
        raise NotFound(
            f"{slot.where} of {ref} names a {noun} that is not there: {error.message}",
            target=slot.where, hint=error.hint,
        ) from error  # fmt: skip
