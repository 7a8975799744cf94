"""Hashing and checking secrets with argon2id, a few at a time: each check takes 19 MiB and tens of milliseconds."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from entrepot.domain.identity.refusals import SignInRefused

if TYPE_CHECKING:
    from argon2 import PasswordHasher

_MEMORY_KIB = 19 << 10  # OWASP's first choice for argon2id: 19 MiB, two passes, one lane
_PASSES = 2
_MOST_WAITING = 48  # each holds a thread of the server


class Passwords:
    """Makes and checks hashes; `turn` bounds how many are at work, and with it memory and guesses in flight."""

    def __init__(self) -> None:
        self._gate = threading.BoundedSemaphore(max(2, os.cpu_count() or 1))
        self._lock = threading.Lock()
        self._waiting = 0
        self._hasher: PasswordHasher | None = None
        self._decoy = ""

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for one's turn to check a credential. Raises SignInRefused when too many wait already."""
        with self._lock:
            if self._waiting >= _MOST_WAITING:
                raise SignInRefused(
                    "temporarily_unavailable", 90033, "Too many sign-ins are being checked: try again in a moment"
                )
            self._waiting += 1
        try:
            with self._gate:
                yield
        finally:
            with self._lock:
                self._waiting -= 1

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
