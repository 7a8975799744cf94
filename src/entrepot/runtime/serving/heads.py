"""Heads of requests that were parsed before: known again by their bytes, so that their like needs no parser.

A caller's requests differ in their id and their body; all else of a head is the same, byte for byte, and means the
same. Parsing it anew, between two runs of a model that have emptied the processor's caches, takes a fifth of a run.
"""

from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

Scope = Dict[str, Any]

_START = b"POST /score HTTP/1.1\r\n"
_END = b"\r\n\r\n"
_ID = b"\r\nx-request-id: "
_ID_LENGTH = 36  # a UUID, as the gateway names requests
_ID_BYTES = b"0123456789abcdef-"
_MOST = 4096


class Heads:
    """The heads that a worker remembers, each with the scope of its requests and the length of their body."""

    def __init__(self) -> None:
        self._known: Dict[bytes, Tuple[Scope, int]] = {}

    def recall(self, data: bytes) -> Optional[Tuple[Scope, bytes, bytes]]:
        """Return scope, id (b"" if it has none) and body when this is one whole request with a known head.

        The scope's headers are those of the first such request, so its id is another.
        """
        end = data.find(_END) + len(_END)
        at = data.find(_ID, 0, end) + len(_ID)
        if at < len(_ID):
            request_id, found = b"", self._known.get(data[:end])
        else:
            request_id = data[at : at + _ID_LENGTH]
            found = self._known.get(data[:at] + data[at + _ID_LENGTH : end])
            if request_id.translate(None, _ID_BYTES):
                return None
        if found is None or len(data) - end != found[1]:
            return None
        return found[0], request_id, data[end:]

    def remember(self, data: bytes, scope: Scope, body: bytes) -> None:
        """Remember the head of a request that was parsed from just these bytes, if its like can be told by them."""
        end = data.find(_END) + len(_END)
        if not data.startswith(_START) or data[end:] != body:
            return
        key = data[:end]
        ids = [value for name, value in scope["headers"] if name == b"x-request-id"]
        if ids:
            at = data.find(_ID, 0, end) + len(_ID)
            is_plain = len(ids[0]) == _ID_LENGTH and not ids[0].translate(None, _ID_BYTES)
            if len(ids) > 1 or not is_plain or data[at : at + _ID_LENGTH] != ids[0]:
                return
            key = data[:at] + data[at + _ID_LENGTH : end]
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[key] = scope, len(body)
