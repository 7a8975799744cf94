"""The parts of a template and of the values given for it: that each is an object, a list or a number where it must be.

What an expression stands for is not looked at here. Pure.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest

Json = Any

_MOST = {"parameters": 256, "variables": 256, "outputs": 64}  # ARM's own bounds
_BOUNDS = ("minLength", "maxLength", "minValue", "maxValue")


def check(template: Json, given: Json) -> None:
    """Return if a template and its parameters' values can be read at all. Raises InvalidRequest naming the part."""
    if not isinstance(template, dict) or not isinstance(template.get("resources"), list | dict):
        raise InvalidRequest("The deployment has no template with resources", target="properties.template")
    for part, most in _MOST.items():
        held = _object(template.get(part) or {}, part)
        if len(held) > most:
            raise InvalidRequest(f"A template has at most {most} {part}: this one has {len(held)}", target=part)
    for name, spec in (template.get("parameters") or {}).items():
        _check_parameter(spec, f"parameters.{name}")
    for name, spec in (template.get("outputs") or {}).items():
        _object(spec, f"outputs.{name}")
    loops = (template.get("variables") or {}).get("copy") or []
    for index, loop in enumerate(_list(loops, "variables.copy") if isinstance(loops, list) else ()):
        _object(loop, f"variables.copy[{index}]")
    _check_functions(template.get("functions") or [])
    for name, entry in _object(given or {}, "properties.parameters").items():
        _object(entry or {}, f"properties.parameters.{name}")


def children(item: Mapping[str, Json], where: str) -> Iterator[tuple[int, Json]]:
    """Yield the resources that stand within one, with their places. Raises InvalidRequest."""
    yield from enumerate(_list(item.get("resources") or [], f"{where}.resources"))


def _check_parameter(spec: Json, where: str) -> None:
    _object(spec, where)
    _list(spec.get("allowedValues") or [], f"{where}.allowedValues")
    for bound in _BOUNDS:
        if bound in spec and (not isinstance(spec[bound], int) or isinstance(spec[bound], bool)):
            raise InvalidRequest(f"The template's {where}.{bound} must be a whole number", target=where)


def _check_functions(spaces: Json) -> None:
    for index, space in enumerate(_list(spaces, "functions")):
        where = f"functions[{index}]"
        for name, member in _object(_object(space, where).get("members") or {}, f"{where}.members").items():
            place = f"{where}.members.{name}"
            for number, spec in enumerate(_list(_object(member, place).get("parameters") or [], f"{place}.parameters")):
                _object(spec, f"{place}.parameters[{number}]")
            _object(member.get("output") or {}, f"{place}.output")


def _object(value: Json, where: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise InvalidRequest(f"The template's {where} must be an object: got {_kind(value)}", target=where)
    return value


def _list(value: Json, where: str) -> list[Json]:
    if not isinstance(value, list):
        raise InvalidRequest(f"The template's {where} must be a list: got {_kind(value)}", target=where)
    return value


def _kind(value: Json) -> str:
    words = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return words.get(type(value), "a number")
