"""Files that pass through the API server: received into the store and sent from it without being held in memory.

Only MLflow's artifact proxy and small result files come this way; uploads and downloads have the data plane.
"""

import hashlib
import mimetypes
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from entrepot.core.digests import Digest
from entrepot.core.errors import NotFound, TooLarge
from entrepot.server.calls import Answer, Call, Header
from entrepot.store import paths, snapshots, spool
from entrepot.store.containers import Containers
from entrepot.store.overlay import BlobItem

_CHUNK_BYTES = 1 << 20
_BINARY = "application/octet-stream"


def receive(call: Call, containers: Containers, container: str, name: str) -> BlobItem:
    """Store the request's body as a blob of a container. Raises TooLarge over the server's upload limit."""
    assert call.stream is not None
    start, limit_bytes = _start(call.stream), call.hub.settings.upload_limit_bytes
    if len(start) <= spool.LIMIT_BYTES and (not limit_bytes or len(start) <= limit_bytes):
        return containers.put_bytes(container, name, start, content_type=content_type_of(name))
    folder = call.hub.settings.home / "incoming"
    folder.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        file = Path(scratch) / "body"
        digest, size_bytes = _kept(start, call.stream, file, limit_bytes=limit_bytes)
        snapshots.keep_file(containers.store(container), digest, file)
        return containers.put(container, name, digest, size_bytes, content_type=content_type_of(name))


def send(call: Call, container: str, name: str) -> Answer:
    """Answer a blob's bytes. Raises NotFound."""
    item = call.hub.containers.stat(container, name)
    if item is None:
        raise NotFound(f"There is no file {name!r}")
    file = call.hub.containers.store(container).open(paths.content(item.digest))
    headers: tuple[Header, ...] = (
        (b"content-type", content_type_of(name).encode()),
        (b"content-length", str(item.size_bytes).encode()),
        (b"content-disposition", b"attachment"),
        (b"etag", item.etag.encode()),
    )
    return Answer(200, b"", headers, chunks=_chunks(file))


def content_type_of(name: str) -> str:
    """Return the media type that a file's name suggests."""
    return mimetypes.guess_type(name)[0] or _BINARY


def _start(source: BinaryIO) -> bytes:
    """Return the whole of a small body, or more of a larger one than a small one has."""
    data = b""
    while len(data) <= spool.LIMIT_BYTES and (chunk := source.read(_CHUNK_BYTES)):
        data += chunk
    return data


def _kept(start: bytes, source: BinaryIO, file: Path, *, limit_bytes: int) -> tuple[Digest, int]:
    sha, size_bytes = hashlib.sha256(), 0
    with file.open("xb") as out:
        for chunk in chain((start,), iter(lambda: source.read(_CHUNK_BYTES), b"")):
            size_bytes += len(chunk)
            if limit_bytes and size_bytes > limit_bytes:
                raise TooLarge(f"The upload has more than {limit_bytes} bytes, which is this server's limit")
            sha.update(chunk)
            out.write(chunk)
    return Digest(sha.hexdigest()), size_bytes


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
