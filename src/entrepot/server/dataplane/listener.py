"""The data plane: a listener with threads of its own, for the bytes that must not pass through the API's event loop.

Here are accepting, stopping, authentication and the table of operations; what they do is in `azure.py` (for Azure
Blob clients) and `transfer.py` (for ours). Nothing is answered to strangers.
"""

import contextlib
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from entrepot.core.clock import Clock, SystemClock
from entrepot.core.errors import Category, EntrepotError, NotFound, RevisionMismatch, StateConflict, Unauthenticated
from entrepot.domain.audit import DENIED, UNAUTHENTICATED
from entrepot.server.dataplane import azure, batches, listings, transfer
from entrepot.server.dataplane.arrivals import Room
from entrepot.server.dataplane.azure import Context
from entrepot.server.dataplane.connections import Connection, Framed
from entrepot.server.dataplane.departures import ColdReads
from entrepot.server.dataplane.messages import Answer, Disconnected, Refusal, Request
from entrepot.server.dataplane.sas import PERMISSIONS, Grant, SasSigner
from entrepot.server.dataplane.trail import Trail
from entrepot.server.protocol.door import Door, Visit
from entrepot.store.containers import Containers
from entrepot.wire.errors import error_body, status_of

_log = logging.getLogger(__name__)
_DRAINED_BYTES = 256 << 10
Operation = Callable[[Request, Context], Answer]
Bearer = Callable[[str, str], "Grant | None"]
Stands = Callable[[Grant, str], bool]

_BLOB_OPERATIONS: Mapping[tuple[str, str], tuple[str, Operation]] = {
    ("GET", ""): ("r", azure.get_blob),
    ("HEAD", ""): ("r", azure.get_blob),
    ("GET", "metadata"): ("r", azure.get_blob),
    ("HEAD", "metadata"): ("r", azure.get_blob),
    ("PUT", ""): ("wc", azure.put_blob),
    ("PUT", "block"): ("wc", azure.put_block),
    ("PUT", "blocklist"): ("wc", azure.put_block_list),
    ("GET", "blocklist"): ("r", azure.get_block_list),
    ("PUT", "metadata"): ("w", azure.put_metadata),
    ("PUT", "properties"): ("w", azure.put_properties),
    ("GET", "tags"): ("r", azure.get_tags),
    ("PUT", "tags"): ("w", azure.put_tags),
    ("DELETE", ""): ("d", azure.delete_blob),
}
_CONTAINER_OPERATIONS: Mapping[tuple[str, str], tuple[str, Operation]] = {
    ("GET", ""): ("rl", azure.head_container),
    ("HEAD", ""): ("rl", azure.head_container),
    ("GET", "list"): ("l", azure.list_blobs),
    ("PUT", ""): ("wc", azure.create_container),
}
_TRANSFER_OPERATIONS: Mapping[tuple[str, str], tuple[str, Operation]] = {
    ("POST", "have"): ("wc", transfer.have),
    ("PUT", "blob"): ("wc", transfer.put_blob),
    ("PUT", "pack"): ("wc", transfer.put_pack),
    ("PUT", "snapshot"): ("wc", transfer.put_snapshot),
    ("GET", "snapshot"): ("r", transfer.get_snapshot),
    ("POST", "pack"): ("r", transfer.get_pack),
    ("GET", "blob"): ("r", transfer.get_blob),
}
_TRANSFER_WORDS = frozenset(comp for _, comp in _TRANSFER_OPERATIONS)
_AZURE_CODES = {
    Category.BAD_REQUEST: "InvalidInput",
    Category.UNAUTHENTICATED: "AuthenticationFailed",
    Category.CONFLICT: "BlobAlreadyExists",
    Category.PRECONDITION: "ConditionNotMet",
    Category.TOO_LARGE: "RequestBodyTooLarge",
    Category.NO_ROOM: "InsufficientStorage",
}


