"""Environment builds: durable operations, one per distinct recipe, whose state and log `environment show` tells.

`builds/{digest}` holds the state; all environments with the same image, conda dependencies and context share it.
What a build is made of is in `assets/environment.py`, how it is made is the compute backend's affair.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from entrepot.compute.backend import ComputeBackend, EnvironmentSpec, Prepared
from entrepot.core.clock import to_iso
from entrepot.core.errors import BuildFailed, EntrepotError, Unavailable
from entrepot.core.ids import AssetRef
from entrepot.core.nouns import ENVIRONMENT
from entrepot.domain.access import PUBLIC_REGISTRY
from entrepot.domain.assets import reading, sources
from entrepot.domain.assets.environment import DOCKERFILE, conda_of
from entrepot.domain.hub import Hub
from entrepot.store import snapshots
from entrepot.store.documents import Change, Document, Enqueue, Put, Work

Json = Any
Log = Callable[[str], None]

QUEUE = "build"
NOT_BUILT, QUEUED, BUILDING, SUCCEEDED, FAILED = "NotBuilt", "Queued", "Building", "Succeeded", "Failed"
_LOG_BYTES = 64 << 10
_FLUSH_S = 1.0


def build_items(hub: Hub, ref: AssetRef, body: Json) -> list[Change]:
    """Return the changes that have an environment built, when there is something to build and builds are wished.

    Nothing is built that was, or is being; what failed is built anew, as the cause may be gone.
    """
    is_curated = ref.scope.key == f"registries/{PUBLIC_REGISTRY}"  # built when first used: a first start stays quick
    if ref.kind is not ENVIRONMENT or is_curated or not hub.settings.environment_builds_at_create:
        return []
    properties = body["properties"]
    digest = body["entrepot"]["build"]["digest"]
    known = hub.documents.get(f"builds/{digest}")
    if known is not None and known.body["state"] in (QUEUED, BUILDING, SUCCEEDED):
        return []
    if known is None and not properties.get("condaFile") and not properties.get("build"):
        return []  # an image alone is built when it is first used
    queued = {"state": QUEUED, "log": "", "substitutions": [], "environment": ref.id}
    match = 0 if known is None else known.revision
    return [Put(f"builds/{digest}", queued, match=match), Enqueue(QUEUE, digest, {"key": ref.key})]


def queued_once(changes: list[Change]) -> list[Change]:
    """Return the changes of one commit with each build queued once: several of its environments may share one."""
    known: set[str] = set()
    kept: list[Change] = []
    for change in changes:
        name = ""
        if isinstance(change, Put) and change.key.startswith("builds/"):
            name = change.key
        elif isinstance(change, Enqueue) and change.queue == QUEUE:
            name = f"{QUEUE} {change.key}"
        if name and name in known:
            continue
        known.add(name)
        kept.append(change)
    return kept


def with_build(hub: Hub, document: Document) -> Document:
    """Return an environment's document with the state, log and substitutions of its build in `entrepot.build`."""
    body = document.body
    build = body["entrepot"].get("build")
    if not build:
        return document
    known = hub.documents.get(f"builds/{build['digest']}")
    found: dict[str, Json] = {} if known is None else known.body
    build |= {
        "state": found.get("state", NOT_BUILT),
        "log": found.get("log", ""),
        "substitutions": found.get("substitutions", []),
    }
    if found.get("error"):
        build["error"] = found["error"]
    raw = msgspec.json.encode(body)
    return Document(document.key, raw, document.revision, document.sequence, document.is_archived)


