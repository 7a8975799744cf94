"""What applications prove themselves with, as Microsoft Graph shows it: secrets and federated subjects.

A service principal's routes lead to its application: they prove themselves with the same.
"""

from typing import Any

from entrepot.core.errors import InvalidRequest
from entrepot.domain.identity import credentials, directory
from entrepot.server.calls import Answer, Call, reply, reply_empty
from entrepot.server.routing import Route
from entrepot.wire import graph

Json = Any


def _add_password(call: Call) -> Answer:
    wanted = call.fields.get("passwordCredential") or {}
    if not isinstance(wanted, dict):
        raise InvalidRequest("passwordCredential must be an object", target="passwordCredential")
    fresh = credentials.add_secret(
        call.hub, call.principal, call.params["id"], display_name=str(wanted.get("displayName") or ""),
        end=wanted.get("endDateTime"), request_id=call.request_id,
    )  # fmt: skip
    return reply(fresh.told())


def _remove_password(call: Call) -> Answer:
    id = str(call.fields.get("keyId") or "")
    credentials.remove(call.hub, call.principal, call.params["id"], id, request_id=call.request_id)
    return reply_empty()


def _federated(call: Call) -> Answer:
    directory.require_reader(call.principal)
    return reply(graph.collection(credentials.federated(call.hub, call.params["id"])))


def _add_federated(call: Call) -> Answer:
    entry = credentials.add_federated(
        call.hub, call.principal, call.params["id"], call.fields, request_id=call.request_id
    )
    return reply(entry, status=201)


def _one_federated(call: Call) -> Answer:
    directory.require_reader(call.principal)
    return reply(credentials.federated_named(call.hub, call.params["id"], call.params["credential"]))


def _change_federated(call: Call) -> Answer:
    place = (call.params["id"], call.params["credential"])
    credentials.update_federated(call.hub, call.principal, *place, call.fields, request_id=call.request_id)
    return reply_empty()


def _remove_federated(call: Call) -> Answer:
    credentials.remove(
        call.hub, call.principal, call.params["id"], call.params["credential"], request_id=call.request_id
    )
    return reply_empty()


_READ = "everybody who signed in may look names up, as in Entra; jobs may not, which the handler sees to"
_OWNERS = ("/v1.0/applications/{id}", "/v1.0/servicePrincipals/{id}")
_FEDERATED = "/v1.0/applications/{id}/federatedIdentityCredentials"
_ONE = f"{_FEDERATED}/{{credential}}"
ROUTES = (
    *(Route("POST", f"{owner}/addPassword", credentials.WRITE, _add_password) for owner in _OWNERS),
    *(Route("POST", f"{owner}/removePassword", credentials.WRITE, _remove_password) for owner in _OWNERS),
    Route("GET", _FEDERATED, None, _federated, reason=_READ),
    Route("POST", _FEDERATED, credentials.WRITE, _add_federated),
    Route("GET", _ONE, None, _one_federated, reason=_READ),
    Route("PATCH", _ONE, credentials.WRITE, _change_federated),
    Route("DELETE", _ONE, credentials.WRITE, _remove_federated),
)
