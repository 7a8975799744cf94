"""A template and its parameters become a list of resources and outputs. Pure: nothing is created here.

What a resource gets from others (`reference()`, `listKeys()`) is known when they are there: until then evaluating it
raises `making.Unknown`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from entrepot.core.clock import new_id
from entrepot.core.errors import InvalidRequest
from entrepot.domain.deployments import copies, parameters, shapes
from entrepot.domain.deployments.copies import Loops
from entrepot.domain.deployments.language.expressions import Evaluator, Function
from entrepot.domain.deployments.language.functions import PURE
from entrepot.domain.deployments.language.lambdas import lambda_functions
from entrepot.domain.deployments.making import Unknown
from entrepot.domain.deployments.places import NESTED_TYPE, Place, id_in
from entrepot.domain.deployments.surroundings import surroundings

Json = Any

_NOT_SENT = frozenset(
    {"type", "name", "apiVersion", "condition", "dependsOn", "copy", "resources", "scope", "subscriptionId", "existing",
     "resourceGroup", "comments", "asserts"}
)  # fmt: skip
_PLACED = ("scope", "subscriptionId", "resourceGroup")
_MOST_RESOURCES = 800  # loops counted: ARM's own bound


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of a template: what it is called, and `item`, whose values are evaluated when it is made."""

    symbol: str
    loop: str
    type: str
    name: str
    id: str
    item: Mapping[str, Json]
    loops: Loops
    after: tuple[str, ...]
    where: str
    is_wanted: bool
    is_existing: bool

    @property
    def key(self) -> str:
        """The id as it compares."""
        return self.id.lower()


