"""What a server needs before other machines may reach it: a name, TLS, and somebody who can sign in."""

import ssl
from collections.abc import Sequence
from pathlib import Path

from entrepot.core.errors import InvalidRequest, StateConflict
from entrepot.core.settings import Settings
from entrepot.domain.hub import Hub
from entrepot.domain.identity import directory
from entrepot.server.tls import TlsFiles, ensure_certificate, server_context

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def require_name(settings: Settings) -> None:
    """Return if others would know the server by a name. Raises InvalidRequest that says what to do."""
    if settings.is_exposed and not settings.hostname:
        raise InvalidRequest(
            f"Listening on {settings.host} lets other machines in, and they need a name to reach and to check",
            hint="give --hostname NAME (or `hostname` in config.toml), and a certificate for it in tls_certificate and "
            "tls_key; without one the home's own authority makes it, and clients have to trust tls/ca.pem",
        )


def require_people(hub: Hub) -> None:
    """Return if somebody other than the home's owner can sign in. Raises StateConflict that says what to do.

    The token of the home is good on its own machine only, so a server that nobody can sign in to is a mistake.
    """
    settings = hub.settings
    if not settings.is_exposed or settings.oidc_providers:
        return
    users = directory.list_(hub, directory.USER, limit=2).documents
    if len(users) > 1 or directory.list_(hub, directory.APPLICATION, limit=1).documents:
        return
    raise StateConflict(
        f"Listening on {settings.host} lets other machines in, but nobody could sign in: the directory is empty",
        hint="start it on this machine first (entrepot up), then: az ad user create --display-name NAME "
        "--user-principal-name NAME@DOMAIN --password PASSWORD, or az ad sp create-for-rbac; or name an outside "
        "provider in oidc_providers",
    )


def certificate(settings: Settings, *, now: float) -> TlsFiles:
    """Return the certificate to serve with: one's own, or one from the home's authority. Raises InvalidRequest."""
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise InvalidRequest("tls_certificate and tls_key belong together: give both, or neither")
    if not settings.tls_certificate:
        named = [name for name in (settings.hostname, settings.host) if name and name not in _EVERYWHERE]
        hosts = dict.fromkeys(("127.0.0.1", "localhost", *named))
        return ensure_certificate(settings.home / "tls", hosts=tuple(hosts), now=now)
    own = TlsFiles(Path(settings.tls_certificate), Path(settings.tls_certificate), Path(settings.tls_key))
    try:
        server_context(own)
    except (OSError, ssl.SSLError) as error:
        raise InvalidRequest(
            f"tls_certificate {own.certificate} and tls_key {own.key} cannot be used: {error}"
        ) from error
    return own


def urls(settings: Settings, ports: Sequence[int]) -> tuple[str, str]:
    """Return where the plain and the TLS listener answer. `ports`: theirs, in this order."""
    plain = "127.0.0.1" if settings.plain_host == "localhost" else settings.plain_host
    secure = settings.hostname or plain
    return f"http://{_shown(plain)}:{ports[0]}", f"https://{_shown(secure)}:{ports[1]}"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
