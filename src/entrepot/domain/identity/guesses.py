"""Limits on guessing: how often a wrong credential may be shown, per principal and address, and per address.

Checks run a few at a time, in turns of `Passwords`, and the limits are asked there: so guesses in flight
cannot pass them together. What was counted is in the store, for other processes and for the next one.
"""

import ipaddress
from collections.abc import Callable
from typing import Any, TypeVar

from entrepot.core.digests import digest_of
from entrepot.domain import audit
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.identity.refusals import SignInRefused, locked
from entrepot.domain.secrets.expiry import swept
from entrepot.store.documents import ABSENT, Append, Put

Json = Any
T = TypeVar("T")

SIGN_IN = "Microsoft.Authorization/principals/signIn/action"
WINDOW_S = 60.0
LIMITS = {"pair": 10, "principal": 100, "address": 50}
"""Wrong guesses per window: at one principal from one address, at one principal from all, from one address at all.

The second is the loosest, so that a stranger cannot easily lock somebody out.
"""
_PREFIX = "guesses/"


def guarded(hub: Hub, *, subject: str, address: str, check: Callable[[], T]) -> T:
    """Run a check of a credential and return what it says. A SignInRefused of the check counts as a wrong guess.

    `subject`: the id of the principal, '' for an unknown one. Raises SignInRefused without a check when there were
    too many.
    """
    network = _network(address)
    keys = {"address": f"address|{network}"}
    if subject:
        keys |= {"pair": f"pair|{subject}|{network}", "principal": f"principal|{subject}"}
    with hub.passwords.turn():
        for kind, name in keys.items():
            _require_room(hub, _key(name), LIMITS[kind])
        try:
            value = check()
        except SignInRefused as refused:
            for name in keys.values():
                _count(hub, _key(name))
            hub.documents.commit([_told(hub, subject, address, refused)])
            raise
    return value


def _told(hub: Hub, subject: str, address: str, refused: SignInRefused) -> Append:
    """Return the entry of the audit trail about a sign-in that failed."""
    who = Principal(subject, "", "Unproven")
    details = {"address": address, "error": refused.number}
    return audit.record(
        who, SIGN_IN, target=f"/{subject or 'unknown'}", outcome=audit.DENIED, now=hub.clock.now(), details=details
    )


def count_request(hub: Hub, *, kind: str, address: str, limit: int) -> None:
    """Count what strangers may do only so often from one address. Raises SignInRefused beyond the limit."""
    key = _key(f"{kind}|{_network(address)}")
    _require_room(hub, key, limit)
    _count(hub, key)


def _require_room(hub: Hub, key: str, limit: int) -> None:
    document = hub.documents.get(key)
    if document is None:
        return
    body, now = document.body, hub.clock.now()
    rest = body["expires"] - now
    if body["count"] >= limit and rest > 0:
        raise locked(rest)


def _count(hub: Hub, key: str) -> None:
    now = hub.clock.now()

    def write() -> None:
        document = hub.documents.get(key)
        body = {"count": 1, "expires": now + WINDOW_S}
        if document is not None and document.body["expires"] > now:
            body = {"count": document.body["count"] + 1, "expires": document.body["expires"]}
        hub.documents.commit(
            [Put(key, body, match=document.revision if document else ABSENT), *swept(hub, _PREFIX, keep=key)]
        )

    settled(write)


def _key(name: str) -> str:
    return f"{_PREFIX}{digest_of(name.encode())}"


def _network(address: str) -> str:
    """Return what counts as one address: of IPv6 the network that one customer is given."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network(f"{address}/64", strict=False))
    return str(parsed)
