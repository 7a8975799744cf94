"""The limit of bench_sdk.py: a blob server that does next to nothing. How fast the client is against it, it is at all.

    instant.py CERTIFICATE KEY    print the port; answer from memory until the end

It keeps what is put, checks no signature, writes nothing to a disk, and knows only what azure-ai-ml asks.
"""

import asyncio
import re
import ssl
import sys
from typing import cast
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

import uvloop

DATE = "Sun, 29 Nov 2026 08:00:00 GMT"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
TAGS = f'ETag: "0x1"\r\nLast-Modified: {DATE}\r\nx-ms-blob-type: BlockBlob\r\n'
MISSING = b"HTTP/1.1 404 Not Found\r\nx-ms-error-code: BlobNotFound\r\nContent-Length: 0\r\n\r\n"
PUT = f"HTTP/1.1 201 Created\r\n{TAGS}Content-Length: 0\r\n\r\n".encode()
STATED = f"HTTP/1.1 200 OK\r\n{TAGS}Content-Length: 0\r\n\r\n".encode()


class Instant(asyncio.Protocol):
    """One connection; `blobs` are all connections'."""

    def __init__(self, blobs: dict[str, bytes]) -> None:
        self._blobs = blobs
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._rest += data
        while (end := self._rest.find(b"\r\n\r\n")) >= 0:
            found = LENGTH.search(self._rest, 0, end)
            whole = end + 4 + (int(found[1]) if found else 0)
            if len(self._rest) < whole:
                return
            method, target, _ = self._rest[:end].partition(b"\r\n")[0].decode().split(" ")
            body, self._rest = self._rest[end + 4 : whole], self._rest[whole:]
            self._transport.write(self._answer(method, target, body))

    def _answer(self, method: str, target: str, body: bytes) -> bytes:
        path, _, query = target.partition("?")
        if method == "PUT":
            if "comp=metadata" in query:
                return STATED
            self._blobs[path] = body
            return PUT
        if "comp=list" in query:
            return self._list(path, query)
        content = self._blobs.get(path)
        if content is None or method == "HEAD":
            return MISSING
        head = f"HTTP/1.1 206 Partial Content\r\n{TAGS}Content-Range: bytes 0-{len(content) - 1}/{len(content)}\r\n"
        return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content

    def _list(self, container: str, query: str) -> bytes:
        prefix = f"{container}/{parse_qs(query).get('prefix', [''])[0]}"
        start = len(container) + 1
        rows = "".join(
            f"<Blob><Name>{escape(name[start:])}</Name><Properties><Etag>0x1</Etag><Last-Modified>{DATE}</Last-Modified>"
            f"<Content-Length>{len(content)}</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>"
            for name, content in sorted((unquote(path), content) for path, content in self._blobs.items())
            if name.startswith(prefix)
        )
        body = (
            f'<?xml version="1.0"?><EnumerationResults><Blobs>{rows}</Blobs><NextMarker/></EnumerationResults>'.encode()
        )
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


async def serve(certificate: str, key: str) -> None:
    """Listen until the process is ended."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    blobs: dict[str, bytes] = {}
    server = await asyncio.get_running_loop().create_server(lambda: Instant(blobs), "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:]))
