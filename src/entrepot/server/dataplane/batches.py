"""Blob Batch: many deletions in one request, as `delete_blobs` of azure-storage-blob sends them."""

import re
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import uuid4

from entrepot.core.errors import InvalidRequest
from entrepot.server.dataplane.messages import Answer, Request

_MOST = 256  # as in Azure
_BYTES = 4 << 20
_BOUNDARY = re.compile(r"boundary=\"?([^\";]+)")


class Nothing:
    """The body of a request that has none."""

    length: int | None = 0

    def readinto(self, view: memoryview) -> int:
        """Return 0, the end."""
        return 0


def answered(request: Request, answer: Callable[[Request], Answer]) -> Answer:
    """Answer a batch: each part by `answer`, a deletion in the batch's container. Raises InvalidRequest."""
    found = _BOUNDARY.search(request.headers.get("content-type", ""))
    if found is None:
        raise InvalidRequest("A batch is multipart/mixed with a boundary")
    parts = request.read_all(_BYTES).split(b"--" + found[1].strip().encode())[1:-1]
    if not 0 < len(parts) <= _MOST:
        raise InvalidRequest(f"A batch has 1 to {_MOST} parts: got {len(parts)}")
    mark = f"batchresponse_{uuid4()}"
    pieces = [_told(number, _one(request, part, number, answer), mark) for number, part in enumerate(parts)]
    body = b"".join(pieces) + f"--{mark}--\r\n".encode()
    return Answer(202, {"Content-Type": f"multipart/mixed; boundary={mark}"}, body)


def _one(batch: Request, part: bytes, number: int, answer: Callable[[Request], Answer]) -> Answer:
    text = part.decode("utf-8", "replace").replace("\r\n", "\n")
    _, _, inner = text.partition("\n\n")
    line, _, rest = inner.lstrip("\n").partition("\n")
    words = line.split(" ")
    if len(words) != 3:
        raise InvalidRequest(f"Part {number} of the batch is no request: {line[:80]!r}")
    address = urlsplit(words[1])
    path = unquote(address.path)
    if words[0] != "DELETE" or not path.startswith(f"/{batch.container}/"):
        raise InvalidRequest(f"Part {number} is {words[0]} {path}: only blobs of this container are deleted in a batch")
    query = {**dict(parse_qsl(address.query, keep_blank_values=True)), **batch.query}
    query = {name: value for name, value in query.items() if name not in ("comp", "restype")}
    headers = {**_headers(rest), **{k: v for k, v in batch.headers.items() if k in ("host", "authorization")}}
    return answer(Request(words[0], path, query, headers, Nothing(), f"{batch.id}-{number}"))


def _headers(text: str) -> Mapping[str, str]:
    pairs = (line.partition(":") for line in text.split("\n") if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _told(number: int, answer: Answer, mark: str) -> bytes:
    head = f"--{mark}\r\nContent-Type: application/http\r\nContent-ID: {number}\r\n\r\n".encode()
    body = answer.body if isinstance(answer.body, bytes) else b""
    return head + answer.head(f"{number}", keeps_alive=True) + body + b"\r\n"