def ready(hub: Hub, document: Document, *, log: Log, backend: str = "") -> Prepared:
    """Return the environment of a version's document, built if it is not there. Raises BuildFailed with the culprit.

    One build at a time per recipe: whoever comes second waits and finds it. `log` gets the lines of this build.
    """
    body = document.body
    digest = body["entrepot"]["build"]["digest"]
    engine = _engine(hub, backend)
    with hub.locks.of(f"builds/{digest}"):
        record = _Record(hub, digest, body["id"], log)
        context = hub.settings.home / "builds" / f"{digest}-{hub.new_id()}"
        try:
            prepared = engine.prepare(_spec(hub, document, context), log=record.line)
        except BuildFailed as error:
            record.failed(error.message)
            raise BuildFailed(f"{_title(body)}: {error.message}", hint=error.hint) from error
        except Exception as error:
            record.failed(error.message if isinstance(error, EntrepotError) else str(error))
            raise
        finally:
            shutil.rmtree(context, ignore_errors=True)
        record.done(prepared)
        return prepared


def build(hub: Hub, work: Work) -> None:
    """Handle one item of the queue `build`; a build that fails is a result, not a reason to try again."""
    document = hub.documents.get(work.payload["key"])
    if document is None:
        return
    try:
        ready(hub, document, log=_ignore)
    except BuildFailed:
        return


def _engine(hub: Hub, name: str) -> ComputeBackend:
    if not hub.backends:
        raise Unavailable("This server has no compute backend, so environments cannot be built")
    return hub.backends[name] if name else next(iter(hub.backends.values()))


def _spec(hub: Hub, document: Document, folder: Path) -> EnvironmentSpec:
    properties = document.body["properties"]
    context: Path | None = None
    build_properties = properties.get("build") or {}
    if build_properties:
        source = sources.of_document(hub, document)
        snapshots.materialise(hub.depots.of(source.region), source.manifest, folder, writable=True)
        context = folder
    return EnvironmentSpec(
        image=properties.get("image"),
        conda=conda_of(properties),
        context=context,
        dockerfile=build_properties.get("dockerfilePath") or DOCKERFILE,
    )


def _title(body: Json) -> str:
    """Return what the user calls an environment; one without a name is told by its image."""
    ref = reading.ref_of(body)
    if not body["properties"].get("isAnonymous"):
        return f"Environment {ref.name}:{ref.version} of {ref.scope}"
    image = body["properties"].get("image")
    return f"The inline environment with image {image}" if image else "The inline environment with a build context"


def _ignore(line: str) -> None:
    """Drop a line: the build's document keeps it."""


@dataclass(slots=True)
class _Record:
    """The document of a build under way. Nothing is written for one that was there already."""

    hub: Hub
    digest: str
    environment: str
    log: Log
    lines: list[str] = field(default_factory=list)
    flushed: float = 0

    def line(self, text: str) -> None:
        """Take a line of the log; show it to whoever asks within a second."""
        self.log(text)
        self.lines.append(text.rstrip("\n"))
        if time.monotonic() - self.flushed >= _FLUSH_S:
            self.write(BUILDING)
            self.flushed = time.monotonic()

    def done(self, prepared: Prepared) -> None:
        """Record success, unless an earlier build's is recorded."""
        key = f"builds/{self.digest}"
        known = self.hub.documents.get(key)
        substitutions = list(prepared.substitutions)
        if prepared.is_cached and known is not None:
            body = known.body
            if body["state"] == SUCCEEDED and body["substitutions"] == substitutions:
                return
        self.write(SUCCEEDED, substitutions=substitutions)

    def failed(self, error: str) -> None:
        """Record failure; its cause ends the log, whether or not the engine wrote it there."""
        if not any(error in line for line in self.lines):
            self.lines.append(f"error: {error}")
        self.write(FAILED, error=error)

    def write(self, state: str, *, substitutions: list[str] | None = None, error: str = "") -> None:
        """Put the build's document."""
        text = "\n".join(self.lines)
        while len(text) > _LOG_BYTES and len(self.lines) > 1:
            del self.lines[: max(1, len(self.lines) // 4)]
            text = "\n".join(self.lines)
        body: dict[str, Json] = {
            "state": state,
            "log": text[-_LOG_BYTES:],
            "substitutions": substitutions or [],
            "environment": self.environment,
            "updated": to_iso(self.hub.clock.now()),
        }
        if error:
            body["error"] = error
        self.hub.documents.commit([Put(f"builds/{self.digest}", body)])
