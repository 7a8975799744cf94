"""The composition root: the one place that picks implementations and puts a server together from its settings."""

import contextlib
import getpass
import os
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import entrepot
from entrepot.compute.local import LocalBackend
from entrepot.core.clock import SystemClock, new_id
from entrepot.core.settings import Settings
from entrepot.domain import environments, gallery, removal, replication
from entrepot.domain.audit.keeping import Auditor
from entrepot.domain.audit.sealing import Notary
from entrepot.domain.authorization import assignments
from entrepot.domain.deployments import running
from entrepot.domain.disposal import blocks
from entrepot.domain.endpoints import provisioning, replicas, rollouts
from entrepot.domain.endpoints.announcements import QUEUE as DEPLOYMENTS_QUEUE
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.identity import directory, granting
from entrepot.domain.jobs import records, scheduler
from entrepot.domain.jobs.execution import Executor
from entrepot.domain.jobs.staging import JobIdentity
from entrepot.domain.schedules import firing
from entrepot.domain.schedules.schedules import QUEUE as SCHEDULE_QUEUE
from entrepot.domain.scopes import known_regions
from entrepot.domain.work import Handler, Workers
from entrepot.server.addresses import AddressSigner
from entrepot.server.app import Application
from entrepot.server.authentication import Authenticator
from entrepot.server.dataplane.bearers import Bearers
from entrepot.server.dataplane.listener import DataPlane
from entrepot.server.dataplane.sas import SasSigner
from entrepot.server.dataplane.trail import Trail
from entrepot.server.gateway.counting import Tellers
from entrepot.server.gateway.gateway import open_gateway
from entrepot.server.identity import exposure
from entrepot.server.identity.issuers import Issuers
from entrepot.server.identity.signing import SigningKeys
from entrepot.server.identity.tokens import AUDIENCE, TokenSigner
from entrepot.server.inner.requests import Requests
from entrepot.server.keys import load_key, load_token, open_sealer
from entrepot.server.monitoring.recording import Recorder
from entrepot.server.places import ALIAS
from entrepot.server.protocol.door import Door, raise_files_limit
from entrepot.server.routes import (
    arm,
    assets,
    batch_endpoints,
    deployments,
    extensions,
    identity,
    jobs,
    metadata,
    mlflow,
    monitoring,
    openapi,
    operations,
    registered_models,
    registries,
    runhistory,
    schedules,
    tags,
    workspaces,
)
from entrepot.server.routes.endpoints import gateway as gateway_routes
from entrepot.server.routes.endpoints import online
from entrepot.server.routes.governance import access, audit, lineage, secrets
from entrepot.server.routes.resources import computes, connections, dependents, deployment_templates
from entrepot.server.routing import Route, Router
from entrepot.server.runfiles import identity_file, token_file
from entrepot.server.site import Addresses, Site, client_variables, spellings
from entrepot.server.tls import TlsFiles, bundle, server_context
from entrepot.store.containers import Containers
from entrepot.store.depots import CloudDepots, LocalDepots, open_depots
from entrepot.store.documents import DocumentStore
from entrepot.store.spool import Spool
from entrepot.store.sql import open_documents
from entrepot.store.web.addresses import Allowed
from entrepot.wire.openapi import Operation

Json = Any

OWNER_ID = "00000000-0000-0000-0000-0000000000a1"
_WRITERS = 32
_WAITERS = 128
_DEPLOYMENTS = 512  # each is attended by a thread that sleeps nearly always
_JOB_TOKEN_S = 30 * 24 * 3600.0  # a job may run for weeks; its token ends with it at the latest
FAMILIES = (
    metadata, identity, access, arm, deployments, registries, workspaces, assets, jobs, runhistory, mlflow,
    registered_models, schedules, operations, online, gateway_routes, extensions, batch_endpoints, openapi,
    computes, connections, dependents, deployment_templates, audit, tags, secrets, monitoring, lineage,
)  # fmt: skip
ROUTES: tuple[Route, ...] = tuple(
    replace(route, family=family.__name__.rpartition(".")[2]) for family in FAMILIES for route in family.ROUTES
)
"""All routes of the server."""
OPERATIONS = tuple(
    Operation(route.method, route.template, route.action, route.reason, route.is_anonymous, route.takes_stream)
    for route in ROUTES
    if not route.template.startswith(ALIAS)
)
"""What is told of them; the same answers below `ALIAS` are not told twice."""


