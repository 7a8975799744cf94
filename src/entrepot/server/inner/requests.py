"""Requests that the server sends to itself, past sockets but through the same routes: a deployment's resources."""

import json
from typing import Any

from entrepot.core.errors import NotFound, RouteNotFound
from entrepot.domain import audit
from entrepot.domain.hub import Principal
from entrepot.server.calls import Call
from entrepot.server.places import require_sight
from entrepot.server.routing import MethodNotAllowed
from entrepot.server.site import Site

Json = Any


class Requests:
    """Implements the domain's `Maker` with the routes of a site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def takes(self, id: str) -> bool:
        """Say whether a PUT of this ARM id has a route."""
        try:
            self._site.router.match("PUT", id)
        except (RouteNotFound, MethodNotAllowed):
            return False
        return True

    def put(self, principal: Principal, id: str, body: Json, *, request_id: str) -> Json:
        """Create or change a resource and return it as far as it has come. Raises EntrepotError."""
        return self._sent("PUT", principal, id, body, request_id=request_id)

    def get(self, principal: Principal, id: str) -> Json:
        """Return a resource; None when there is none that the principal may see."""
        try:
            return self._sent("GET", principal, id, None)
        except (NotFound, RouteNotFound, MethodNotAllowed):
            return None

    def post(self, principal: Principal, path: str) -> Json:
        """Return the answer to an action on a resource. Raises EntrepotError."""
        return self._sent("POST", principal, path, {})

    def _sent(self, method: str, principal: Principal, path: str, body: Json, *, request_id: str = "") -> Json:
        site = self._site
        route, params = site.router.match(method, path)
        data = b"" if body is None else json.dumps(body).encode()
        origins = site.addresses.origins("https")
        with audit.answering(request_id):
            if route.is_within:
                require_sight(site.hub, principal, route, params, request_id)
            answer = route.handler(Call(site, method, path, params, b"", {}, principal, request_id, origins, data))
        return json.loads(answer.body) if answer.body else None