class DataPlane:
    """Serves containers over HTTP, or HTTPS with an `ssl_context`, from `start` to `stop`.

    `bearer` turns a token and a container's name into what its holder may do; None for a token that is not known.
    `stands` says whether the holder of a signature is still there.
    `trail` records who wrote and who was refused. `port` 0 takes any.
    """

    def __init__(
        self,
        containers: Containers,
        depots: object,
        signer: SasSigner,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
        bearer: Bearer | None = None,
        stands: Stands | None = None,
        trail: Trail | None = None,
        clock: Clock | None = None,
        reserve_bytes: int = 0,
        upload_limit_bytes: int = 0,
        timeout_s: float = 60,
        most_connections: int = 512,
        door: Door | None = None,
    ) -> None:
        del depots  # `containers` knows the regions' stores
        self._containers = containers
        self._signer = signer
        self._address = (host, port)
        self._ssl_context = ssl_context
        self._bearer = bearer
        self._stands = stands
        self._trail = trail
        self._clock = clock or SystemClock()
        self._room = Room(reserve_bytes=reserve_bytes, limit_bytes=upload_limit_bytes)
        self._timeout_s = timeout_s
        self._door = door or Door(per_address=0, total=most_connections)
        self._cold_reads = ColdReads()
        self._slots = threading.BoundedSemaphore(most_connections)
        self._lock = threading.Lock()
        self._open: dict[Connection, threading.Thread] = {}
        self._listener: socket.socket | None = None
        self._accepting: threading.Thread | None = None

    def start(self) -> int:
        """Listen; return the port."""
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        self._listener = socket.create_server(self._address, family=family, backlog=256)
        self._accepting = threading.Thread(target=self._accept, name="dataplane", daemon=True)
        self._accepting.start()
        return int(self._listener.getsockname()[1])

    def stop(self, *, timeout_s: float = 5) -> None:
        """Stop listening, end all connections, and wait for their threads."""
        if self._listener is None:
            return
        listener, self._listener = self._listener, None
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        deadline = time.monotonic() + timeout_s
        with self._lock:
            still_open = dict(self._open)
        for connection in still_open:
            connection.close()
        for thread in (self._accepting, *still_open.values()):
            if thread is not None:
                thread.join(max(0, deadline - time.monotonic()))

    def _accept(self) -> None:
        while (listener := self._listener) is not None:
            try:
                sock, (address, *_) = listener.accept()
            except OSError:
                if self._listener is not None:
                    time.sleep(0.05)  # out of file descriptors, perhaps: let some close
                continue
            visit = self._door.enter(address)
            if visit is None or not self._slots.acquire(timeout=self._timeout_s):
                sock.close()
                if visit is not None:
                    visit.end()
                continue
            threading.Thread(target=self._serve, args=(sock, visit), name="transfer", daemon=True).start()

    def _serve(self, sock: socket.socket, visit: Visit) -> None:
        connection: Connection | None = None
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._ssl_context is not None:
                sock.settimeout(self._timeout_s)
                sock = self._ssl_context.wrap_socket(sock, server_side=True)
                sock.settimeout(None)
            connection = Connection(sock, timeout_s=self._timeout_s, cold_reads=self._cold_reads)
            with self._lock:
                self._open[connection] = threading.current_thread()
            while self._listener is not None and self._converse(connection):
                pass
        except (Disconnected, OSError):
            pass  # there is no one to tell
        except Exception:
            _log.exception("a transfer connection failed")
        finally:
            connection.close() if connection else sock.close()
            with self._lock:
                self._open.pop(connection, None) if connection else None
            self._slots.release()
            visit.end()

    def _converse(self, connection: Connection) -> bool:
        """Answer one request; say whether another may follow."""
        try:
            read = connection.read_request()
        except Refusal as refusal:
            connection.send(_refused(refusal, is_ours=False), "-", keeps_alive=False)
            connection.linger()
            return False
        if read is None:
            return False
        request, body, keeps_alive = read
        answer = self._answer(request)
        keeps_alive = keeps_alive and not answer.closes and self._listener is not None
        is_early = _is_left_over(body) if keeps_alive else body.is_unread
        connection.send(answer, request.id, keeps_alive=keeps_alive and not is_early, is_head=request.method == "HEAD")
        if is_early:
            connection.linger()
        return keeps_alive and not is_early

    def _answer(self, request: Request) -> Answer:
        is_ours = request.query.get("comp", "") in _TRANSFER_WORDS
        try:
            return self._perform(request, self._known(request))
        except Refusal as refusal:
            return _refused(refusal, is_ours=is_ours)
        except EntrepotError as error:
            return _failed(error, request, is_ours=is_ours)
        except Disconnected:
            raise
        except Exception:
            _log.exception("%s %s failed (%s)", request.method, request.path, request.id)
            message = f"The server failed on this request. Its log tells more under the request id {request.id}."
            return _refused(Refusal(500, "InternalError", message), is_ours=is_ours)

    def _known(self, request: Request) -> Grant:
        try:
            return self._authenticate(request)
        except Unauthenticated:
            if self._trail:
                self._trail.refuse(request, Grant(frozenset()), outcome=UNAUTHENTICATED)
            raise

    def _perform(self, request: Request, grant: Grant) -> Answer:
        comp = request.query.get("comp", "")
        if not request.container:
            message = "Requests about the whole account are not supported by this server: ask a container."
            raise Refusal(501, "NotImplemented", message, closes=False)
        if (request.method, comp, request.name) == ("POST", "batch", ""):
            return batches.answered(request, self._answer)
        found = _TRANSFER_OPERATIONS.get((request.method, comp))
        if found is None:
            of_container = not request.name and (comp == "list" or request.query.get("restype") == "container")
            table = _CONTAINER_OPERATIONS if of_container else _BLOB_OPERATIONS
            found = table.get((request.method, comp))
            if request.query.get("restype") == "account" and comp == "properties":
                found, of_container = ("rl", azure.account_information), True
            if found is None or not (of_container or request.name):
                what = f"{request.method} with comp={comp or '(none)'}"
                raise Refusal(405, "UnsupportedHttpVerb", f"{what} is not supported by this server.", closes=False)
        needed, operation = found
        if not grant.permissions & set(needed):
            if self._trail:
                self._trail.refuse(request, grant, outcome=DENIED)
            message = f"This needs the permission {' or '.join(needed)}; the signature gives {_letters(grant)}."
            raise Refusal(403, "AuthorizationPermissionMismatch", message, closes=False)
        info = self._containers.describe(request.container)
        if info is None:
            raise Refusal(404, "ContainerNotFound", f"There is no container {request.container!r}.", closes=False)
        if info.is_sealed and not set(needed) & set("rl"):
            raise StateConflict(
                f"container {request.container!r} is sealed: its blobs belong to an asset and never change"
            )
        store = self._containers.store(request.container, grant.region)
        containers = self._trail.recorded(self._containers, request, grant) if self._trail else self._containers
        return operation(request, Context(containers, self._room, grant, store, self._grant))

    def _authenticate(self, request: Request) -> Grant:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._bearer:
            grant = self._bearer(token.strip(), request.container)
            if grant is None:
                raise Unauthenticated("the bearer token is not one of this server, or is out of date")
            return grant
        return self._grant(request.container, request.query)

    def _grant(self, container: str, query: Mapping[str, str]) -> Grant:
        if "sig" not in query:
            raise Unauthenticated("a shared access signature (sig) or a bearer token is needed")
        grant = self._signer.grant(container, query, self._clock.now())
        if self._stands and not self._stands(grant, container):
            return replace(grant, permissions=frozenset())
        return grant


