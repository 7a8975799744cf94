"""What the running server's handlers share: the hub, the addresses, the keys. Built by `compose.py`."""

import threading
from dataclasses import dataclass, field

from entrepot.domain.audit.keeping import Auditor
from entrepot.domain.hub import Hub
from entrepot.server.addresses import AddressSigner
from entrepot.server.authentication import Authenticator
from entrepot.server.dataplane.sas import SasSigner
from entrepot.server.gateway.counting import Tellers
from entrepot.server.gateway.gateway import Gateway
from entrepot.server.identity.tokens import TokenSigner
from entrepot.server.monitoring.recording import Recorder
from entrepot.server.monitoring.requests import Requests
from entrepot.server.routing import Router
from entrepot.wire.openapi import Operation
from entrepot.wire.origins import Origins


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the listeners of one server process answer, without trailing slashes."""

    http: str
    https: str
    blob_http: str
    blob_https: str
    score_http: str
    score_https: str

    def origins(self, scheme: str) -> Origins:
        """Return the origins that a listener of this scheme shows. Blob addresses are always https.

        Genuine clients refuse http there, and a document should read the same through either listener. Scoring
        addresses have the listener's scheme: who trusts the certificate gets https, and plain curl needs no setting.
        """
        return Origins(
            api=self.https if scheme == "https" else self.http,
            blob=self.blob_https,
            api_hosts=spellings(self.http, self.https),
            blob_hosts=spellings(self.blob_http, self.blob_https),
            score=self.score_https if scheme == "https" else self.score_http,
            score_hosts=spellings(self.score_http, self.score_https),
        )


def client_variables(addresses: Addresses) -> dict[str, str]:
    """Return the variables by which Azure's clients in a job find this server, and tokens for it."""
    metadata = "/metadata/endpoints?api-version=2019-05-01"
    return {
        # azure-ai-ml takes the cloud whose resource manager stands in the address at which it asked
        "ARM_CLOUD_METADATA_URL": f"{addresses.http}{metadata}&resourceManager={addresses.https}",
        "REGISTRY_DISCOVERY_ENDPOINT_URL": f"{addresses.https}/",
        "IDENTITY_ENDPOINT": f"{addresses.http}/msi/token",  # plain HTTP does on one machine, and needs no trust
    }


@dataclass(frozen=True, slots=True)
class Site:
    """The shared things. `actions` are what the routes ask for.

    `stopping` is set when the process ends, so that whoever waits gives up.
    """

    hub: Hub
    addresses: Addresses
    sas: SasSigner
    signer: AddressSigner
    tokens: TokenSigner
    authenticator: Authenticator
    router: Router
    auditor: Auditor
    version: str
    gateway: Gateway
    operations: tuple[Operation, ...]
    recorder: Recorder
    tellers: Tellers
    requests: Requests = field(default_factory=Requests)
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def actions(self) -> frozenset[str]:
        """All actions that routes ask for."""
        return frozenset(operation.action for operation in self.operations if operation.action)


def spellings(*origins: str) -> tuple[str, ...]:
    """Return each `host:port` under which the same listeners answer."""
    hosts = {origin.partition("://")[2] for origin in origins}
    names = {host.rpartition(":")[2] for host in hosts}
    loopback = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]") for port in names}
    return tuple(sorted(hosts | loopback))
