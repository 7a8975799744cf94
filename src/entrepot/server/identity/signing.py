"""The keys that sign tokens: private halves in owner-only files of the home, public halves in the store.

So every server of a store believes the tokens of the others. A key signs for a month and is believed until the last
token that it signed has ended. The JOSE library is imported at first use.
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entrepot.core.clock import Clock
from entrepot.server.keys import private_folder, write_private
from entrepot.store.documents import Delete, DocumentStore, Put, View

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

Json = Any

COLLECTION = "authority/keys"
SIGNS_S = 30 * 86400.0
BELIEVED_S = 2 * SIGNS_S + 86400.0  # a job's token lives for a month at most
_BITS = 2048  # RS256, which every verifier of Entra's tokens reads
_ABSENT_S = 1.0


@dataclass(frozen=True, slots=True)
class Key:
    """A key pair and since when it signs."""

    id: str
    created: float
    pair: "RSAKey"


class SigningKeys:
    """The keys of one server process; `documents` has those of all. Thread-safe."""

    def __init__(self, folder: Path, documents: DocumentStore, clock: Clock) -> None:
        self._folder = folder
        self._documents = documents
        self._clock = clock
        self._lock = threading.Lock()
        self._current: Key | None = None
        self._public: dict[str, RSAKey] = {}
        self._absent: dict[str, float] = {}

    def current(self) -> Key:
        """Return the key that signs now, making one when there is none or it has signed for long enough."""
        key = self._current
        if key is None or self._clock.now() - key.created >= SIGNS_S:
            with self._lock:
                key = self._current or self._stored()
                if key is None or self._clock.now() - key.created >= SIGNS_S:
                    key = self._make()
                self._current = key
        return key

    def rotate(self) -> Key:
        """Sign with a new key from now on; the one before is believed until its tokens have ended."""
        with self._lock:
            self._current = self._make()
            return self._current

    def public(self, id: str) -> "RSAKey | None":
        """Return the public half of a key of any server of the store; None when there is none that is believed."""
        known = self._public.get(id)
        now = self._clock.now()
        if known is None and now - self._absent.get(id, float("-inf")) >= _ABSENT_S:
            known = self._fetch(id)
            if known is None:
                if len(self._absent) > 1000:  # ids are the caller's words
                    self._absent.clear()
                self._absent[id] = now
        return known

    def published(self) -> list[Json]:
        """Return the public halves that are believed now, as JSON Web Keys."""
        self.current()
        page = self._documents.list(COLLECTION, view=View.ALL, limit=1000)
        oldest = self._clock.now() - BELIEVED_S
        return [document.body["jwk"] for document in page.documents if document.body["created"] > oldest]

    def _fetch(self, id: str) -> "RSAKey | None":
        from joserfc.jwk import RSAKey

        document = self._documents.get(f"{COLLECTION}/{id}") if id.replace("-", "").replace("_", "").isalnum() else None
        if document is None or document.body["created"] <= self._clock.now() - BELIEVED_S:
            return None
        key = RSAKey.import_key(document.body["jwk"])
        self._public[id] = key
        return key

    def _stored(self) -> Key | None:
        from joserfc.jwk import RSAKey

        files = sorted(self._folder.glob("*.pem")) if self._folder.is_dir() else []
        if not files:
            return None
        pair = RSAKey.import_key(files[-1].read_text())
        key = Key(pair.thumbprint(), float(files[-1].stem), pair)
        if self._documents.get(f"{COLLECTION}/{key.id}") is None:  # the process died between file and store
            self._publish(key)
        return key

    def _make(self) -> Key:
        from joserfc.jwk import RSAKey

        pair = RSAKey.generate_key(_BITS)
        key = Key(pair.thumbprint(), self._clock.now(), pair)
        private_folder(self._folder)
        file = self._folder / f"{key.created:017.3f}.pem"
        write_private(file, pair.as_pem(private=True).decode())
        self._publish(key)
        for old in self._folder.glob("*.pem"):
            if old != file:
                old.unlink()  # what it signed is checked with its public half
        return key

    def _publish(self, key: Key) -> None:
        jwk = {**key.pair.as_dict(private=False), "kid": key.id, "use": "sig", "alg": "RS256"}
        changes: list[Put | Delete] = [Put(f"{COLLECTION}/{key.id}", {"created": key.created, "jwk": jwk})]
        held = self._documents.list(COLLECTION, view=View.ALL, limit=1000).documents
        oldest = self._clock.now() - BELIEVED_S
        changes += [Delete(document.key) for document in held if document.body["created"] <= oldest]
        self._documents.commit(changes)
