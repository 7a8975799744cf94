"""What a worker collects of its requests: events, kept for a moment in memory, then in files that the server takes.

Whoever answers a request only puts its event on a queue; a thread writes JSON lines into `<folder>/<collection>/
<rolled time>/<id>.part` and renames a file to .jsonl when it is large, old or of an hour that is over. What is
written outlives a killed replica. A queue that is full drops what comes, and says how much: requests never wait.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
import uuid
import zlib
from collections import deque
from typing import Any, Deque, Dict, List, Optional, Tuple

Event = Dict[str, Any]

REQUEST, RESPONSE = "request", "response"
AGENT = "entrepot-serving/1"
_WRITE_S = 0.5
_SEGMENT_BYTES = 1 << 20
_QUEUE_BYTES = 32 << 20
_LARGEST_BYTES = 4 << 20  # what is larger gets a file of its own, as documented
_TELL_S = 60.0
_ROLLS = {"year": "%Y", "month": "%Y/%m", "day": "%Y/%m/%d", "hour": "%Y/%m/%d/%H", "minute": "%Y/%m/%d/%H/%M"}


class Collecting:
    """The collections of one worker. `order` is what the server's collections.py says of them."""

    def __init__(self, order: Dict[str, Any]) -> None:
        self.collections: Dict[str, float] = order["collections"]  # how much of it is kept, from 0 to 1
        self._folder: str = order["folder"]
        self._places: Dict[str, str] = order["places"]
        self._source: str = order["source"]
        self._flush_s: float = order["flush_s"]
        self._roll: str = _ROLLS[order["roll"].lower()]
        self._headers = frozenset(name.lower().encode() for name in order["headers"])
        self._queue: Deque[Tuple[str, Event, bytes]] = deque()
        self._queued_bytes = 0
        self._dropped = 0
        self._told = 0.0
        self._segments: Dict[str, _Segment] = {}
        self._guard = threading.Lock()
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="collecting", daemon=True)

    def start(self) -> None:
        """Begin to write, in the process that answers requests."""
        self._thread.start()

    def end(self) -> None:
        """Write all that came and close the files."""
        self._has_ended.set()
        self._thread.join(5)
        self._write(is_last=True)

    def keeps(self, collection: str, chance: float) -> bool:
        """Say whether a collection wants what has this chance, a number from 0 to 1."""
        return chance < self.collections.get(collection, 0.0)

    def request(self, scope: Dict[str, Any], body: bytes, request_id: bytes) -> None:
        """Collect a request."""
        if not self.keeps(REQUEST, _chance(request_id)):
            return
        query = scope["query_string"].decode("latin-1")
        event = self._payload(REQUEST, _content_type(scope["headers"]), request_id)
        event.update(path=scope["path"] + ("?" + query if query else ""), method=scope["method"])
        if self._headers:
            event["headers"] = {
                name.decode("latin-1"): value.decode("latin-1")
                for name, value in scope["headers"]
                if name in self._headers
            }
        self.put(REQUEST, event, body)

    def response(self, headers: List[Tuple[bytes, bytes]], body: bytes, request_id: bytes) -> None:
        """Collect the answer to a request; both or neither are kept where both collections keep as much."""
        if self.keeps(RESPONSE, _chance(request_id)):
            self.put(RESPONSE, self._payload(RESPONSE, _content_type(headers), request_id), body)

    def logged(self, collection: str, data: str, *, correlation: str, kind: str, more: Optional[Event] = None) -> None:
        """Collect what a script logged: `data` is JSON, `kind` the type that it was made of."""
        if not self.keeps(collection, random.random()):  # noqa: S311 - no secret
            return
        event: Event = {"datacontenttype": "application/json", "correlationid": correlation, "xrequestid": correlation}
        event.update({"modelversion": "default", "collectdatatype": kind, "agent": AGENT}, **(more or {}))
        self.put(collection, event, data.encode())

    def put(self, collection: str, event: Event, data: bytes) -> None:
        """Queue an event, or drop it when too much waits."""
        if self._queued_bytes + len(data) > _QUEUE_BYTES:
            self._dropped += 1
            return
        self._queued_bytes += len(data)  # not exact between threads, and need not be: the writer sets it right
        event.setdefault("time", time.time())
        self._queue.append((collection, event, data))

    def _payload(self, collection: str, content_type: str, request_id: bytes) -> Event:
        name = request_id.decode("latin-1")
        return {"datacontenttype": content_type, "correlationid": name, "xrequestid": name}

    def _write_on(self) -> None:
        while not self._has_ended.wait(_WRITE_S):
            try:
                self._write()
            except Exception as error:  # a full disk, say: what comes later is tried all the same
                print("entrepot: what was collected cannot be written: %s" % error, file=sys.stderr, flush=True)

    def _write(self, *, is_last: bool = False) -> None:
        with self._guard:
            lines: Dict[Tuple[str, str], List[bytes]] = {}
            while self._queue:
                collection, event, data = self._queue.popleft()
                rolled = time.strftime(self._roll, time.gmtime(event["time"]))
                lines.setdefault((collection, rolled), []).append(self._line(collection, rolled, event, data))
            self._queued_bytes = 0
            for (collection, rolled), found in lines.items():
                self._segment(collection, rolled).write(b"".join(found))
            now = time.time()
            for collection, segment in list(self._segments.items()):
                if is_last or segment.size > _SEGMENT_BYTES or now - segment.began > self._flush_s:
                    self._segments.pop(collection).close()
            if self._dropped and now - self._told > _TELL_S:
                self._told = now
                message = "entrepot: %d events were not collected: more came than could be written"
                print(message % self._dropped, file=sys.stderr, flush=True)
                self._dropped = 0

    def _segment(self, collection: str, rolled: str) -> "_Segment":
        segment = self._segments.get(collection)
        if segment is not None and segment.rolled != rolled:
            self._segments.pop(collection).close()
            segment = None
        if segment is None:
            segment = self._segments[collection] = _Segment(os.path.join(self._folder, collection), rolled)
        return segment

    def _line(self, collection: str, rolled: str, event: Event, data: bytes) -> bytes:
        name = str(uuid.uuid4())
        whole: Event = {
            "specversion": "1.0", "id": name, "source": self._source, "type": "azureml.inference." + collection,
            "datacontenttype": event.pop("datacontenttype"),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(event.pop("time"))),
        }  # fmt: skip
        whole.update(self._data(collection, rolled, name, whole["datacontenttype"], data))
        whole.update(event)
        whole["contentrange"] = "bytes 0-%d/%d" % (max(0, len(data) - 1), len(data))
        return json.dumps(whole, separators=(",", ":")).encode() + b"\n"

    def _data(self, collection: str, rolled: str, name: str, content_type: str, data: bytes) -> Event:
        """Return the data itself where it is JSON or text, else where it is."""
        if len(data) <= _LARGEST_BYTES:
            try:
                text = data.decode()
                return {"data": json.loads(text) if "json" in content_type.lower() and text else text}
            except UnicodeDecodeError:
                pass
            except (ValueError, RecursionError):  # called JSON, and is none
                return {"data": text}
        folder = os.path.join(self._folder, collection, rolled)
        os.makedirs(folder, exist_ok=True)
        unfinished = os.path.join(folder, name + ".writing")
        with open(unfinished, "wb") as file:
            file.write(data)
        os.rename(unfinished, os.path.join(folder, name + ".bin"))
        return {"data": "/".join((self._places[collection], rolled, name)), "datainblob": "true"}


class _Segment:
    """A file of lines that grows."""

    def __init__(self, folder: str, rolled: str) -> None:
        self.rolled = rolled
        self.began = time.time()
        self.size = 0
        below = os.path.join(folder, rolled)
        os.makedirs(below, exist_ok=True)
        self._path = os.path.join(below, str(uuid.uuid4()))
        self._file = open(self._path + ".part", "ab", buffering=0)

    def write(self, data: bytes) -> None:
        """Append lines."""
        self._file.write(data)
        self.size += len(data)

    def close(self) -> None:
        """Give the file the name under which it is taken."""
        self._file.close()
        try:
            os.rename(self._path + ".part", self._path + ".jsonl")
        except FileNotFoundError:
            pass  # the server took it for one of a replica that had died


def _content_type(headers: List[Tuple[bytes, bytes]]) -> str:
    found = next((value for name, value in headers if name == b"content-type"), b"application/json")
    return found.partition(b";")[0].decode("latin-1").strip()


def _chance(request_id: bytes) -> float:
    return zlib.crc32(request_id) / 2**32