@dataclass(frozen=True, slots=True)
class Composition:
    """A whole server but for its API listeners: the application, the data plane that listens already, the workers."""

    site: Site
    application: Application
    workers: Workers
    planes: tuple[DataPlane, ...]
    pools: tuple[ThreadPoolExecutor, ...]
    depots: LocalDepots | CloudDepots
    door: Door
    spool: Spool | None

    def start(self) -> None:
        """Begin the work that an earlier process left, and all that comes."""
        self.workers.start()
        self.site.recorder.start()
        self.site.gateway.start()
        self.site.auditor.start()

    def stop(self) -> None:
        """End scoring, the workers and the data plane; whoever waits in a request gives up."""
        self.site.gateway.drain()  # before replicas end, which it still asks
        self.site.recorder.stop()  # with the last that was answered
        self.site.gateway.stop()
        self.site.stopping.set()
        self.workers.stop()
        for plane in self.planes:
            plane.stop()

    def close(self) -> None:
        """Release threads, files and connections; stops first what still runs."""
        self.stop()
        for pool in self.pools:
            pool.shutdown(wait=True, cancel_futures=True)
        self.site.auditor.stop()
        if self.spool:
            self.spool.close()
        self.site.hub.documents.close()
        self.depots.close()


def compose(settings: Settings, tls: TlsFiles, urls: tuple[str, str]) -> Composition:
    """Put a server together. `urls`: where its HTTP and HTTPS listeners answer."""
    clock = SystemClock()
    with contextlib.ExitStack() as undo:
        place = settings.database_url or settings.home / "entrepot.db"
        # A home's own database is this process's alone: `serve` holds the home's lock. One elsewhere may be shared.
        documents = open_documents(place, fsync=settings.fsync, is_alone=not settings.database_url)
        undo.callback(documents.close)
        depots = open_depots(settings.home / "regions", url=settings.blob_url, fsync=settings.fsync)
        undo.callback(depots.close)
        spool = Spool(documents, depots.of) if settings.is_embedded else None
        if spool:
            spool.restore()
            undo.callback(spool.close)
        hub, keys = _hub(settings, clock, documents, depots, spool), settings.home / "keys"
        owner = Principal(id=OWNER_ID, name=_user_name(), tenant=settings.tenant)
        assignments.bootstrap(hub, owner)
        directory.ensure_owner(hub, owner)
        exposure.require_people(hub)
        gallery.publish(hub)
        blocks.begin(hub)
        sas = SasSigner(load_key(keys / "sas.key"))
        tokens, authenticator = _authority(hub, owner, urls, tls)
        door = Door(per_address=settings.connections_per_address, total=raise_files_limit())
        planes, ports = _open_planes(hub, sas, Bearers(hub, authenticator), server_context(tls), door)
        for plane in planes:
            undo.callback(plane.stop)
        gateway = open_gateway(hub, settings.home / "gateway", server=urls[0], tls=tls)
        undo.callback(gateway.stop)
        tellers = Tellers(gateway)
        site = Site(
            hub=hub, addresses=_addresses(urls, ports, gateway.ports), sas=sas,
            signer=AddressSigner(load_key(keys / "addresses.key")), tokens=tokens, authenticator=authenticator,
            router=Router(ROUTES), version=entrepot.__version__, gateway=gateway, operations=OPERATIONS,
            auditor=_auditor(hub), recorder=Recorder(hub, tellers), tellers=tellers,
        )  # fmt: skip
        composition = _assembled(site, tls, planes, depots, door, spool)
        undo.pop_all()
        return composition


def _hub(
    settings: Settings, clock: SystemClock, documents: DocumentStore, depots: LocalDepots | CloudDepots,
    spool: Spool | None,
) -> Hub:  # fmt: skip
    containers = Containers(documents, depots.of, regions=lambda: known_regions(hub), clock=clock, spool=spool)
    backend = LocalBackend(
        settings.home, sandbox=settings.sandbox, python_policy=settings.environment_python,
        environments=settings.environments,
    )  # fmt: skip
    sealer = open_sealer(settings.home / "keys" / "secrets.key", given=settings.secrets_key)
    hub = Hub(settings, clock, documents, depots, containers, {backend.name: backend}, new_id, sealer)
    return hub


def _auditor(hub: Hub) -> Auditor:
    """Return what keeps the audit trail. Its key and its memory are not in the database that it seals."""
    home = hub.settings.home
    key = partial(load_key, home / "keys" / "audit.key")
    return Auditor(hub, Notary(key, home / "audit" / "newest.json", is_alone=not hub.settings.database_url))


