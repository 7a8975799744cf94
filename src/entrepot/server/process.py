"""The server process: one event loop for HTTP and HTTPS, beside it the data plane's threads and the workers.

`serve` blocks until SIGTERM or SIGINT. What the process is made of is decided in `compose.py`.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import ssl
import stat
import sys
import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import uvicorn
import uvloop

from entrepot.core.clock import SystemClock
from entrepot.core.errors import StateConflict
from entrepot.core.settings import Settings
from entrepot.server import runfiles
from entrepot.server.compose import Composition, compose
from entrepot.server.identity import exposure
from entrepot.server.keys import private_folder
from entrepot.server.protocol.accepting import Accepting
from entrepot.server.protocol.door import Door
from entrepot.server.protocol.eager import EagerProtocol
from entrepot.server.runfiles import ServerFile
from entrepot.server.tls import TlsFiles, server_context

_BACKLOG = 1024
_GRACE_S = 5
_WORK_GRACE_S = 10.0
_SWITCH_S = 0.001  # a worker thread may keep the event loop waiting this long, not Python's 5 ms: it is p99

_log = logging.getLogger("entrepot.server")


def serve(settings: Settings) -> None:
    """Serve one home until SIGTERM or SIGINT, printing `ready URL` when it answers.

    Raises StateConflict when another server has the home, or a port.
    """
    sys.setswitchinterval(_SWITCH_S)
    os.environ.pop("ENTREPOT_SECRETS_KEY", None)  # read by now, and no affair of what this process starts
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    _close_to_others(settings.home)
    exposure.require_name(settings)
    with runfiles.lock(settings.home), contextlib.ExitStack() as stack:
        wishes = ((settings.plain_host, settings.port, "--port"), (settings.host, settings.https_port, "--https-port"))
        listeners = [stack.enter_context(listen(host, port, name)) for host, port, name in wishes]
        tls = exposure.certificate(settings, now=SystemClock().now())
        composition = compose(settings, tls, exposure.urls(settings, [found.getsockname()[1] for found in listeners]))
        try:
            is_over = uvloop.run(_run(composition, listeners, tls))
        except BaseException:
            composition.close()
            raise
        if not is_over:
            _leave(settings)
        composition.close()
        _log.info("stopped")


def _close_to_others(home: Path) -> None:
    """Make the home, or take from everybody else what they may do in it: the database and all bytes lie there."""
    private_folder(home)
    mode = stat.S_IMODE(home.stat().st_mode)
    if mode & stat.S_IRWXO:
        _log.warning("%s was open to all users of this machine (%o): it is closed to them now", home, mode)
        home.chmod(mode & ~stat.S_IRWXO)


def _leave(settings: Settings) -> NoReturn:
    """End the process while threads still build or copy: they leave nothing half-made."""
    _log.warning("stopped; work that did not end in %g s goes on at the next start", _WORK_GRACE_S)
    runfiles.remove_server_file(settings.home)
    logging.shutdown()
    os._exit(0)


def listen(host: str, port: int, option: str) -> socket.socket:
    """Bind a listening socket; port 0 takes any free one. Raises StateConflict when the port is taken."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise StateConflict(
            f"{host}:{port} cannot be listened on: {error.strerror or error}",
            hint=f"choose another port with {option}, or any free one with {option} 0",
        ) from error
    listener.setblocking(False)
    return listener


async def _run(composition: Composition, listeners: Sequence[socket.socket], tls: TlsFiles) -> bool:
    """Serve until a signal; say whether all work ended in time."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    servers = [_Server(_config(composition, context), composition.door) for context in (None, server_context(tls))]
    tasks = [
        asyncio.create_task(server.serve(sockets=[listener]))
        for server, listener in zip(servers, listeners, strict=True)
    ]
    composition.start()
    while not all(server.started for server in servers) and not any(task.done() for task in tasks):
        await asyncio.sleep(0.001)
    if not any(task.done() for task in tasks):
        _announce(composition)
        gc.freeze()  # what is here stays: full collections, in which no request is answered, need not look at it again
        await asyncio.wait([asyncio.create_task(stop.wait()), *tasks], return_when=asyncio.FIRST_COMPLETED)
    _log.info("stopping")
    for server in servers:
        server.should_exit = True
    is_over = _stop_apart(composition)
    await asyncio.gather(*tasks)
    return await loop.run_in_executor(None, is_over.wait, _WORK_GRACE_S)


def _stop_apart(composition: Composition) -> threading.Event:
    """Stop the workers and the data plane in a thread of its own; return what is set when that is done."""
    is_over = threading.Event()

    def stop() -> None:
        composition.stop()
        is_over.set()

    threading.Thread(target=stop, name="stop", daemon=True).start()
    return is_over


def _announce(composition: Composition) -> None:
    addresses, settings = composition.site.addresses, composition.site.hub.settings
    server = ServerFile(
        pid=os.getpid(), url=addresses.http, https_url=addresses.https, blob_url=addresses.blob_http,
        https_blob_url=addresses.blob_https, version=composition.site.version,
        authority=str(settings.home / "tls" / "ca.pem"),
    )  # fmt: skip
    runfiles.write_server_file(settings.home, server)
    sys.stdout.write(f"ready {addresses.http}\n")
    sys.stdout.flush()


class _Server(uvicorn.Server):
    """A uvicorn server that accepts at our door, and whose signals are the process's affair: two share one loop."""

    def __init__(self, config: uvicorn.Config, door: Door) -> None:
        super().__init__(config)
        self._door = door

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept at the sockets; what uvicorn does besides is for servers that have none."""

        def protocol() -> EagerProtocol:
            return EagerProtocol(config=self.config, server_state=self.server_state, app_state={})

        self.servers: list[Any] = [
            Accepting(listener, protocol, self._door, context=self.config.ssl) for listener in sockets or ()
        ]
        self.started = True

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _config(composition: Composition, context: ssl.SSLContext | None) -> uvicorn.Config:
    return uvicorn.Config(
        composition.application, loop="uvloop", http=EagerProtocol, ws="none", lifespan="off", log_config=None,
        access_log=False, server_header=False, timeout_keep_alive=75, timeout_graceful_shutdown=_GRACE_S,
        proxy_headers=False, ssl_context_factory=None if context is None else lambda _config, _default: context,
    )  # fmt: skip
