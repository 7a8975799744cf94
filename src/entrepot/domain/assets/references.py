"""References inside a component: where they stand, what they may name, and what they are pinned to.

A component in a registry may only reference registry assets; `azureml:name:version` in it means its own registry.
Labels and open versions are pinned when the component is created, so that it means the same for ever.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.core.errors import InvalidReference, NotFound
from entrepot.core.ids import AssetPointer, RegistryScope, Scope, WorkspaceScope, parse_reference
from entrepot.core.nouns import CODE, COMPONENT, DATA, ENVIRONMENT, MODEL, Kind
from entrepot.domain.assets import reading
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Document

Json = Any
Step = str | int

_FIELDS: Mapping[str, Kind] = {
    "environment": ENVIRONMENT,
    "environmentId": ENVIRONMENT,
    "environment_id": ENVIRONMENT,
    "code": CODE,
    "codeId": CODE,
    "code_id": CODE,
    "component": COMPONENT,
    "componentId": COMPONENT,
    "component_id": COMPONENT,
}
_NESTED = ("task", "trial", "code_configuration")
_MODELS = ("mlflow_model", "custom_model", "triton_model")


@dataclass(frozen=True, slots=True)
class Mention:
    """One reference in a spec: where, as a path of keys; the text (or the inline object); and the kind it names."""

    path: tuple[Step, ...]
    value: Json
    kind: Kind

    @property
    def where(self) -> str:
        """The path for people."""
        return ".".join(str(step) for step in self.path)


@dataclass(frozen=True, slots=True)
class Pin:
    """A mention and the version that it means."""

    mention: Mention
    document: Document


def mentions(spec: Mapping[str, Json]) -> Iterator[Mention]:
    """Yield the references of a component's spec: its own, those of its nodes, and data bound to nodes' inputs."""
    yield from _of_step(spec, ())
    jobs = spec.get("jobs")
    if isinstance(jobs, dict):
        for name, node in jobs.items():
            if isinstance(node, dict):
                yield from _of_step(node, ("jobs", name))
                yield from _of_inputs(node, ("jobs", name))


def _of_step(step: Mapping[str, Json], path: tuple[Step, ...]) -> Iterator[Mention]:
    for field, kind in _FIELDS.items():
        value = step.get(field)
        if value:
            yield Mention((*path, field), value, kind)
    for field in _NESTED:
        inner = step.get(field)
        if isinstance(inner, dict):
            yield from _of_step(inner, (*path, field))


def _of_inputs(node: Mapping[str, Json], path: tuple[Step, ...]) -> Iterator[Mention]:
    inputs = node.get("inputs")
    for name, given in inputs.items() if isinstance(inputs, dict) else ():
        for field in ("uri", "path"):
            text = given.get(field) if isinstance(given, dict) else None
            if isinstance(text, str) and text.startswith(("azureml:", "/subscriptions/")):
                kind = MODEL if given.get("job_input_type", given.get("type")) in _MODELS else DATA
                if isinstance(parse_reference(text, kind), AssetPointer):
                    yield Mention((*path, "inputs", name, field), text, kind)


def pins(hub: Hub, principal: Principal, scope: Scope, spec: Mapping[str, Json]) -> list[Pin]:
    """Resolve every reference of a spec that stands in `scope`. Raises InvalidReference, NotFound."""
    return [Pin(mention, _resolve(hub, principal, scope, mention)) for mention in mentions(spec)]


def rewritten(spec: Mapping[str, Json], pinned: list[Pin], spell: Callable[[Document], str]) -> dict[str, Json]:
    """Return the spec with every pinned reference spelled by `spell`; the given one is left as it is."""
    result = dict(spec)
    for pin in pinned:
        place: dict[Step, Json] = result  # type: ignore[assignment]
        *outer, last = pin.mention.path
        for step in outer:
            place[step] = dict(place[step])
            place = place[step]
        place[last] = spell(pin.document)
    return result


def spelled(document: Document) -> str:
    """Return a version's id as it stands in specs: ARM ids carry `azureml:` there, as azure-ai-ml writes them."""
    asset_id: str = document.body["id"]
    return f"azureml:{asset_id}" if asset_id.startswith("/") else asset_id


def _resolve(hub: Hub, principal: Principal, scope: Scope, mention: Mention) -> Document:
    pointer = _pointer(scope, mention)
    if isinstance(scope, RegistryScope) and (isinstance(pointer.scope, WorkspaceScope) or pointer.workspace_guid):
        raise InvalidReference(
            f"{mention.where} names {mention.value}, a workspace's {mention.kind.noun}: a component in a registry may "
            "only reference registry assets",
            target=mention.where,
            hint=_sharing(scope, pointer) or _advice(scope, mention),
        )
    try:
        return reading.resolve(hub, principal, pointer)
    except NotFound as error:
        is_own = isinstance(scope, RegistryScope) and pointer.scope == scope
        raise NotFound(
            f"No definition exists for {mention.kind.noun} {pointer.name}"
            + (f" version {pointer.version}" if pointer.version else "")
            + f", which {mention.where} names: {error.message}",
            target=mention.where,
            hint=_sharing(scope, pointer) if is_own else error.hint,
        ) from error


def _pointer(scope: Scope, mention: Mention) -> AssetPointer:
    text = mention.value
    if not isinstance(text, str):
        raise InvalidReference(
            f"{mention.where} holds {_article(mention.kind)} inline: it must name one that is published. "
            f"{_advice(scope, mention)}",
            target=mention.where,
        )
    reference = parse_reference(text, mention.kind)
    if reference is None and "/" not in text.rpartition(":")[0] and not text.startswith((".", "~", "/")):
        # azure-ai-ml drops the prefix of short references; a bare folder name has no version and is no asset
        reference = parse_reference(f"azureml:{text}", mention.kind) if ":" in text or "@" in text else None
    if not isinstance(reference, AssetPointer):
        raise InvalidReference(
            f"{mention.where} is {text!r}, which is not on this server. {_advice(scope, mention)}", target=mention.where
        )
    if reference.kind is not mention.kind:
        raise InvalidReference(
            f"{mention.where} names {text}, {_article(reference.kind)}, where {_article(mention.kind)} belongs",
            target=mention.where,
        )
    return reference.within(scope)


def _sharing(scope: Scope, pointer: AssetPointer) -> str | None:
    """Return how a registry gets what only a workspace has, or how another registry's is written; None for code."""
    kind, name, version = pointer.kind, pointer.name, pointer.version or "<version>"
    if kind is CODE or not isinstance(scope, RegistryScope):
        return None
    return (
        f"share a workspace's {kind.noun} first: az ml {kind.noun} share --name {name} --version {version} "
        f"--registry-name {scope.name} --share-with-name {name} --share-with-version {version}, and write "
        f"{scope.asset_id(kind, name, version)}; one of another registry is written "
        f"{RegistryScope('<registry>').asset_id(kind, name, version)}"
    )


def _advice(scope: Scope, mention: Mention) -> str:
    noun = mention.kind.noun
    if isinstance(scope, RegistryScope):
        return (
            f"Create the component from its YAML file with --registry-name {scope.name}, so that the client publishes "
            f"the {noun} with it, or write {scope.asset_id(mention.kind, '<name>', '<version>')}"
        )
    return (
        f"Create the component from its YAML file, so that the client uploads the {noun}, "
        "or write azureml:<name>:<version>"
    )


def _article(kind: Kind) -> str:
    return f"{'an' if kind.noun[0] in 'aeiou' else 'a'} {kind.noun}"