class Template:
    """A template with its parameters' values in one place. Raises InvalidRequest for whatever is wrong with it.

    `values` are the parameters' values of an earlier reading, so that newGuid() and utcNow() give the same again.
    """

    def __init__(self, template: Json, given: Json, place: Place, *, values: Mapping[str, Json] | None = None) -> None:
        shapes.check(template, given)
        self.place = place
        self.specs: dict[str, Json] = template.get("parameters") or {}
        self._template = template
        self._given: dict[str, Json] = given or {}
        self._loops = Loops()
        self._pending: set[str] = set()
        self._variables: dict[str, Json] = {}
        self._evaluator = Evaluator(self._functions())
        self.parameters: dict[str, Json] = dict(values or {})
        parameters.check_given(self.specs, self._given)
        for name in self.specs:
            self._parameter(name)
        self.resources: tuple[Resource, ...] = self._counted()
        self._names = _Names(self.resources)

    def body_of(self, resource: Resource, known: Mapping[str, Function]) -> dict[str, Json]:
        """Return what a PUT of the resource carries. `known`: functions that tell of what is there already."""
        own = {name: value for name, value in resource.item.items() if name not in _NOT_SENT}
        evaluator = self._evaluator.also({"copyIndex": resource.loops.index, **known})
        inner = _inner_template(resource) if resource.type.lower() == NESTED_TYPE else None
        if inner is not None:
            own["properties"] = {name: value for name, value in own["properties"].items() if name != "template"}
        body: dict[str, Json] = copies.unrolled(own, evaluator, resource.loops, where=resource.where)
        if inner is not None:
            body["properties"]["template"] = inner
        return body

    def outputs(self, known: Mapping[str, Function]) -> dict[str, Json]:
        """Return ARM's outputs; those that are declared as secrets have no value."""
        evaluator = self._evaluator.also(known)
        made: dict[str, Json] = {}
        for name, spec in (self._template.get("outputs") or {}).items():
            where = f"outputs.{name}"
            if not evaluator.value(spec.get("condition", True), where=where):
                continue
            made[name] = {"type": spec.get("type", "string")}
            if parameters.is_secure(spec):
                continue
            loop = spec.get("copy")
            value = spec.get("value")
            made[name]["value"] = (
                copies.run(loop, evaluator, self._loops, where=where, name=name)
                if isinstance(loop, dict)
                else copies.unrolled(value, evaluator, self._loops, where=where)
            )
        return made

    def find(self, named: str) -> Resource | None:
        """Return the resource that a symbol, an id, a name or `type/name` means."""
        return self._names.one(named)

    def found_all(self, named: str) -> Sequence[Resource]:
        """Return all that a symbol or a loop's name means, or the one that another name does."""
        return self._names.all_of(named)

    def _counted(self) -> tuple[Resource, ...]:
        found: list[Resource] = []
        for resource in self._declared():
            if len(found) == _MOST_RESOURCES:
                raise InvalidRequest(
                    f"The template makes more than {_MOST_RESOURCES} resources, loops counted: divide it",
                    target="resources",
                )
            found.append(resource)
        return tuple(found)

    def _declared(self) -> Iterator[Resource]:
        listed = self._template["resources"]
        items = list(listed.items()) if isinstance(listed, dict) else [("", item) for item in listed]
        for index, (symbol, item) in enumerate(items):
            yield from self._expanded(
                item, symbol, None, where=f"resources.{symbol}" if symbol else f"resources[{index}]"
            )

    def _expanded(self, item: Json, symbol: str, parent: Resource | None, *, where: str) -> Iterator[Resource]:
        if not isinstance(item, dict) or "type" not in item or "name" not in item:
            raise InvalidRequest(f"{where} of the template needs a type and a name", target=where)
        loop = item.get("copy")
        if loop is None:
            yield from self._family(item, symbol, "", parent, where=where)
            return
        name = str(loop.get("name") or symbol) if isinstance(loop, dict) else ""
        if not name:
            raise InvalidRequest(f"{where}.copy needs a name and a count", target=where)
        for number in self._loops.over(name, copies.count_of(loop, self._evaluator, where=where)):
            yield from self._family(item, symbol, name, parent, where=f"{where}[{number}]")

    def _family(
        self, item: dict[str, Json], symbol: str, loop: str, parent: Resource | None, *, where: str
    ) -> Iterator[Resource]:
        resource = self._resource(item, symbol, loop, parent, where=where)
        yield resource
        for index, child in shapes.children(item, where):
            yield from self._expanded(child, "", resource, where=f"{where}.resources[{index}]")

    def _resource(
        self, item: dict[str, Json], symbol: str, loop: str, parent: Resource | None, *, where: str
    ) -> Resource:
        def told(name: str) -> Json:
            return self._evaluator.value(item.get(name), where=f"{where}.{name}")

        kind, name = str(told("type")), str(told("name"))
        if parent is not None and "." not in kind.partition("/")[0]:
            kind, name = f"{parent.type}/{kind}", f"{parent.name}/{name}"
        after = self._evaluator.value(item.get("dependsOn") or [], where=f"{where}.dependsOn")
        if not isinstance(after, list) or len(after) > _MOST_RESOURCES:
            raise InvalidRequest(
                f"{where}.dependsOn is a list of at most {_MOST_RESOURCES} resources", target=f"{where}.dependsOn"
            )
        return Resource(
            symbol=symbol,
            loop=loop,
            type=kind,
            name=name,
            id=id_in(self.place, kind, name, {key: told(key) for key in _PLACED}, where=where),
            item=item,
            loops=self._loops.copy(),
            after=(*dict.fromkeys(map(str, after)), *([parent.id] if parent else [])),
            where=where,
            is_wanted=bool(self._evaluator.value(item.get("condition", True), where=f"{where}.condition")),
            is_existing=bool(item.get("existing")),
        )

    def _functions(self) -> dict[str, Function]:
        def unknown(named: str, *_: Json) -> Json:
            found = self.find(named) if hasattr(self, "_names") else None
            raise Unknown(found.id if found else named)

        return {
            **PURE,
            **lambda_functions(),
            **surroundings(self.place),
            "parameters": self._parameter,
            "variables": self._variable,
            "copyIndex": self._loops.index,
            "newGuid": new_id,
            "reference": unknown,
            "list*": lambda action, named, *_: unknown(named),
            **dict(self._own_functions()),
        }

    def _own_functions(self) -> Iterator[tuple[str, Function]]:
        """Yield the functions that the template defines: `namespace.name`, which see only their own parameters."""
        for space in self._template.get("functions") or ():
            for name, member in (space.get("members") or {}).items():
                yield f"{space.get('namespace')}.{name}", self._own_function(name, member)

    def _own_function(self, name: str, member: Json) -> Function:
        declared = [str(spec.get("name")) for spec in member.get("parameters") or ()]

        def called(*arguments: Json) -> Json:
            if len(arguments) != len(declared):
                raise ValueError(f"it takes {len(declared)} argument(s), got {len(arguments)}")
            given = dict(zip(declared, arguments, strict=True))
            evaluator = self._evaluator.also({"parameters": given.__getitem__, "variables": _no_variables})
            return evaluator.value((member.get("output") or {}).get("value"), where=f"functions.{name}")

        return called

    def _once(self, mark: str, evaluated: Callable[[], Json]) -> Json:
        if mark in self._pending:
            raise InvalidRequest(f"{mark.capitalize()} of the template stands for itself")
        self._pending.add(mark)
        try:
            return evaluated()
        finally:
            self._pending.discard(mark)

    def _parameter(self, name: str) -> Json:
        specs = self.specs
        if name not in specs:
            raise InvalidRequest(f"The template has no parameter {name!r}; it has {', '.join(specs) or 'none'}")
        if name not in self.parameters:
            self.parameters[name] = self._once(
                f"parameter {name!r}",
                lambda: parameters.value_of(name, specs[name], self._given, self._evaluator),
            )
        return self.parameters[name]

    def _variable(self, name: str) -> Json:
        if name not in self._variables:
            self._variables[name] = self._once(f"variable {name!r}", lambda: self._valued(name))
        return self._variables[name]

    def _valued(self, name: str) -> Json:
        variables = self._template.get("variables") or {}
        where = f"variables.{name}"
        if name in variables and name != "copy":
            return copies.unrolled(variables[name], self._evaluator, Loops(), where=where)
        loops = {loop.get("name"): loop for loop in variables.get("copy") or ()}
        if name in loops:
            own = Loops()
            return copies.run(loops[name], self._evaluator.also({"copyIndex": own.index}), own, where=where)
        known = ", ".join([*(known for known in variables if known != "copy"), *loops]) or "none"
        raise InvalidRequest(f"The template has no variable {name!r}; it has {known}")


