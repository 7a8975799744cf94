"""Questions to a replica over its address: does it serve, how busy is it. One short-lived connection each."""

import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any

Json = Any

KEY_HEADER = "x-entrepot-replica"


@dataclass(frozen=True, slots=True)
class Load:
    """What a replica has done since it started: requests, seconds in the model, requests under way, its workers.

    And what its processes used: processor seconds, resident bytes.
    """

    requests: int
    busy_s: float
    under_way: int
    workers: int
    cpu_s: float = 0.0
    memory_bytes: int = 0


def ask(address: str, path: str, secret: str, *, timeout_s: float) -> str:
    """Return '' when the replica answers 200, else what was wrong, in a few words."""
    try:
        status, _ = _get(address, path, secret, timeout_s=timeout_s)
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    return "" if status == 200 else f"status {status}"


def load(address: str, secret: str, *, timeout_s: float) -> Load | None:
    """Return a replica's load; None when it does not tell."""
    try:
        status, body = _get(address, "/load", secret, timeout_s=timeout_s)
        if status != 200:
            return None
        told: Json = json.loads(body)
        return Load(
            told["requests"], told["busy_s"], told["under_way"], told["workers"], told["cpu_s"], told["memory_bytes"]
        )
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return None


def open_listener() -> socket.socket:
    """Return a socket that listens on a free port of loopback; callers wait in its backlog until somebody accepts."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    return listener


def address_of(listener: socket.socket) -> str:
    """Return a socket's address as replica documents tell it."""
    host, port = listener.getsockname()
    return f"{host}:{port}"


def _get(address: str, path: str, secret: str, *, timeout_s: float) -> tuple[int, bytes]:
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=timeout_s)
    try:
        connection.request("GET", path, headers={KEY_HEADER: secret, "Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
