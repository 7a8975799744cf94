"""Jobs that exist: show, list, cancel, archive, update, and where their files are. Submitting is in `publishing/`."""

from __future__ import annotations

from entrepot.client.assets import VIEW_TYPES, transfer_of
from entrepot.client.connection import quote
from entrepot.client.failures import Failure, UsageFailure
from entrepot.client.shapes import job_views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from entrepot.client.scopes import Target
    from entrepot.client.session import Session

    Json = Any

MUTABLE = {"display_name": "displayName", "description": "description", "tags": "tags", "properties": "properties"}
DERIVED = ("creation_context", "id", "resourceGroup", "status", "metrics", "end_time", "start_time")


def address(target: Target, name: str) -> str:
    """Return a job's address."""
    return f"{target.base}/jobs/{quote(name)}"


def get(session: Session, target: Target, name: str) -> Json:
    """GET a job. Raises ServiceFailure."""
    return session.get(address(target, name))


def listed(
    session: Session, target: Target, *, parent: str | None, with_archived: bool, only_archived: bool
) -> Iterator[dict[str, Json]]:
    """Yield the jobs of a workspace, or the children of one, newest first."""
    if with_archived and only_archived:
        raise UsageFailure("Cannot provide both archived-only and include-archived.")
    query = f"listViewType={VIEW_TYPES[with_archived, only_archived]}"
    if parent:
        get(session, target, parent)  # a list is empty when the parent is not there; that is an error here
        query += f"&parentJobName={quote(parent)}"
    return (job_views.view(document) for document in session.pages(f"{target.base}/jobs?{query}"))


def children(session: Session, target: Target, name: str) -> list[Json]:
    """Return the children of a pipeline as the server tells them."""
    return list(session.pages(f"{target.base}/jobs?listViewType=All&parentJobName={quote(name)}"))


def cancel(session: Session, target: Target, name: str) -> None:
    """Ask for the end of a job, and wait until the server has taken note."""
    session.post(f"{address(target, name)}/cancel")


def change(session: Session, target: Target, document: Mapping[str, Json], changes: Mapping[str, Json]) -> Json:
    """Change display name, description, tags, properties or `hidden` of a job; return the job."""
    experiment = document["properties"].get("experimentName") or "Default"
    run = f"/history/v1.0{target.base}/experiments/{quote(experiment)}/runs/{quote(document['name'])}"
    session.patch(run, dict(changes))
    return get(session, target, str(document["name"]))


def update(session: Session, target: Target, document: Mapping[str, Json], entity: Mapping[str, Json]) -> Json:
    """Send what changed in a job's view. Raises Failure for fields that never change."""
    before = job_views.view(document)
    changed = [name for name in {**before, **entity} if before.get(name) != entity.get(name) and name not in DERIVED]
    fixed = sorted(name for name in changed if name not in MUTABLE)
    if fixed:
        raise Failure(f"{fixed[0]!r} of a job cannot change: only {', '.join(MUTABLE)} can.")
    return change(session, target, document, {MUTABLE[name]: entity.get(name) for name in changed})


def reading(session: Session, target: Target, name: str, output: str) -> tuple[str, str]:
    """Return (address to read from, path of the files there) of a named output, `artifacts` or `logs`."""
    return transfer_of(session.post(f"{address(target, name)}/datarefs", {"output": output}))
