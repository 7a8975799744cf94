"""Data planes on loopback for tests, and a client that says exactly what a test wants said."""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from entrepot.core.ids import Region
from entrepot.server.dataplane.listener import DataPlane
from entrepot.server.dataplane.sas import SasSigner
from entrepot.store.blobs import BlobStore
from entrepot.store.containers import Containers
from entrepot.store.depots import LocalDepots
from entrepot.store.documents import DocumentStore
from entrepot.store.spool import Spool
from entrepot.store.sql import open_documents

EAST, WEST = Region("eastus"), Region("westus")
C = "container"
NOW = 1_800_000_000.0
ALL = "racwdl"


class HeldClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> float:
        """Return the time that the test has set."""
        return self.time


@dataclass
class Reply:
    """What came back: status, headers by lower-case name, body."""

    status: int
    headers: dict[str, str]
    body: bytes
    is_closed: bool = False

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error's code, '' when there is none."""
        return self.headers.get("x-ms-error-code", "")


class Talk:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> "Talk":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def read_reply(self, *, is_head: bool = False) -> Reply:
        """Read one answer."""
        status = int(self._file.readline().split(b" ")[1])
        headers: dict[str, str] = {}
        while line := self._file.readline().rstrip(b"\r\n"):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        length = 0 if is_head or status in (100, 204, 304) else int(headers.get("content-length", "0"))
        return Reply(status, headers, self._file.read(length))

    def is_closed(self) -> bool:
        """Wait for the server to say something more; True when it ends the connection instead."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:  # it ended with something of ours unread
            return True


@dataclass
class Plane:
    """A running data plane and what stands behind it."""

    port: int
    signer: SasSigner
    containers: Containers
    depots: LocalDepots
    clock: HeldClock
    plane: DataPlane

    @property
    def east(self) -> BlobStore:
        """The store of the region in which `container` is."""
        return self.depots.of(EAST)

    def sas(self, container: str = C, permissions: str = ALL, *, region: Region | None = None) -> str:
        """Sign for an hour."""
        return self.signer.sign(container, permissions, region, self.clock.now() + 3600)

    def url(self, container: str = C, permissions: str = ALL) -> str:
        """Return the address that our client is given."""
        return f"http://127.0.0.1:{self.port}/{container}?{self.sas(container, permissions)}"

    def ask(
        self,
        method: str,
        path: str,
        query: str = "",
        body: bytes = b"",
        *,
        sas: str | None = None,
        named: Mapping[str, str] | None = None,
        **headers: str,
    ) -> Reply:
        """Send one request under a full signature, unless another is given; `_` in a header's name stands for '-',
        but not in those of `named`.
        """
        container = path.lstrip("/").partition("/")[0]
        signed = self.sas(container) if sas is None else sas
        target = f"{path}?{'&'.join(part for part in (query, signed) if part)}"
        lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        lines += [f"{name}: {value}" for name, value in (named or {}).items()]
        with Talk(self.port) as talk:
            talk.send("\r\n".join([*lines, "", ""]).encode() + body)
            return talk.read_reply(is_head=method == "HEAD")


@dataclass
class Launcher:
    """Starts data planes over one home; stops them at the test's end."""

    documents: DocumentStore
    depots: LocalDepots
    spool: Spool
    started: list[DataPlane] = field(default_factory=list)

    def __call__(self, **options: Any) -> Plane:
        """Start a data plane with DataPlane's options."""
        clock = HeldClock()
        containers = Containers(
            self.documents, self.depots.of, regions=lambda: (EAST, WEST), clock=clock, spool=self.spool
        )
        containers.create(C, region=EAST, owner="registries/contoso")
        signer = SasSigner(b"k" * 32)
        plane = DataPlane(containers, self.depots, signer, clock=clock, **options)
        self.started.append(plane)
        return Plane(plane.start(), signer, containers, self.depots, clock, plane)


@contextmanager
def data_planes(home: Path, *, fsync: bool = False) -> Iterator[Launcher]:
    """Give a launcher of data planes over one home; in the end, stop them and see that no thread is left."""
    depots = LocalDepots(home / "regions", fsync=fsync)
    documents = open_documents(home / "entrepot.db", fsync=fsync)
    spool = Spool(documents, depots.of)
    launcher = Launcher(documents, depots, spool)
    try:
        yield launcher
    finally:
        for plane in launcher.started:
            plane.stop()
        spool.close()
        depots.close()
        documents.close()
    ours = {"dataplane", "transfer", "arrival", "departure", "spool"}
    left = {thread.name for thread in threading.enumerate()} & ours
    assert not left, f"threads of a stopped data plane still run: {left}"
