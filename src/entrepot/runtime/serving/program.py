"""A replica's program: reads its order from the environment, forks the workers, starts those anew that die.

ENTREPOT_SERVING is the order in JSON, ENTREPOT_LISTEN says where to listen (`fd:N`, a socket that listens already),
ENTREPOT_REPLICA_KEY is the key that callers must show.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from typing import Any, Dict, List

from . import servers
from .counters import Counters

_PAUSE_S = 1.0  # before a worker that died while serving is started anew
_DEFAULTS: Dict[str, Any] = {
    "script": None, "model": None, "code": "", "workers": 1, "threads": 0, "body_limit": 100 << 20, "title": "model",
    "grace_s": 5, "server": "entrepot",
}  # fmt: skip


def main() -> None:
    """Run the replica until SIGTERM."""
    order = {**_DEFAULTS, **json.loads(os.environ.pop("ENTREPOT_SERVING"))}
    key = os.environ.pop("ENTREPOT_REPLICA_KEY")
    listener = listening(os.environ.pop("ENTREPOT_LISTEN"))
    sys.path[:] = [entry for entry in sys.path if entry]
    servers.load()
    for folder in (order["code"], os.path.dirname(order["script"] or "")):
        if folder and folder not in sys.path:
            sys.path.insert(0, folder)
    if order["server"] == "azmlinfsrv":
        from . import microsoft

        microsoft.run(order, listener, key)
        return
    from . import worker

    counters = Counters(order["workers"])
    if order["workers"] == 1:
        worker.run(order, listener, counters, 0, key)
        os._exit(0)  # threads of the script must not keep a replica alive that has answered its last request
    sys.exit(_supervise(order, listener, counters, key))


def listening(place: str) -> socket.socket:
    """Return the listening socket of `fd:N` or `HOST:PORT`."""
    if place.startswith("fd:"):
        return socket.socket(fileno=int(place[3:]))
    host, _, port = place.rpartition(":")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, int(port)))
    listener.listen(1024)
    return listener


def _supervise(order: Dict[str, Any], listener: socket.socket, counters: Counters, key: str) -> int:
    """Keep the workers running; one that cannot even start ends the replica with its code."""
    workers: Dict[int, int] = {}
    stopping: List[int] = []

    def stop(number: int, frame: Any) -> None:
        stopping.append(number)
        for pid in workers:
            os.kill(pid, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    for number in range(order["workers"]):
        workers[_fork(order, listener, counters, number, key)] = number
    code = 0
    while workers:
        pid, status = os.wait()
        number = workers.pop(pid, -1)
        if number < 0 or stopping:
            continue
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
        was_ready = counters.is_ready(number)
        counters.reset(number)
        print("entrepot: worker %d ended with code %d" % (number, code), file=sys.stderr, flush=True)
        if not was_ready:
            for other in workers:
                os.kill(other, signal.SIGTERM)
            return code or 1
        time.sleep(_PAUSE_S)
        workers[_fork(order, listener, counters, number, key)] = number
    return 0


def _fork(order: Dict[str, Any], listener: socket.socket, counters: Counters, number: int, key: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from . import worker

    code = 1
    try:
        worker.run(order, listener, counters, number, key)
        code = 0
    finally:
        os._exit(code)
