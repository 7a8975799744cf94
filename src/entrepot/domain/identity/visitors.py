"""People whom an outside provider vouches for: put into the directory at first sight, with no rights of their own.

Which provider is believed is a setting (`oidc_providers`); that a token of it is genuine is the server's to check.
"""

import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from entrepot.core.digests import digest_of
from entrepot.core.errors import AlreadyExists, InvalidRequest, RevisionMismatch, Unauthenticated
from entrepot.domain import access
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.identity import directory, granting, guesses
from entrepot.domain.identity.refusals import SignInRefused
from entrepot.domain.secrets.expiry import swept
from entrepot.store.documents import ABSENT, Delete, Document, Put

Json = Any

_FIELDS = (
    "issuer", "audience", "discovery", "subject_claim", "name_claim", "group_claim", "groups", "is_member", "client_id",
    "client_secret", "label", "scopes",
)  # fmt: skip
_DEPARTURE_S = 600.0
_MOST_DEPARTURES = 60  # a minute, from one address
_DEPARTURES = "departures/"
_NAME = re.compile(r"[^\s@/\\\"'<>]{1,64}@[A-Za-z0-9.-]{1,190}")


@dataclass(frozen=True, slots=True)
class Provider:
    """An outside provider: whose tokens, for which audiences, and what their claims mean here.

    With a `client_id`, this server is a client there, and people sign in by it in the browser.
    """

    issuer: str
    audiences: tuple[str, ...]
    discovery: str = ""
    subject_claim: str = "sub"
    name_claim: str = "preferred_username"
    group_claim: str = "groups"
    groups: Mapping[str, str] = field(default_factory=dict)
    is_member: bool = False
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    label: str = ""
    scopes: str = "openid profile email"

    @property
    def title(self) -> str:
        """What people know it as."""
        return self.label or urlsplit(self.issuer).hostname or self.issuer


@dataclass(frozen=True, slots=True)
class Departure:
    """Somebody on the way to a provider: what goes with them, and `binding`, which their browser keeps."""

    state: str
    nonce: str
    verifier: str
    binding: str


def depart(hub: Hub, provider: Provider, *, onward: str, address: str) -> Departure:
    """Remember that a browser goes to a provider, and where it wants to be afterwards. Raises SignInRefused."""
    guesses.count_request(hub, kind="departure", address=address, limit=_MOST_DEPARTURES)
    made = Departure(*(secrets.token_urlsafe(32) for _ in range(4)))
    body = {
        "issuer": provider.issuer, "nonce": made.nonce, "verifier": made.verifier, "onward": onward,
        "binding": digest_of(made.binding.encode()), "expires": hub.clock.now() + _DEPARTURE_S,
    }  # fmt: skip
    hub.documents.commit([Put(_departure_key(made.state), body, match=ABSENT), *swept(hub, _DEPARTURES)])
    return made


def returned(hub: Hub, state: str, *, binding: str) -> dict[str, Json]:
    """Return the departure from which a browser comes back, once. Raises SignInRefused for any other browser's."""
    document = hub.documents.get(_departure_key(state))
    kept = document.body["binding"] if document else "-" * 64
    if not hmac.compare_digest(kept, digest_of(binding.encode())) or document is None:
        raise SignInRefused("invalid_request", 50011, "This browser did not begin this sign-in, or has ended it")
    try:
        hub.documents.commit([Delete(document.key, match=document.revision)])
    except RevisionMismatch:
        raise SignInRefused("invalid_request", 50011, "This sign-in has ended already") from None
    if document.body["expires"] <= hub.clock.now():
        raise SignInRefused("invalid_request", 50011, "This sign-in took too long: begin again")
    body: dict[str, Json] = document.body
    return body


def _departure_key(state: str) -> str:
    return f"{_DEPARTURES}{digest_of(state.encode())}"