def _authority(hub: Hub, owner: Principal, urls: tuple[str, str], tls: TlsFiles) -> tuple[TokenSigner, Authenticator]:
    """Return what makes tokens and what believes them. No key is made before the first token is."""
    settings = hub.settings
    origins = [f"{scheme}://{host}" for scheme in ("http", "https") for host in spellings(*urls)]
    keys = SigningKeys(settings.home / "keys" / "signing", hub.documents, hub.clock)
    tokens = TokenSigner(keys, tenant=settings.tenant, clock=hub.clock, addresses=(urls[1], *origins))
    return tokens, Authenticator(
        hub, owner_token=load_token(token_file(settings.home)), owner=owner, signer=tokens,
        identity_secret=load_token(identity_file(settings.home)),
        issuers=Issuers(
            hub.clock, authority=tls.authority, allowed=Allowed.of(settings.fetch_addresses),
            trusted=[str(provider.get("issuer")) for provider in settings.oidc_providers],
        ),
    )  # fmt: skip


def _assembled(
    site: Site, tls: TlsFiles, planes: tuple[DataPlane, ...], depots: LocalDepots | CloudDepots, door: Door,
    spool: Spool | None,
) -> Composition:  # fmt: skip
    writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="write")
    waiters = ThreadPoolExecutor(_WAITERS, thread_name_prefix="wait")
    reads_inline = not site.hub.settings.database_url  # SQLite answers in 0.01 ms, a database elsewhere does not
    application = Application(site, site.router, writers=writers, waiters=waiters, reads_inline=reads_inline)
    return Composition(site, application, _workers(site, tls), planes, (writers, waiters), depots, door, spool)


def _workers(site: Site, tls: TlsFiles) -> Workers:
    processors = os.cpu_count() or 1

    def token(principal: Principal, job: Json) -> str:
        claims = granting.claims_of_job(site.hub, principal, job["name"], job["id"].rpartition("/jobs/")[0])
        return site.tokens.issue(claims, audience=AUDIENCE, lifetime_s=_JOB_TOKEN_S)

    identity = JobIdentity(
        token=token,
        # plain HTTP: a job runs on this machine, and its MLflow need not trust our certificate
        tracking_url=lambda scope: f"{site.addresses.http}/mlflow/v2.0{scope.arm_id}",
        clients=client_variables(site.addresses),
        trust=lambda: bundle(tls),
    )
    handlers: dict[str, Handler] = {
        replication.QUEUE: replication.replicate,
        removal.QUEUE: removal.provision,
        environments.QUEUE: environments.build,
        records.PIPELINE_QUEUE: scheduler.tick,
        records.NODE_QUEUE: Executor(identity, site.stopping),
        SCHEDULE_QUEUE: firing.fire,
        running.QUEUE: running.Runner(Requests(site)),
        DEPLOYMENTS_QUEUE: provisioning.settle,
        rollouts.QUEUE: rollouts.Rollouts(site.tellers.of),
        replicas.QUEUE: replicas.Attendant(site.stopping),
        blocks.QUEUE: blocks.dispose,
    }
    slots = {
        replication.QUEUE: max(2, processors),
        removal.QUEUE: 1,
        environments.QUEUE: processors,
        records.PIPELINE_QUEUE: 2,
        SCHEDULE_QUEUE: 1,
        running.QUEUE: 2,
        replicas.QUEUE: _DEPLOYMENTS,
        records.NODE_QUEUE: site.hub.settings.step_slots or processors,
    }
    return Workers(site.hub, handlers, slots)


def _open_planes(
    hub: Hub, sas: SasSigner, bearers: Bearers, context: ssl.SSLContext, door: Door
) -> tuple[tuple[DataPlane, ...], tuple[int, int]]:
    """Start the listeners for bytes beside those of the API, each on the next port if it is free."""

    settings, trail = hub.settings, Trail(hub)

    def opened(port: int, ssl_context: ssl.SSLContext | None) -> tuple[DataPlane, int]:
        plane = DataPlane(
            hub.containers, hub.depots, sas, trail=trail, host=settings.host if ssl_context else settings.plain_host,
            port=port, ssl_context=ssl_context, bearer=bearers.grant, stands=bearers.stands, door=door,
            reserve_bytes=settings.reserve_bytes, upload_limit_bytes=settings.upload_limit_bytes,
        )  # fmt: skip
        return plane, plane.start()

    def near(port: int, ssl_context: ssl.SSLContext | None) -> tuple[DataPlane, int]:
        try:
            return opened(port + 1 if port else 0, ssl_context)
        except OSError:
            return opened(0, ssl_context)

    plain, plain_port = near(settings.port, None)
    try:
        secure, secure_port = near(settings.https_port, context)
    except BaseException:
        plain.stop()
        raise
    return (plain, secure), (plain_port, secure_port)


def _addresses(urls: tuple[str, str], planes: tuple[int, int], gateway: tuple[int, int]) -> Addresses:
    at = [
        f"{url.rpartition(':')[0]}:{port}" for ports in (planes, gateway) for url, port in zip(urls, ports, strict=True)
    ]
    return Addresses(*urls, *at)


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in some containers
        return "owner"
