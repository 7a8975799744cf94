"""What a gateway follows: the hub of its own process, or a server elsewhere that it asks (`following.py`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from entrepot.core.errors import InvalidRequest
from entrepot.domain.endpoints import routing
from entrepot.domain.endpoints.announcements import EPOCH_KEY
from entrepot.domain.endpoints.routing import EndpointRoute
from entrepot.domain.hub import Hub

NOTHING_KNOWN = -1
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Api:
    """Where a server answers gateways' questions. `authority`: the PEM file that HTTPS is checked by; '': HTTP."""

    host: str
    port: int
    authority: str = ""


class Source(Protocol):
    """What a gateway follows. Its thread asks; others may too."""

    @property
    def api(self) -> Api:
        """Whom Envoy asks whether a token may score."""
        ...

    def epoch(self) -> int:
        """Return a number that another one follows with each change; NOTHING_KNOWN before anything is known."""
        ...

    def endpoints(self) -> Sequence[EndpointRoute]:
        """Return the endpoints, as of an epoch that is at least the one told before."""
        ...


@dataclass(frozen=True, slots=True)
class OwnHub:
    """The hub of this process."""

    hub: Hub
    api: Api

    def epoch(self) -> int:
        """Return the revision of the document that every change of endpoints moves."""
        document = self.hub.documents.get(EPOCH_KEY)
        return document.revision if document is not None else 0

    def endpoints(self) -> Sequence[EndpointRoute]:
        """Return the endpoints as they are now."""
        return routing.read_all(self.hub)


def read_url(url: str) -> Api:
    """Read the address of a server's API, without what HTTPS is checked by. Raises InvalidRequest."""
    try:
        read = urlsplit(url)
        host, port = read.hostname, read.port
    except ValueError:
        read, host, port = None, None, None
    if read is None or read.scheme not in _PORTS or not host or read.path not in ("", "/"):
        raise InvalidRequest(f"{url!r} is no address of a server: write http://127.0.0.1:7420 or https://NAME:7443")
    return Api(host, port or _PORTS[read.scheme])
