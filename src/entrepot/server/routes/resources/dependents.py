"""Storage accounts, vaults and insights that workspaces name: read, and deleted with them. Nothing is behind them."""

from collections.abc import Iterator

from entrepot.domain import workspaces
from entrepot.domain.surroundings import dependents
from entrepot.server.calls import Answer, Call, reply, reply_empty
from entrepot.server.places import GROUP
from entrepot.server.routing import Route


def _get(call: Call) -> Answer:
    return reply(dependents.get(call.hub, call.principal, call.params["subscription"], call.params["group"], call.path))


def _delete(call: Call) -> Answer:
    dependents.delete(
        call.hub, call.principal, call.params["subscription"], call.params["group"], call.path,
        request_id=call.request_id,
    )  # fmt: skip
    return reply_empty(200)


def _routes() -> Iterator[Route]:
    for kind in dependents.TYPES:
        place = f"{GROUP}/providers/{kind}/{{dependent}}"
        yield Route("GET", place, workspaces.READ, _get)
        yield Route("DELETE", place, workspaces.DELETE, _delete)


ROUTES = tuple(_routes())
