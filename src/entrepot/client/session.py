"""Talking to one server: where it is, who we are, errors, retries, pages and long-running operations."""

from __future__ import annotations

import json
import time

from entrepot.client.connection import IDEMPOTENT, Answer, Connection
from entrepot.client.failures import NoServer, ServiceFailure

TYPE_CHECKING = False  # typing costs 5 ms at start-up; type checkers read this name as true
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from entrepot.client.patience import Patience

    Json = Any

API_VERSION = "2024-10-01-preview"
BUSY = (429, 502, 503, 504)
ATTEMPTS = 5
GUID_LENGTH = 36
FINAL = ("Succeeded", "Failed", "Canceled", "Cancelled")
LONGEST_PAUSE_S = 2.0


class Session:
    """A signed-in connection to a server.

    `run` is what it told of itself: at least its `url`. `renewed` returns a token for one that is no longer accepted;
    `found` returns both anew, for a server that was started again.
    """

    __slots__ = ("_connection", "_found", "_renewed", "_subscription", "_token", "log", "patience", "run", "waiting")

    def __init__(
        self,
        run: dict[str, Json],
        token: str,
        *,
        subscription: str = "",
        renewed: Callable[[], str] | None = None,
        found: Callable[[], tuple[dict[str, Json], str]] | None = None,
    ) -> None:
        self.run = run
        self._token = token
        self._renewed = renewed
        self._found = found
        self._subscription = subscription
        self._connection = Connection(run["url"])
        self.log: Callable[[str], None] | None = None  # told each request, for --debug
        self.waiting: Callable[[str], None] | None = None  # told the state while an operation runs
        self.patience: Patience | None = None  # outlasts a server that is away, for what is only read

    @classmethod
    def open(cls, home: str, *, subscription: str = "") -> Session:
        """Return a session with the server that runs with this home. Raises NoServer."""
        run, token = _found(home)
        return cls(run, token, subscription=subscription, found=lambda: _found(home))

    @property
    def url(self) -> str:
        """The server's address."""
        return str(self.run["url"])

    @property
    def token(self) -> str:
        """The bearer token with which this session signs in."""
        return self._token

    @property
    def blob_url(self) -> str:
        """The address of the server's data plane."""
        if "blob_url" not in self.run:
            cloud = json.loads(self.request("GET", "/metadata/endpoints?api-version=2022-09-01").body)
            self.run["blob_url"] = "https://" + cloud["suffixes"]["storage"].rpartition("@")[2]
        return str(self.run["blob_url"])

    @property
    def subscription(self) -> str:
        """The subscription of all commands: the one asked for, by id or by name, or the server's first."""
        if len(self._subscription) != GUID_LENGTH:
            known = self.get("/subscriptions")["value"]
            named = [item for item in known if item.get("displayName") == self._subscription]
            chosen = self._subscription if not named else named[0]["subscriptionId"]
            self._subscription = str(chosen or known[0]["subscriptionId"])
        return self._subscription

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def reconnect(self) -> None:
        """Open the connection anew, to where the server is now. Raises NoServer."""
        self.close()
        if self._found is not None:
            self.run, self._token = self._found()
            self._connection = Connection(self.run["url"])

    def request(
        self, method: str, target: str, *, body: Json = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request and return the answer. Raises ServiceFailure for statuses from 400, NoServer."""
        answer = self.attempt(method, target, body=body, headers=headers)
        if answer.status >= 400:
            raise failure_of(answer, method, target)
        return answer

    def attempt(
        self, method: str, target: str, *, body: Json = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request, again while the server is busy, and return the answer whatever its status."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        target = self._relative(target)
        sent = {"Accept": "application/json", "User-Agent": "entrepot-cli"}
        if data:
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        if self.patience is None or method != "GET":
            return self._signed(method, target, sent, data)
        return self.patience.outlast(lambda: self._signed(method, target, sent, data), self.reconnect)

    def _signed(self, method: str, target: str, sent: Mapping[str, str], data: bytes) -> Answer:
        answer = self._sent(method, target, sent, data)
        if answer.status == 401 and self._renewed:
            self._token = self._renewed()
            answer = self._sent(method, target, sent, data)
        return answer

    def _sent(self, method: str, target: str, headers: Mapping[str, str], data: bytes) -> Answer:
        sent = {"Authorization": f"Bearer {self._token}", **headers}
        for attempt in range(1, ATTEMPTS + 1):
            started = time.perf_counter()
            answer = self._connection.request(method, target, headers=sent, body=data)
            if self.log:
                self.log(f"{method} {target} -> {answer.status} in {(time.perf_counter() - started) * 1e3:.1f} ms")
            if answer.status not in BUSY or method not in IDEMPOTENT or attempt == ATTEMPTS:
                break
            time.sleep(min(_retry_after(answer, 0.1 * 2**attempt), LONGEST_PAUSE_S))
        return answer

    def get(self, target: str) -> Json:
        """GET a JSON document."""
        return json.loads(self.request("GET", versioned(target)).body)

    def find(self, target: str) -> Json | None:
        """GET a JSON document; None when it is not there."""
        answer = self.attempt("GET", versioned(target))
        if answer.status == 404:
            return None
        if answer.status >= 400:
            raise failure_of(answer, "GET", target)
        return json.loads(answer.body)

    def put(self, target: str, body: Json) -> Json:
        """PUT a document, wait for what it starts, and return the resource."""
        return self.finish(self.request("PUT", versioned(target), body=body), target)

    def patch(self, target: str, body: Json) -> Json:
        """PATCH a document, wait for what it starts, and return the resource."""
        return self.finish(self.request("PATCH", versioned(target), body=body), target)

    def post(self, target: str, body: Json = None) -> Json:
        """POST and return the answer, after the operation that it starts; None when there is none."""
        return self.finish(self.request("POST", versioned(target), body={} if body is None else body), "")

    def delete(self, target: str, *, wait: bool = True) -> None:
        """DELETE, and wait until it is done unless told not to."""
        answer = self.request("DELETE", versioned(target))
        if wait:
            self.finish(answer, "")

    def pages(self, target: str) -> Iterator[Json]:
        """Yield the items of a list, page after page."""
        link: str | None = versioned(target)
        while link:
            page = json.loads(self.request("GET", link).body)
            yield from page.get("value") or ()
            link = page.get("nextLink")

    def finish(self, answer: Answer, target: str) -> Json:
        """Wait for the operation that an answer announces; return the resource (`target`) or the last body.

        Raises ServiceFailure when the operation fails. https://learn.microsoft.com/azure/azure-resource-manager
        /management/async-operations tells the headers.
        """
        operation, location = answer.headers.get("azure-asyncoperation"), answer.headers.get("location")
        if operation and answer.status in (200, 201, 202):
            self._poll_operation(operation, answer)
            if target:
                return self.get(target)
            return json.loads(self.request("GET", location).body or b"null") if location else None
        if answer.status == 202 and location:
            answer = self._poll_location(location, answer)
            return self.get(target) if target else _decoded(answer)
        return _decoded(answer)

    def _poll_operation(self, operation: str, answer: Answer) -> None:
        pause = 0.02
        while True:
            answer = self.request("GET", operation)
            state = json.loads(answer.body)
            status = state.get("status", "Succeeded")
            if status in FINAL:
                break
            progress = (state.get("properties") or {}).get("progress")
            pause = self._pause(pause, answer, progress or status)
        if status != "Succeeded":
            error = state.get("error") or {"code": status, "message": f"The operation ended as {status}."}
            raise _failure_from({"error": error}, answer.status, answer.body.decode("utf-8", "replace"))

    def _poll_location(self, location: str, answer: Answer) -> Answer:
        pause = 0.02
        while answer.status == 202:
            pause = self._pause(pause, answer, "InProgress")
            answer = self.request("GET", location)
        return answer

    def _pause(self, pause: float, answer: Answer, status: str) -> float:
        # Retry-After is meant for clients far away; ours asks earlier at first and then as it is told
        if self.waiting:
            self.waiting(status)
        time.sleep(min(pause, _retry_after(answer, LONGEST_PAUSE_S)))
        return min(pause * 1.5, LONGEST_PAUSE_S)

    def _relative(self, target: str) -> str:
        if not target.startswith("http"):
            return target
        return "/" + target.partition("://")[2].partition("/")[2]


def _found(home: str) -> tuple[dict[str, Json], str]:
    """Return what the home's server tells of itself, and the token of its owner. Raises NoServer."""
    try:
        with open(f"{home}/run/server.json", "rb") as file:
            run = json.loads(file.read())
        with open(f"{home}/run/token", encoding="ascii") as file:
            return run, file.read().strip()
    except (OSError, ValueError) as error:
        raise NoServer(f"No Entrepot server runs with the home {home}.", hint="entrepot up") from error


def versioned(target: str) -> str:
    """Return the target with an api-version, unless it has one."""
    if "api-version=" in target:
        return target
    return f"{target}{'&' if '?' in target else '?'}api-version={API_VERSION}"


def failure_of(answer: Answer, method: str, target: str) -> ServiceFailure:
    """Return the exception that an answer from 400 on stands for."""
    text = answer.body.decode("utf-8", "replace")
    try:
        return _failure_from(json.loads(text), answer.status, text)
    except ValueError:
        path = target.partition("?")[0]
        return ServiceFailure(f"{method} {path}: HTTP {answer.status} {text[:200]}".strip(), status=answer.status)


def _failure_from(body: Json, status: int, text: str) -> ServiceFailure:
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        raise ValueError("not an ARM error")
    hint = ""
    for info in error.get("additionalInfo") or ():
        if info.get("type") == "Hint":
            hint = str(info["info"]["value"])
    message = str(error.get("message") or error.get("code") or text)
    for detail in error.get("details") or ():
        if detail.get("message") and detail["message"] not in message:
            message += f"\n  {detail['message']}"
    return ServiceFailure(message, code=str(error.get("code") or ""), status=status, hint=hint, body=text)


def _decoded(answer: Answer) -> Json:
    return json.loads(answer.body) if answer.body.strip() else None


def _retry_after(answer: Answer, otherwise: float) -> float:
    try:
        return float(answer.headers["retry-after"])
    except (KeyError, ValueError):
        return otherwise
