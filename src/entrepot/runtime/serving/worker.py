"""One worker process: the model loaded, uvicorn on the listening socket that the replica was started with."""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import os
import signal
import socket
import sys
import traceback
from typing import Any, Callable, Dict, Optional

from . import collectors, messages, shortway
from .application import Application
from .collecting import Collecting
from .counters import Counters
from .pyfunc import PyfuncModel
from .scripts import Script, ScriptError

LOAD_FAILED = 3  # the exit code of a model that cannot be loaded, as gunicorn has it
_KEEP_ALIVE_S = 3600  # the gateway decides when an idle connection ends: it must never send on one that we close


def load(order: Dict[str, Any]) -> Any:
    """Return the started scorer of an order; exits with LOAD_FAILED and the reason in the log when it cannot."""
    messages.install()
    try:
        scorer = _scorer(order)
        print("loading %s" % (order.get("script") or order.get("model")), flush=True)
        scorer.start()
    except ScriptError as error:
        print("entrepot: %s" % error, file=sys.stderr, flush=True)
    except SystemExit as error:
        print("entrepot: the model's code called exit(%s) while loading" % error.code, file=sys.stderr, flush=True)
    except BaseException:
        traceback.print_exc()
        print("entrepot: the model could not be loaded", file=sys.stderr, flush=True)
    else:
        return scorer
    sys.stdout.flush()
    os._exit(LOAD_FAILED)  # threads that the script has started must not keep a failed replica alive


def _scorer(order: Dict[str, Any]) -> Any:
    if order["script"]:
        return Script(order["script"])
    return PyfuncModel(order["model"])


def run(order: Dict[str, Any], listener: socket.socket, counters: Counters, worker: int, key: str) -> None:
    """Load the model and serve until SIGTERM; requests under way are answered first."""
    collecting = _collecting(order)
    collectors.install(collecting)
    scorer = load(order)
    if collecting is not None and isinstance(scorer, PyfuncModel):
        scorer.collect = collectors.of_model(collecting)
    application = Application(
        scorer, key=key, counters=counters, worker=worker, threads=order["threads"], body_limit=order["body_limit"],
        title=order["title"], root=order["code"], collecting=collecting,
    )  # fmt: skip
    gc.collect()
    gc.freeze()  # what loading made stays: to look at it again and again takes a large model's requests milliseconds
    _serve(application, listener, grace_s=order["grace_s"], ready=application.ready)
    if collecting is not None:
        collectors.end(collecting)


def _collecting(order: Dict[str, Any]) -> Optional[Collecting]:
    """Return what collects, writing already, when the deployment asks for it."""
    if not order.get("collect"):
        return None
    signal.signal(signal.SIGTERM, lambda number, frame: None)  # uvicorn raises it again, before the files are closed
    collecting = Collecting(order["collect"])
    collecting.start()
    return collecting


def _serve(application: Any, listener: socket.socket, *, grace_s: float, ready: Callable[[], None]) -> None:
    uvicorn = importlib.import_module("uvicorn")
    wanted = {
        "loop": "auto", "http": shortway.protocol(application), "ws": "none", "lifespan": "off", "interface": "asgi3",
        "log_config": None, "access_log": False, "server_header": False, "date_header": False, "proxy_headers": False,
        "timeout_keep_alive": _KEEP_ALIVE_S, "timeout_graceful_shutdown": int(grace_s) or None, "backlog": 1024,
    }  # fmt: skip
    known = inspect.signature(uvicorn.Config.__init__).parameters  # the environment's own uvicorn may be an old one
    config = uvicorn.Config(application, **{name: value for name, value in wanted.items() if name in known})
    server = uvicorn.Server(config)
    if hasattr(config, "get_loop_factory"):
        factory = config.get_loop_factory()
        loop = factory() if factory is not None else asyncio.new_event_loop()
    else:  # before uvicorn 0.36
        config.setup_event_loop()
        loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(_run(server, listener, ready))


async def _run(server: Any, listener: socket.socket, ready: Callable[[], None]) -> None:
    task = asyncio.ensure_future(server.serve(sockets=[listener]))
    while not server.started and not task.done():
        await asyncio.sleep(0.001)
    ready()
    print("serving", flush=True)
    await task
