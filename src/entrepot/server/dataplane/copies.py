"""What is copied from: another blob of this server, named by its address, with the right to read it."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import parse_qsl, unquote, urlsplit

from entrepot.core.errors import NotFound
from entrepot.server.dataplane import conditions
from entrepot.server.dataplane.messages import Refusal, Request
from entrepot.server.dataplane.sas import Grant
from entrepot.store import paths
from entrepot.store.blobs import BlobStore
from entrepot.store.containers import BlobItem, Containers

_SOURCE = "x-ms-source-"


@dataclass(frozen=True, slots=True)
class CopySource:
    """A blob to copy from, and the store that has its bytes."""

    item: BlobItem
    store: BlobStore


@dataclass(slots=True)
class Copied:
    """A range of a blob as a body that arrives."""

    file: BinaryIO
    length: int | None
    left: int

    def readinto(self, view: memoryview) -> int:
        """Fill the view as far as the range goes; return the number of bytes, 0 at the end."""
        data = self.file.read(min(len(view), self.left))
        view[: len(data)] = data
        self.left -= len(data)
        return len(data)


def copy_source(
    request: Request, containers: Containers, grant: Grant, grant_for: Callable[[str, Mapping[str, str]], Grant]
) -> CopySource:
    """Return the blob that x-ms-copy-source names. Raises Refusal, NotFound; `grant` is the target's."""
    address = urlsplit(request.headers["x-ms-copy-source"])
    if address.netloc.rpartition("@")[2].lower() != request.headers.get("host", "").lower():
        raise Refusal(400, "CannotVerifyCopySource", "A copy's source must be a blob of this server.", closes=False)
    container, _, name = unquote(address.path).lstrip("/").partition("/")
    query = dict(parse_qsl(address.query))
    leave = grant if container == request.container and "sig" not in query else grant_for(container, query)
    if "r" not in leave.permissions:
        raise Refusal(403, "CannotVerifyCopySource", "The source's signature does not let read.", closes=False)
    item = containers.stat(container, name)
    if item is None:
        raise NotFound(f"There is no blob {name!r} in container {container!r}.")
    asked = {key.removeprefix(_SOURCE): value for key, value in request.headers.items() if key.startswith(_SOURCE)}
    if not conditions.check_read(asked, item):
        raise Refusal(412, "SourceConditionNotMet", "The source is not in the state that is asked for.", closes=False)
    return CopySource(item, containers.store(container, leave.region))


@contextlib.contextmanager
def opened(source: CopySource, headers: Mapping[str, str]) -> Iterator[Copied]:
    """Open the range of a source that x-ms-source-range asks for. Raises Refusal (416)."""
    size = source.item.size_bytes
    start, length = conditions.wanted_range({"range": headers.get(f"{_SOURCE}range", "")}, size) or (0, size)
    with source.store.open(paths.content(source.item.digest), start=start, length=length) as file:
        yield Copied(file, length, length)
