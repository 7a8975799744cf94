"""A small real OpenID provider on a socket of its own: discovery, keys that change, tokens that it signs, and the
authorization code flow with PKCE for one client.
"""

import base64
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwk, jwt

from entrepot.domain.identity.codes import challenge_of

Json = Any


class Provider:
    """An issuer. `asked` counts the requests by path; `is_silent` lets it answer errors.

    `person` is what its tokens say of who sits at every browser; `wrong` is said in the place of what is right.
    """

    client_id, client_secret = "entrepot-web", "p&ss:w/rd"

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}
        self.is_silent = False
        self.person: dict[str, Json] = {}
        self.wrong: dict[str, Json] = {}
        self._codes: dict[str, dict[str, str]] = {}
        self.keys = [jwk.RSAKey.generate_key(2048)]
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if urlsplit(self.path).path.endswith("/authorize"):
                    self.send_response(302)
                    self.send_header("location", provider.authorized(dict(parse_qsl(urlsplit(self.path).query))))
                    self.send_header("content-length", "0")
                    self.end_headers()
                    return
                provider.asked[self.path] = provider.asked.get(self.path, 0) + 1
                body = json.dumps(provider.answer(self.path)).encode()
                self.send_response(503 if provider.is_silent else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                form = dict(parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
                status, answer = provider.redeemed(form, self.headers.get("authorization", ""))
                body = json.dumps(answer).encode()
                self.send_response(status)
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
            places = {"authorization_endpoint": f"{self.issuer}/authorize", "token_endpoint": f"{self.issuer}/token"}
            return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys", **places}
        published = [{**key.as_dict(private=False), "kid": key.thumbprint(), "use": "sig"} for key in self.keys]
        return {"keys": published}

    def authorized(self, asked: dict[str, str]) -> str:
        """Return where a browser goes with its code, as if the person had agreed."""
        assert asked["response_type"] == "code" and asked["client_id"] == self.client_id, asked
        assert "openid" in asked["scope"].split() and asked["code_challenge_method"] == "S256", asked
        code = secrets.token_urlsafe(8)
        self._codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def redeemed(self, form: dict[str, str], authorization: str) -> tuple[int, Json]:
        """Return what the token endpoint answers: a code is good once, for its client, its address and its verifier."""
        pair = base64.b64decode(authorization.partition(" ")[2]).decode().split(":")
        asked = self._codes.pop(form.get("code", ""), None)
        if dict(parse_qsl(f"i={pair[0]}&s={pair[1]}")) != {"i": self.client_id, "s": self.client_secret}:
            return 401, {"error": "invalid_client"}
        if asked is None or challenge_of(form["code_verifier"]) != asked["code_challenge"]:
            return 400, {"error": "invalid_grant", "error_description": "no such code"}
        if form["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant", "error_description": "another address"}
        said = {"aud": self.client_id, "nonce": asked["nonce"], **self.person, **self.wrong}
        return 200, {"id_token": self.token(**said), "token_type": "Bearer", "access_token": "opaque"}

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
