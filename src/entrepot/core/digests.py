"""SHA-256 digests, the public names of bytes, and the canonical JSON that documents are compared and hashed by."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, NewType

Digest = NewType("Digest", str)
"""Lower-case hex SHA-256, 64 characters, without prefix."""

CHUNK_BYTES = 1 << 20
_HEX = re.compile("[0-9a-f]{64}")


def digest_of(data: bytes) -> Digest:
    """Return the digest of bytes in memory."""
    return Digest(hashlib.sha256(data).hexdigest())


def digest_file(path: Path) -> Digest:
    """Return the digest of a file, reading it once in 1 MiB pieces."""
    with path.open("rb") as file:
        return Digest(hashlib.file_digest(file, "sha256").hexdigest())


def canonical_json(value: Any) -> bytes:
    """Render JSON with sorted keys and no spaces, so that equal values have equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_json(value: Any) -> Digest:
    """Return the digest of a JSON value's canonical form."""
    return digest_of(canonical_json(value))


def is_digest(text: str) -> bool:
    """Say whether text is 64 lower-case hex characters."""
    return _HEX.fullmatch(text) is not None
