"""The route table and the trie that finds a route by method and path.

Literals match without regard to case (clients mix `resourceGroups` and `resourcegroups`), empty segments are
skipped (`az resource` writes `//`), literals win over parameters, and `{name:rest}` takes all that is left.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from entrepot.core.errors import Category, EntrepotError, RouteNotFound
from entrepot.core.nouns import UNSERVED
from entrepot.server.calls import Handler

_REMEMBERED_PATHS = 4096
_HOMES = ("/{workspace}", "/{registry}")


class MethodNotAllowed(EntrepotError):
    """The path is served, but not with this method; the message names those that are."""

    category = Category.METHOD
    code = "MethodNotAllowed"


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path template.

    `action` is the RBAC action that the domain requires before it answers; None needs a `reason`. `inline`: a point
    read that may run in the event loop. `is_long`: waits or streams, so it gets a thread of the larger pool.
    """

    method: str
    template: str
    action: str | None
    handler: Handler
    inline: bool = False
    reason: str = ""
    is_anonymous: bool = False
    is_long: bool = False
    takes_stream: bool = False
    other_action: str = ""  # which is enough for some of what the route does
    family: str = ""  # by which requests are counted; `compose.py` fills it in
    is_within: bool = field(init=False)
    """True when what the route is about lies in a registry or workspace, or is one that is there already."""

    def __post_init__(self) -> None:
        if (self.action is None) != bool(self.reason):
            raise ValueError(f"{self.method} {self.template}: name an RBAC action, or say why there is none")
        is_new = self.method == "PUT" and self.template.endswith(_HOMES)
        is_within = self.action is not None and not is_new and any(home in self.template for home in _HOMES)
        object.__setattr__(self, "is_within", is_within)


@dataclass(slots=True)
class _Node:
    literals: dict[str, "_Node"] = field(default_factory=dict)
    parameter: "_Node | None" = None
    routes: dict[str, tuple[Route, tuple[str, ...]]] = field(default_factory=dict)
    rest: dict[str, tuple[Route, tuple[str, ...]]] = field(default_factory=dict)


class Router:
    """Finds routes; built once from the whole table. Raises ValueError when two routes claim the same place."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        self._known: dict[tuple[str, str], tuple[Route, Mapping[str, str]]] = {}
        self.routes: tuple[Route, ...] = tuple(routes)
        for route in self.routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        node, names = self._root, []
        segments = [segment for segment in route.template.split("/") if segment]
        table: dict[str, tuple[Route, tuple[str, ...]]] | None = None
        for segment in segments:
            if segment.startswith("{") and segment.endswith(":rest}"):
                names.append(segment[1:-6])
                table = node.rest
                break
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.parameter = node.parameter or _Node()
                node = node.parameter
                continue
            child = node.literals.setdefault(segment.lower(), _Node())
            node.literals[segment] = child  # the canonical spelling is found without lower()
            node = child
        table = node.routes if table is None else table
        if route.method in table:
            raise ValueError(f"{route.method} {route.template} is taken by {table[route.method][0].template}")
        table[route.method] = (route, tuple(names))

    def match(self, method: str, path: str) -> tuple[Route, Mapping[str, str]]:
        """Return the route and its parameters. Raises RouteNotFound or MethodNotAllowed."""
        known = self._known.get((method, path))
        if known is None:
            known = self._search(method, path)
            if len(self._known) >= _REMEMBERED_PATHS:
                self._known.clear()
            self._known[method, path] = known
        return known

    def _search(self, method: str, path: str) -> tuple[Route, Mapping[str, str]]:
        segments = [segment for segment in path.split("/") if segment]
        found = _descend(self._root, segments, method)
        allowed: set[str] = set()
        if found is None:
            found = _search(self._root, segments, 0, (), method, allowed)
        if found is not None:
            (route, names), values = found
            return route, MappingProxyType(dict(zip(names, values, strict=True)))
        if allowed:
            raise MethodNotAllowed(
                f"{method} of {path} is not supported by this server; it answers {', '.join(sorted(allowed))}"
            )
        what = next((f"{UNSERVED[s.lower()]} are" for s in reversed(segments) if s.lower() in UNSERVED), "This is")
        raise RouteNotFound(f"{what} not supported by this server: no route answers {method} {path}")


_Found = tuple[tuple[Route, tuple[str, ...]], tuple[str, ...]]


def _descend(node: _Node, segments: list[str], method: str) -> _Found | None:
    """Go the way that a search tries first: where it leads to a route, the search would end. None means: search."""
    values: list[str] = []
    for segment in segments:
        child = node.literals.get(segment) or node.literals.get(segment.lower())
        if child is None:
            child = node.parameter
            values.append(segment)
        if child is None:
            return None
        node = child
    hit = node.routes.get(method)
    return (hit, tuple(values)) if hit else None


def _search(
    node: _Node, segments: list[str], at: int, values: tuple[str, ...], method: str, allowed: set[str]
) -> _Found | None:
    if at == len(segments):
        if hit := node.routes.get(method):
            return hit, values
        allowed.update(node.routes)
        if hit := node.rest.get(method):
            return hit, (*values, "")
        return None
    segment = segments[at]
    child = node.literals.get(segment) or node.literals.get(segment.lower())
    if child and (found := _search(child, segments, at + 1, values, method, allowed)):
        return found
    if node.parameter and (found := _search(node.parameter, segments, at + 1, (*values, segment), method, allowed)):
        return found
    if hit := node.rest.get(method):
        return hit, (*values, "/".join(segments[at:]))
    allowed.update(node.rest)
    return None
