"""Hashing and checking secrets with argon2id, a few at a time: each check takes 19 MiB and tens of milliseconds."""

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argon2 import PasswordHasher

_MEMORY_KIB = 19 << 10  # OWASP's first choice for argon2id: 19 MiB, two passes, one lane
_PASSES = 2


class Passwords:
    """Makes and checks hashes. `gate` bounds how many are at work, and with it memory and guesses in flight."""

    def __init__(self) -> None:
        self.gate = threading.BoundedSemaphore(max(2, os.cpu_count() or 1))
        self._lock = threading.Lock()
        self._hasher: PasswordHasher | None = None
        self._decoy = ""

    def hash(self, secret: str) -> str:
        """Return what may be stored of a secret."""
        return self._tool().hash(secret)

    def verify(self, hashed: str, secret: str) -> bool:
        """Say whether this is the secret; takes the same time whether there is a hash ('' for none) or not."""
        from argon2.exceptions import InvalidHashError, VerificationError

        tool = self._tool()
        try:
            return tool.verify(hashed or self._decoy, secret) and bool(hashed)
        except (VerificationError, InvalidHashError):
            return False

    def _tool(self) -> "PasswordHasher":
        with self._lock:
            if self._hasher is None:
                from argon2 import PasswordHasher

                self._hasher = PasswordHasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=1)
                self._decoy = self._hasher.hash(os.urandom(16).hex())
            return self._hasher