def _inner_template(resource: Resource) -> Json:
    """Return the template of a nested deployment that is evaluated by itself; None when by the outer one."""
    properties = resource.item.get("properties")
    if not isinstance(properties, dict):
        return None
    options = properties.get("expressionEvaluationOptions")
    is_inner = isinstance(options, dict) and str(options.get("scope")).lower() == "inner"
    return properties.get("template") if is_inner else None


class _Names:
    """Finds a template's resources by what they are called."""

    def __init__(self, resources: Sequence[Resource]) -> None:
        self._one: dict[str, Resource] = {}
        self._many: dict[str, list[Resource]] = {}
        for resource in resources:
            for text in (resource.key, resource.name.lower(), f"{resource.type}/{resource.name}".lower()):
                self._one.setdefault(text, resource)
            for word in {resource.symbol, resource.loop} - {""}:
                self._many.setdefault(word, []).append(resource)

    def one(self, named: str) -> Resource | None:
        found = [one for one in self._many.get(named, ()) if one.symbol == named][:1]
        return found[0] if found else self._one.get(named.lower())

    def all_of(self, named: str) -> Sequence[Resource]:
        found = self._many.get(named)
        one = None if found else self._one.get(named.lower())
        return found or ([one] if one else [])


def _no_variables(name: str) -> Json:
    raise ValueError(f"a function of the template sees no variables, so not {name!r}")
