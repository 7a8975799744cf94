"""OAuth 2.0 and OpenID Connect on the wire, as Entra words them: discovery, token answers, errors, forms. Pure."""

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from entrepot.core.clock import to_iso

Json = Any

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
GRANTS = ("authorization_code", "client_credentials", "refresh_token", DEVICE_GRANT, "password")
_MOST_FIELDS = 100


def discovery(base: str, issuer: str, *, path: str) -> dict[str, Json]:
    """Return OpenID's discovery document. `base`: the authority's address with the tenant, `path` to its endpoints."""
    endpoint = f"{base}/{path}"
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{endpoint}/authorize",
        "token_endpoint": f"{endpoint}/token",
        "device_authorization_endpoint": f"{endpoint}/devicecode",
        "end_session_endpoint": f"{endpoint}/logout",
        "jwks_uri": f"{base}/discovery/v2.0/keys",
        "userinfo_endpoint": f"{base}/openid/userinfo",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "grant_types_supported": list(GRANTS),
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "private_key_jwt"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "name", "preferred_username", "tid", "oid"],
        "http_logout_supported": False,
    }


def form(body: bytes) -> dict[str, str]:
    """Read a form. Raises ValueError for one that is none, or that says a field twice."""
    pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field is there twice")
    return fields


def basic_credentials(authorization: bytes) -> tuple[str, str] | None:
    """Return the client's id and secret out of an Authorization header, None when it holds none."""
    scheme, _, value = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        name, colon, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        return None
    fields = dict(parse_qsl(f"i={name}&s={secret}", keep_blank_values=True))  # both are form-encoded in there
    return (fields.get("i", ""), fields.get("s", "")) if colon else None


def error(word: str, number: int, message: str, *, now: float, request_id: str) -> dict[str, Json]:
    """Return an error as Entra writes it: OAuth's two fields, and the number in the text, where people look for it."""
    time = to_iso(now)[:19].replace("T", " ") + "Z"
    description = (
        f"AADSTS{number}: {message}. Trace ID: {request_id} Correlation ID: {request_id} Timestamp: {time}"
        if number
        else message
    )
    return {
        "error": word, "error_description": description, "error_codes": [number] if number else [], "timestamp": time,
        "trace_id": request_id, "correlation_id": request_id,
    }  # fmt: skip


def client_info(oid: str, tenant: str) -> str:
    """Return what MSAL names an account by in its cache."""
    text = json.dumps({"uid": oid, "utid": tenant}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def resource_of(scopes: list[str], otherwise: str) -> str:
    """Return the resource that scopes are of: the first that is more than a word of OpenID's, else the given one."""
    return next((scope for scope in scopes if "/" in scope), otherwise)


def id_claims(claims: Mapping[str, Json], *, client_id: str, nonce: str, auth_time: float) -> dict[str, Json]:
    """Return what an id token says of a user, from the claims of the access token."""
    kept = ("sub", "oid", "tid", "name", "preferred_username", "ver", "groups", "hasgroups", "sid")
    found = {name: claims[name] for name in kept if name in claims}
    found |= {"azp": client_id, "auth_time": int(auth_time)}
    return found | ({"nonce": nonce} if nonce else {})
