"""Job documents: their keys, facets, states and the changes that move them from one state to the next.

A job, a node of a pipeline and a nested pipeline are all documents `{ws}/jobs/{name}`. A pipeline has a second
document, `{ws}/jobs/{name}/graph`, that only its scheduler writes, and a stream of events, one per change of a node.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrepot.core.clock import to_iso
from entrepot.core.digests import digest_of
from entrepot.core.errors import NotFound
from entrepot.core.ids import WorkspaceScope
from entrepot.core.nouns import PROVIDER
from entrepot.domain.authorization.delegation import recalled
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Append, Change, Document, Enqueue, Facet, Put

Json = Any

NOT_STARTED = "NotStarted"
QUEUED = "Queued"
PREPARING = "Preparing"
RUNNING = "Running"
FINALIZING = "Finalizing"
COMPLETED = "Completed"
FAILED = "Failed"
CANCELED = "Canceled"
CANCEL_REQUESTED = "CancelRequested"
SKIPPED = "Skipped"  # a node whose condition did not hold, or that needs an output of such a one
TERMINAL = (COMPLETED, FAILED, CANCELED, SKIPPED)

BATCH_ENDPOINT = "batchEndpoint"  # facets of the jobs that an endpoint's invocations made
BATCH_DEPLOYMENT = "batchDeployment"

STATES = "jobs"
"""Facet space in which jobs of all workspaces are counted by their state."""

PIPELINE_QUEUE = "pipeline"
NODE_QUEUE = "node"

COMMAND = "Command"
PIPELINE = "Pipeline"
SWEEP = "Sweep"
PARALLEL = "parallel"  # what a job is in truth, where ARM has no word for it: azure-ai-ml reads no others
RUN = "run"  # what MLflow began outside of jobs
DO_WHILE = "do_while"
PARALLEL_FOR = "parallel_for"

JOB_TYPE = f"{PROVIDER}/workspaces/jobs"
READ = f"{JOB_TYPE}/read"
WRITE = f"{JOB_TYPE}/write"
DELETE = f"{JOB_TYPE}/delete"
CANCEL = f"{JOB_TYPE}/cancel/action"


@dataclass(frozen=True, slots=True)
class Record:
    """A job document, decoded once. `body` may be changed, and is then written by `put`."""

    scope: WorkspaceScope
    document: Document
    body: dict[str, Json]

    @property
    def name(self) -> str:
        """The job's name, unique in its workspace."""
        name: str = self.body["name"]
        return name

    @property
    def id(self) -> str:
        """The job's ARM id."""
        text: str = self.body["id"]
        return text

    @property
    def properties(self) -> dict[str, Json]:
        """ARM's properties."""
        found: dict[str, Json] = self.body["properties"]
        return found

    @property
    def ours(self) -> dict[str, Json]:
        """What this server keeps of the job."""
        found: dict[str, Json] = self.body["entrepot"]
        return found

    @property
    def status(self) -> str:
        """One of the status words above."""
        word: str = self.properties["status"]
        return word

    @property
    def is_terminal(self) -> bool:
        """True when nothing will happen to the job any more."""
        return self.status in TERMINAL

    @property
    def parent(self) -> str | None:
        """The pipeline job it belongs to."""
        name: str | None = self.ours.get("parent")
        return name

    @property
    def is_parent(self) -> bool:
        """True for what is made of other jobs: pipelines, nested ones too, sweeps and loops."""
        return self.properties["jobType"] in (PIPELINE, SWEEP)

    def put(self) -> Put:
        """Return the change that writes the body over the revision that was read."""
        archived = bool(self.properties.get("isArchived"))
        found = facets(self.scope, self.body)
        return Put(self.document.key, self.body, match=self.document.revision, is_archived=archived, facets=found)


def submitter(hub: Hub, record: Record) -> Principal:
    """Return who submitted a job, for whom it acts, with the groups it is in now. Raises AccessDenied."""
    return recalled(hub, record.ours["submittedBy"], via=record.name)


def key_of(scope: WorkspaceScope, name: str) -> str:
    """Return the key of a job's document."""
    return f"{scope.key}/jobs/{name}"


def space_of(scope: WorkspaceScope) -> str:
    """Return the facet space in which a workspace's jobs are found."""
    return f"{scope.key}/jobs"


def arm_id(scope: WorkspaceScope, name: str) -> str:
    """Return a job's ARM id, its name in lineage."""
    return f"{scope.arm_id}/jobs/{name}"


def run_key(scope: WorkspaceScope, name: str) -> str:
    """Return the key of what MLflow logged for a run, whether it is a job or not."""
    return f"{scope.key}/runs/{name}"


def graph_key(scope: WorkspaceScope, name: str) -> str:
    """Return the key of a pipeline's graph."""
    return f"{key_of(scope, name)}/graph"


