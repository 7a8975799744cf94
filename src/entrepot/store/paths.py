"""Every name in a blob store, and nothing else.

::

    <region>/
      sha256/ab/cdef...         content, named by its SHA-256
      snapshots/ab/cdef...      manifests, named by the SHA-256 of their canonical form
      sizes/1073741824          empty: some content of at least BIG_BYTES has this size
      logs/...                  what processes printed
      blocks/<container>/...    scratch: blocks of an upload that is not committed yet
      .staging/...              files on their way in (not a name: no blob may be called so)
"""

import re

from entrepot.core.digests import Digest, digest_of, is_digest
from entrepot.core.errors import InvalidRequest
from entrepot.core.manifests import is_safe_path

BIG_BYTES = 8 << 20
"""Files from this size on may be sent unhashed, when no stored content has their size."""

STAGING = ".staging"
_SCRATCH = ("blocks/", "sizes/")
_CONTAINER = re.compile(r"[a-z0-9$](?:[a-z0-9-]{1,61}[a-z0-9])\Z")


def content(digest: Digest) -> str:
    """Return the name of the bytes with this digest."""
    return f"sha256/{digest[:2]}/{digest[2:]}"


def snapshot(digest: Digest) -> str:
    """Return the name of the manifest with this digest."""
    return f"snapshots/{digest[:2]}/{digest[2:]}"


def size_mark(size_bytes: int) -> str:
    """Return the name of the empty blob that says: big content of this size exists."""
    return f"sizes/{size_bytes}"


def blocks(container: str, blob: str) -> str:
    """Return the prefix of the uncommitted blocks of one blob."""
    return f"blocks/{container}/{digest_of(blob.encode())[:32]}/"


def block(container: str, blob: str, block_id: str) -> str:
    """Return the name of one uncommitted block."""
    return blocks(container, blob) + block_id.encode().hex()


def block_id(name: str) -> str:
    """Return the id that the client gave to an uncommitted block."""
    return bytes.fromhex(name.rpartition("/")[2]).decode()


def is_scratch(name: str) -> bool:
    """Say whether a blob need not survive a power cut, so that no flush is spent on it."""
    return name.startswith(_SCRATCH)


def digest_in(name: str) -> Digest | None:
    """Return the digest that a content or snapshot name carries, else None."""
    head, _, tail = name.partition("/")
    text = tail.replace("/", "", 1)
    return Digest(text) if head in ("sha256", "snapshots") and is_digest(text) else None


def check_blob_name(name: str) -> str:
    """Return a blob's name if it stays inside the store and out of the staging folder. Raises InvalidRequest."""
    if not is_safe_path(name) or name.startswith("."):
        raise InvalidRequest(f"{name!r} cannot be a blob's name: it must be a relative path without '..'")
    return name


def check_container_name(name: str) -> str:
    """Return a container's name if Azure would allow it. Raises InvalidRequest."""
    if not _CONTAINER.match(name) or "--" in name:
        raise InvalidRequest(
            f"{name!r} is not a container name: use 3 to 63 lower-case letters, digits and single hyphens, "
            "the first and the last a letter or a digit"
        )
    return name
