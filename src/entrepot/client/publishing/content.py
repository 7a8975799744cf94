"""Bytes and references: how local files get to where the server finds them, and how short names become ids."""

import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from entrepot.client.connection import quote
from entrepot.client.failures import ServiceFailure
from entrepot.client.files import Document, Place
from entrepot.client.schemas.checks import is_reference
from entrepot.client.scopes import Target
from entrepot.client.session import Session
from entrepot.client.shapes import asset_bodies
from entrepot.client.transfers.hashes import snapshot_digest
from entrepot.client.transfers.uploads import upload
from entrepot.core.nouns import BY_PLURAL

Json = Any
Progress = Callable[[int, int], None]

ATTEMPTS = 100  # at finding a free version number: each one lost is one that another publisher got


def no_progress(_: str) -> AbstractContextManager[Progress | None]:
    """Show nothing while bytes are on their way."""
    return nullcontext(None)


@dataclass(frozen=True, slots=True)
class Publisher:
    """Where things are created, and who is told of it. `progress` gives a bar for a label."""

    session: Session
    target: Target
    progress: Callable[[str], AbstractContextManager[Progress | None]] = no_progress
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Uploaded:
    """Where uploaded bytes are, and the digest of their snapshot."""

    uri: str
    digest: str


def send(publisher: Publisher, plural: str, name: str, version: str, path: Path) -> Uploaded:
    """Upload a file or folder for an asset version that is about to be created."""
    address = publisher.target.version(plural, name, version)
    answer = publisher.session.post(f"{address}/startPendingUpload", {"pendingUploadType": "TemporaryBlobReference"})
    reference = answer["blobReferenceForConsumption"]
    base = base_name(path)
    digest = transfer(publisher, path, reference["transferUri"], at=base)
    return Uploaded(f"{reference['blobUri'].rstrip('/')}/{base}", digest)


def transfer(publisher: Publisher, path: Path, address: str, *, at: str) -> str:
    """Upload a file or folder to a place in a container, with a bar; return the digest of its snapshot.

    Raises ServiceFailure that names the path, FileFailure.
    """
    try:
        with publisher.progress(f"Uploading {base_name(path)}") as progress:
            return str(upload(path, address, at=at, progress=progress)["digest"])
    except ServiceFailure as failure:
        message = f"{path} was not uploaded: {failure.message.removeprefix(f'({failure.code}) ')}"
        raise ServiceFailure(message, code=failure.code, status=failure.status, hint=failure.hint) from failure


def base_name(path: Path) -> str:
    """Return the name under which a path is uploaded: its own, also when it was written as `.` or `..`."""
    return path.name if path.name not in ("", "..") else path.resolve().name


def create_code(publisher: Publisher, path: Path) -> str:
    """Upload a folder of code and return its id: equal files have one id, and travel once."""
    digest = snapshot_digest(path)
    name = str(uuid.UUID(digest[:32]))
    address = publisher.target.version("codes", name, "1")
    if publisher.session.find(address) is None:
        uploaded = send(publisher, "codes", name, "1", path)
        publisher.session.put(address, asset_bodies.code(uri=uploaded.uri, digest=uploaded.digest))
    return publisher.target.asset_id("codes", name, "1")


def expand(
    publisher: Publisher, plural: str, text: str, *, document: Document, place: Place, is_pinned: bool = True
) -> str:
    """Return the id that a reference in a file means in this workspace or registry.

    `azureml:name:version` and `azureml:name@label` become ids of this scope (labels are looked up), ids of registries
    and of other scopes stay as they are. Raises FileFailure for anything else.
    """
    if text.startswith(("azureml://", "azureml:/", "/subscriptions/")):
        return text.removeprefix("azureml:") if text.startswith("azureml:/subscriptions") else text
    if not text.startswith("azureml:"):
        raise document.wrong(
            place, f"{text!r} names nothing: write azureml:<name>:<version>, azureml:<name>@latest or an id"
        )
    name, at, label = text.removeprefix("azureml:").partition("@")
    if not at:
        before, colon, version = name.rpartition(":")
        if colon:
            return publisher.target.asset_id(plural, before, version)
        if not is_pinned:
            return publisher.target.asset_id(plural, name)
    try:
        return publisher.target.asset_id(plural, name, labelled(publisher, plural, name, label or "latest"))
    except ServiceFailure as failure:
        if failure.status != 404:
            raise
        problem = f"{text!r} names nothing: {failure.message.removeprefix(f'({failure.code}) ')}"
        raise document.wrong(place, problem, hint=_sharing(publisher.target, plural, name) or failure.hint) from failure


def _sharing(target: Target, plural: str, name: str) -> str:
    """Return how a registry gets what only a workspace has, or how another registry's is written; '' elsewhere."""
    if not target.is_registry:
        return ""
    noun = BY_PLURAL[plural].noun
    return (
        f"share a workspace's {noun} first: entrepot ml {noun} share --name {name} --version <version> "
        f"--registry-name {target.name} --share-with-name {name} --share-with-version <version>; one of another "
        f"registry is written azureml://registries/<registry>/{plural}/{name}/versions/<version>"
    )


def labelled(publisher: Publisher, plural: str, name: str, label: str) -> str:
    """Return the version that carries a label. Raises ServiceFailure when there is none."""
    address = f"{publisher.target.container(plural, name)}/labels/{quote(label)}"
    return str(publisher.session.get(address)["name"])


def create_numbered(
    publisher: Publisher, plural: str, name: str, version: str | None, make: Callable[[str], Json]
) -> Json:
    """PUT a version and return it; without a version, under the next free number, tried again when it is taken.

    `make` gives the body for a version.
    """
    if version:
        return publisher.session.put(publisher.target.version(plural, name, version), make(version))
    number = _next_number(publisher, plural, name)
    for _ in range(ATTEMPTS):
        try:
            return publisher.session.put(publisher.target.version(plural, name, number), make(number))
        except ServiceFailure as failure:
            refused, taken = failure, number
        number = _next_number(publisher, plural, name)
        if refused.status != 409 or number == taken:  # not because another publisher was first
            break
    raise refused


def _next_number(publisher: Publisher, plural: str, name: str) -> str:
    container = publisher.session.find(publisher.target.container(plural, name))
    return str((container or {}).get("properties", {}).get("nextVersion") or "1")


def require_name(document: Document, data: dict[str, Json], noun: str) -> str:
    """Return the name that a file or the command line gives. Raises FileFailure when there is none."""
    name = data.get("name")
    if not name:
        raise document.wrong((), f"a {noun} needs a name: write `name: ...` in the file or give --name")
    return str(name)


def is_local(text: str) -> bool:
    """Say whether a path is one of this machine."""
    return not is_reference(text) and not text.startswith("/subscriptions/")
