"""An endpoint's secrets: two keys, and what signs its tokens. Made, kept, replaced, and told apart here.

They lie, sealed, in a document of their own that no list and no `show` returns. Gateways get digests only.
"""

import hmac
import secrets
from dataclasses import dataclass
from typing import Any

from entrepot.core.digests import digest_of
from entrepot.core.errors import InvalidRequest, NotFound
from entrepot.domain.endpoints.places import EndpointRef
from entrepot.domain.hub import Hub
from entrepot.store.documents import Document, Put

Json = Any

PRIMARY, SECONDARY = "primaryKey", "secondaryKey"
TOKEN_LIFETIME_S = 24 * 3600
_KEY_BYTES = 32
_SHORTEST_KEY = 16
_KINDS = {"primary": PRIMARY, "secondary": SECONDARY}


@dataclass(frozen=True, slots=True)
class Keys:
    """What `listKeys` answers, and the secret that signs the endpoint's tokens."""

    primary: str
    secondary: str
    signing: str

    @property
    def digests(self) -> tuple[str, str]:
        """What a gateway compares presented keys with: they have 256 random bits, so a plain SHA-256 hides them."""
        return digest_of(self.primary.encode()), digest_of(self.secondary.encode())


def made(ref: EndpointRef, hub: Hub) -> Put:
    """Return the change that gives a new endpoint its secrets."""
    return _put(hub, ref, Keys(_new_key(), _new_key(), _new_key()), match=0)


def read(hub: Hub, ref: EndpointRef) -> Keys:
    """Return an endpoint's secrets. Raises NotFound."""
    document = hub.documents.get(ref.secrets_key)
    if document is None:
        raise NotFound(f"There are no keys of {ref}")
    return keys_of(hub, document)


def keys_of(hub: Hub, document: Document) -> Keys:
    """Read the document that holds an endpoint's secrets."""
    body = document.body
    texts = (hub.sealer.open(body[name], at=document.key) for name in (PRIMARY, SECONDARY, "signingKey"))
    return Keys(*texts)


def replaced(hub: Hub, ref: EndpointRef, kind: str, value: str | None) -> Put:
    """Return the change that puts a new key, or the one the caller gives, in the place of one. Raises InvalidRequest.

    The endpoint's tokens end with its primary key. azure-ai-ml 1.35 sends the key that it wants replaced: it gets
    another one.
    """
    slot = _KINDS.get(kind.lower())
    if slot is None:
        raise InvalidRequest(f"keyType is {kind!r}: it must be Primary or Secondary", target="keyType")
    if value is not None and len(value) < _SHORTEST_KEY:
        raise InvalidRequest(f"keyValue is too short: give at least {_SHORTEST_KEY} characters", target="keyValue")
    document = hub.documents.get(ref.secrets_key)
    if document is None:
        raise NotFound(f"There are no keys of {ref}")
    old = keys_of(hub, document)
    fresh = _new_key() if value is None or value in (old.primary, old.secondary) else value
    if slot == PRIMARY:
        return _put(hub, ref, Keys(fresh, old.secondary, _new_key()), match=document.revision)
    return _put(hub, ref, Keys(old.primary, fresh, old.signing), match=document.revision)


def is_same(presented: str, secret: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(presented.encode(), secret.encode())


def _put(hub: Hub, ref: EndpointRef, keys: Keys, *, match: int) -> Put:
    texts = {PRIMARY: keys.primary, SECONDARY: keys.secondary, "signingKey": keys.signing}
    body = {name: hub.sealer.seal(text, at=ref.secrets_key) for name, text in texts.items()}
    return Put(ref.secrets_key, body, match=match)


def _new_key() -> str:
    return secrets.token_urlsafe(_KEY_BYTES)