def _is_left_over(body: Framed) -> bool:
    """Read the small rest of a body that nobody wanted; say whether some is left, so that the connection must end."""
    if not body.is_unread:
        return False
    if body.awaits_continue or (body.left or 0) > _DRAINED_BYTES:
        return True
    try:
        return not body.drain(_DRAINED_BYTES)
    except Refusal:
        return True


def _letters(grant: Grant) -> str:
    return "".join(letter for letter in PERMISSIONS if letter in grant.permissions) or "none"


def _refused(refusal: Refusal, *, is_ours: bool) -> Answer:
    headers = {"x-ms-error-code": refusal.code}
    if is_ours:
        body = json.dumps({"error": {"code": refusal.code, "message": refusal.message}}).encode()
        headers["Content-Type"] = "application/json"
    else:
        body = listings.error_xml(refusal.code, refusal.message)
        headers["Content-Type"] = "application/xml"
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Answer(refusal.status, headers, body, closes=refusal.closes)


def _failed(error: EntrepotError, request: Request, *, is_ours: bool) -> Answer:
    status = status_of(error)
    if is_ours:
        headers = {"Content-Type": "application/json", "x-ms-error-code": error.code}
        return Answer(status, headers, json.dumps(error_body(error, request_id=request.id)).encode())
    code = _AZURE_CODES.get(error.category, error.code)
    if isinstance(error, NotFound):
        code = "BlobNotFound" if request.name else "ContainerNotFound"
    message = "The blob changed meanwhile." if isinstance(error, RevisionMismatch) else error.message
    return _refused(Refusal(status, code, message, closes=False), is_ours=False)
