"""A small real OpenID provider on a socket of its own: discovery, keys that change, and tokens that it signs."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwk, jwt

Json = Any


class Provider:
    """An issuer. `asked` counts the requests by path; `is_silent` lets it answer errors."""

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}
        self.is_silent = False
        self.keys = [jwk.RSAKey.generate_key(2048)]
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked[self.path] = provider.asked.get(self.path, 0) + 1
                body = json.dumps(provider.answer(self.path)).encode()
                self.send_response(503 if provider.is_silent else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}/realm"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, path: str) -> Json:
        """Return the document at a path."""
        if path.endswith("openid-configuration"):
            return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}
        published = [{**key.as_dict(private=False), "kid": key.thumbprint(), "use": "sig"} for key in self.keys]
        return {"keys": published}

    def rotate(self) -> None:
        """Sign with a new key; the old one is not published any more."""
        self.keys = [jwk.RSAKey.generate_key(2048)]

    def token(self, **claims: Json) -> str:
        """Return a signed token."""
        now = int(time.time())
        said = {"iss": self.issuer, "iat": now, "exp": now + 600, **claims}
        return jwt.encode({"alg": "RS256", "kid": self.keys[0].thumbprint()}, said, self.keys[0])

    def stop(self) -> None:
        """Close the socket."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def provider() -> Iterator[Provider]:
    """Run a provider for the length of a `with` block."""
    made = Provider()
    try:
        yield made
    finally:
        made.stop()