def read_providers(tables: Sequence[Mapping[str, Json]]) -> dict[str, Provider]:
    """Return the providers of the settings by issuer. Raises InvalidRequest for one that is not well said."""
    found = {}
    for table in tables:
        unknown = sorted(set(table) - set(_FIELDS))
        if unknown:
            raise InvalidRequest(f"oidc_providers: unknown field {unknown[0]!r}; known are {', '.join(_FIELDS)}")
        issuer, audience = table.get("issuer"), table.get("audience")
        audiences = tuple(audience) if isinstance(audience, list) else (audience,)
        if not isinstance(issuer, str) or not issuer or not all(isinstance(name, str) and name for name in audiences):
            raise InvalidRequest("oidc_providers: each needs an issuer and an audience (a text, or a list of texts)")
        rest = {name: table[name] for name in _FIELDS[2:] if name in table}
        texts = [name for name in rest if name not in ("groups", "is_member") and not isinstance(rest[name], str)]
        if texts or not isinstance(rest.get("groups", {}), dict) or not isinstance(rest.get("is_member", False), bool):
            raise InvalidRequest(f"oidc_providers: {[*texts, 'groups or is_member'][0]} has the wrong type")
        if "openid" not in str(rest.get("scopes", "openid")).split():
            raise InvalidRequest("oidc_providers: scopes must hold openid, without which there is no token of who came")
        found[issuer] = Provider(issuer, audiences, **rest)
    return found


def admit(hub: Hub, provider: Provider, claims: Mapping[str, Json]) -> Principal:
    """Return whom the claims of a genuine token stand for here. Raises Unauthenticated for who is switched off."""
    subject = claims.get(provider.subject_claim)
    if not isinstance(subject, str) or not subject:
        missing = provider.subject_claim
        raise Unauthenticated(f"The token of {provider.issuer} does not say whose it is: it has no {missing}")
    name = directory.subject_name(provider.issuer, subject)
    document = directory.find(hub, directory.USER, name)
    if document is None:
        document = _welcomed(hub, provider, name, claims)
    _regroup(hub, document, _groups(hub, provider, claims))
    holder = hub.standing.of(hub.documents, document.body["id"], hub.clock.now())
    if holder is None or not holder.is_enabled:
        raise Unauthenticated(f"The account of {claims.get(provider.name_claim) or subject} is switched off here")
    return granting.principal_of(hub, holder)


def _welcomed(hub: Hub, provider: Provider, name: str, claims: Mapping[str, Json]) -> Document:
    """Put somebody into the directory; two requests at once make one of it."""
    told = str(claims.get(provider.name_claim) or claims.get("email") or "")
    plain = f"{name[:20]}@{urlsplit(provider.issuer).hostname or 'outside'}"
    ours = {"subject": name, "issuer": provider.issuer, "mappedGroups": []}
    for upn in (told, plain) if _NAME.fullmatch(told) else (plain,):
        body = {
            "displayName": str(claims.get("name") or told or upn)[:256], "userPrincipalName": upn,
            "userType": "Member" if provider.is_member else "Guest",
        }  # fmt: skip
        try:
            return directory.create(hub, access.SYSTEM, directory.USER, body, ours=ours)
        except AlreadyExists:
            if found := directory.find(hub, directory.USER, name):
                return found  # another request was first; else somebody here has that name already
    raise Unauthenticated(f"There is no name left in the directory for {told or name} of {provider.issuer}")


def _groups(hub: Hub, provider: Provider, claims: Mapping[str, Json]) -> list[str]:
    """Return the ids of our groups that the token's groups stand for."""
    told = claims.get(provider.group_claim)
    values = told if isinstance(told, list) else [told] if isinstance(told, str) else []
    found = []
    for value in values:
        name = provider.groups.get(str(value).lstrip("/")) or provider.groups.get(str(value))
        if name is None:
            continue
        group = directory.find(hub, directory.GROUP, name)
        named = [group] if group else directory.named(hub, directory.GROUP, name)
        found += [document.body["id"] for document in named]
    return sorted(set(found))


def _regroup(hub: Hub, document: Document, groups: list[str]) -> None:
    """Keep the groups that the newest token tells of."""

    def write() -> None:
        fresh = hub.documents.get(document.key)
        if fresh is None or fresh.body["entrepot"].get("mappedGroups") == groups:
            return
        body = fresh.body
        body["entrepot"]["mappedGroups"] = groups
        directory.changed(hub, access.SYSTEM, fresh, body)

    settled(write)