def events_of(scope: WorkspaceScope, name: str) -> str:
    """Return the stream of a pipeline's events."""
    return f"{key_of(scope, name)}/events"


def folder_of(home: Path, scope: WorkspaceScope, name: str) -> Path:
    """Return where a job's files are while it runs. Job names repeat in other workspaces, so the scope is in it."""
    return home / "jobs" / f"{scope.name.lower()}-{digest_of(scope.key.encode())[:8]}" / name


def log_of(home: Path, scope: WorkspaceScope, name: str) -> Path:
    """Return the job's live log, one for all its attempts."""
    return folder_of(home, scope, name) / "user_logs" / "std_log.txt"


def launch_id(record: Record) -> str:
    """Return the id of the present attempt's launch, the same in every server process."""
    return f"job-{digest_of(record.document.key.encode())[:20]}-{record.ours['attempt']}"


def attempt_folder(home: Path, record: Record) -> Path:
    """Return the folder of the present attempt."""
    return folder_of(home, record.scope, record.name) / f"attempt-{record.ours['attempt']}"


def load(hub: Hub, scope: WorkspaceScope, name: str) -> Record:
    """Return a job. Raises NotFound."""
    found = find(hub, scope, name)
    if found is None:
        raise NotFound(f"There is no job {name!r} in {scope}", hint="az ml job list shows what there is")
    return found


def find(hub: Hub, scope: WorkspaceScope, name: str) -> Record | None:
    """Return a job, or None."""
    document = hub.documents.get(key_of(scope, name))
    return record_of(document) if document is not None and "/" not in name else None


def record_of(document: Document) -> Record:
    """Decode a job document."""
    body = document.body
    _, subscription, _, group, _, _, _, workspace, *_ = body["id"].strip("/").split("/")
    return Record(WorkspaceScope(subscription, group, workspace), document, body)


def facets(scope: WorkspaceScope, body: Json) -> tuple[Facet, ...]:
    """Return by what a job is found: its state among all, its parent ('' for root jobs), experiment, and the like."""
    space, ours = space_of(scope), body["entrepot"]
    found = [Facet(space, "parent", ours.get("parent") or "")]
    found.append(Facet(STATES, "status", body["properties"]["status"]))
    found.append(Facet(space, "experiment", body["properties"]["experimentName"]))
    invoked = ours.get("invoked") or {}
    found += [Facet(space, name, invoked[name]) for name in (BATCH_ENDPOINT, BATCH_DEPLOYMENT) if name in invoked]
    reuse = ours.get("reuse") or {}
    if body["properties"]["status"] == COMPLETED and reuse.get("key") and not reuse.get("reused"):
        found += [Facet(space, "reuse", reuse["key"]), Facet(space, "component", reuse["component"])]
        found.append(Facet(space, "step", step_of(body)))
    return tuple(found)


def step_of(body: Json) -> str:
    """Return what the steps of one name in one experiment share, whatever they run."""
    return f"{body['properties']['experimentName']}/{body['entrepot'].get('node')}"


def payload(scope: WorkspaceScope, name: str) -> dict[str, Json]:
    """Return the payload of a work item about a job."""
    return {"subscription": scope.subscription, "group": scope.resource_group, "workspace": scope.name, "job": name}


def named_by(payload: Json) -> tuple[WorkspaceScope, str]:
    """Read the payload of a work item."""
    return WorkspaceScope(payload["subscription"], payload["group"], payload["workspace"]), payload["job"]


def enqueue(queue: str, scope: WorkspaceScope, name: str) -> Enqueue:
    """Return the change that has a job worked on."""
    return Enqueue(queue, key_of(scope, name), payload(scope, name))


def moved(record: Record, status: str, *, now: float, error: Json = None, reason: str = "") -> list[Change]:
    """Return the changes that move a job to a state and tell its pipeline. `error`: {"code", "message"}.

    A terminal state ticks the parent in the same commit, so that no step waits for a poll.
    """
    properties, ours = record.properties, record.ours
    properties["status"] = status
    ours.pop("statusMessage", None)
    if reason:
        ours["statusMessage"] = reason
    if status == RUNNING:
        ours.setdefault("startTime", to_iso(now))
    if status in TERMINAL:
        ours["endTime"] = to_iso(now)
    if error is not None:
        properties["error"] = error
    changes: list[Change] = [record.put()]
    if record.parent and status in (RUNNING, *TERMINAL):
        event = {"node": ours["node"], "job": record.name, "status": status, "time": to_iso(now)}
        if error is not None or reason:
            event["message"] = error["message"] if error else reason
        changes.append(Append(events_of(record.scope, record.parent), event))
        if status in TERMINAL:
            changes.append(enqueue(PIPELINE_QUEUE, record.scope, record.parent))
    return changes
