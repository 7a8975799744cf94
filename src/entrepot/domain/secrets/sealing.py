"""Sealing and opening texts that must not lie in the store as they are: AES-256-GCM, bound to the document they are in.

`hub.sealer.seal(text, at=key)` gives what may be stored in the document of this key, `hub.sealer.open(sealed, at=key)`
the text again. Where keys are kept is decided by who builds the sealer; here is no file.
"""

import base64
import hashlib
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from entrepot.core.errors import EntrepotError

MARK = "sealed:v1:"
"""What every sealed text begins with."""

KEY_BYTES = 32
_NONCE_BYTES = 12


class SealedElsewhere(EntrepotError):
    """A secret that no key of this server opens: the key was lost, or belongs to another server of the store."""

    code = "SecretsKeyMissing"


@dataclass(frozen=True, slots=True)
class KeyFile:
    """How the keys that a server keeps itself are changed: `add` makes a new one, `retire` drops the old ones."""

    add: Callable[[], None]
    retire: Callable[[], None]


class Sealer:
    """Seals with the newest of its keys and opens with any. Keys are loaded at first use; thread-safe.

    Without a `file` the keys are given from outside, and changed there.
    """

    def __init__(self, load: Callable[[], Sequence[bytes]], *, file: KeyFile | None = None) -> None:
        self.file = file
        self._load = load
        self._lock = threading.Lock()
        self._keys: dict[str, bytes] = {}

    @property
    def newest(self) -> str:
        """The id of the key that seals now."""
        return next(iter(self._known()))

    def seal(self, text: str, *, at: str) -> str:
        """Return the sealed text for the document with the key `at`; it opens nowhere else."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        id, key = next(iter(self._known().items()))
        nonce = secrets.token_bytes(_NONCE_BYTES)
        closed = AESGCM(key).encrypt(nonce, text.encode(), at.encode())
        return f"{MARK}{id}:{base64.b64encode(nonce + closed).decode()}"

    def open(self, sealed: str, *, at: str) -> str:
        """Return the text that was sealed for this document. Raises SealedElsewhere."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        id, _, body = sealed.removeprefix(MARK).partition(":")
        key = self._known().get(id)
        if key is None or not is_sealed(sealed):
            raise SealedElsewhere(
                f"A secret of {at} was sealed with the key {id!r}, which this server does not have",
                hint="bring back keys/secrets.key of the home, or give the key in ENTREPOT_SECRETS_KEY",
            )
        data = base64.b64decode(body)
        try:
            return AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], at.encode()).decode()
        except InvalidTag:
            raise SealedElsewhere(f"A secret of {at} was changed, or belongs to another document") from None

    def forget(self) -> None:
        """Load the keys anew at the next use."""
        with self._lock:
            self._keys = {}

    def _known(self) -> dict[str, bytes]:
        known = self._keys
        if not known:
            with self._lock:
                known = self._keys = self._keys or {id_of(key): key for key in self._load()}
        return known


def id_of(key: bytes) -> str:
    """Return the name by which a key is known; it tells nothing of the key."""
    return hashlib.sha256(b"entrepot secrets key" + key).hexdigest()[:12]


def is_sealed(value: object) -> bool:
    """Say whether this is a sealed text."""
    return isinstance(value, str) and value.startswith(MARK)


def sealed_with(sealed: str) -> str:
    """Return the id of the key that a text was sealed with."""
    return sealed.removeprefix(MARK).partition(":")[0]
