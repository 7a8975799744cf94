"""Running one step: the work handler of the queue `node`, from a queued job to a completed one.

Few commits: one when the step starts, one when it ends, which holds its outputs, its state and its pipeline's tick.
A crash at any moment is mended by running the handler again: launches that live on are adopted, lost ones repeated,
and only the holder of the work's lease commits outputs.
"""

import errno
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from entrepot.compute.backend import ComputeBackend, Launch, Limits, Prepared, State, Status
from entrepot.core.digests import Digest
from entrepot.core.errors import EntrepotError, NoRoom, RevisionMismatch, UserCodeFailed
from entrepot.core.ids import AssetPointer, AssetRef, parse_reference
from entrepot.domain import environments, replication
from entrepot.domain.authorization.delegation import require_assets
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.hub import Hub
from entrepot.domain.jobs import logs, outputs, records, reuse, staging
from entrepot.domain.jobs.control_flow import controls
from entrepot.domain.jobs.distribution import launching
from entrepot.domain.jobs.records import Record
from entrepot.domain.jobs.staging import JobIdentity, Layout
from entrepot.domain.scopes import home
from entrepot.store import disk
from entrepot.store.documents import Change, Document, Finish, Postpone, Put, Work

Json = Any

_GLANCE_S = 0.25  # how often a wait for a process looks whether its job was asked to end
_REPLICATION_PAUSE_S = 1.0
_MOST_LOSSES = 3
_LEASE_S = 60.0
_BUSY = (records.RUNNING, records.FINALIZING, records.CANCEL_REQUESTED)


class _OverError(Exception):
    """The job ended meanwhile, by somebody else's hand: there is nothing left to do."""


@dataclass(frozen=True, slots=True)
class Executor:
    """The handler of node work. `stopping`: when set, running steps are left to the next server process."""

    identity: JobIdentity
    stopping: threading.Event = field(default_factory=threading.Event)

    def __call__(self, hub: Hub, work: Work) -> None:
        """Handle one item of the queue `node`."""
        scope, name = records.named_by(work.payload)
        record = records.find(hub, scope, name)
        if record is None:  # it went with its workspace, perhaps while it ran
            disk.remove_tree(records.folder_of(hub.settings.home, scope, name))
            return
        if record.is_terminal:
            return
        try:
            self._run(hub, work, record)
        except _OverError:
            return
        except RevisionMismatch:
            raise  # the lease is somebody else's by now: nothing of this attempt counts
        except EntrepotError as error:
            _fail(hub, work, record, error)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                _fail_or_raise(hub, work, record, error)
            else:
                _fail(hub, work, record, NoRoom(f"The disk is full: {error.strerror} at {error.filename}"))
        except Exception as error:
            _fail_or_raise(hub, work, record, error)

    def _run(self, hub: Hub, work: Work, record: Record) -> None:
        backend = _backend(hub, record)
        if record.status not in _BUSY or not record.ours["attempt"]:
            self._start(hub, work, record, backend)
            return
        status = backend.poll(records.launch_id(record), _launch_folder(hub, record))
        if status.state is not State.LOST:
            self._attend(hub, work, record, backend)
        elif record.status == records.CANCEL_REQUESTED:
            _end(hub, work, record, Status(State.CANCELED, reason=status.reason, sandbox=status.sandbox))
        else:
            # a launch that this server did not live to make is no loss: nothing of the user's ran
            losses = record.ours.get("losses", 0) + (status.started is not None)
            if losses >= _MOST_LOSSES:
                raise UserCodeFailed(f"The step was lost {losses} times: {status.reason}")
            self._start(hub, work, record, backend, losses=losses)

    def _start(self, hub: Hub, work: Work, record: Record, backend: ComputeBackend, *, losses: int = 0) -> None:
        if _is_waiting(hub, work, record):
            return
        require_assets(hub, records.submitter(hub, record), record.scope, _assets_of(record))
        inputs = staging.find_inputs(hub, record)
        environment, code = _asset(hub, record.ours["environmentId"]), _asset(hub, record.ours["codeId"])
        assert environment is not None
        decision = reuse.decide(hub, record, inputs, environment=environment, code=code)
        if decision.of is not None:
            _reused(hub, work, record, decision.of, decision.told, inputs)
            return
        prepared = _prepared(hub, record, environment)
        attempt = record.ours["attempt"] + 1
        folder = records.folder_of(hub.settings.home, record.scope, record.name) / f"attempt-{attempt}"
        layout = staging.lay_out(hub, record, folder, inputs, code, copies=not backend.protects_mounts())
        layout = staging.trusting(layout, self.identity)
        argv = staging.argv_of(record, layout)
        _remark(hub, record)

        def begin(fresh: Record) -> Sequence[Change]:
            fresh.ours.update(
                attempt=attempt,
                losses=losses,
                inputs={name: given.told() for name, given in inputs.items() if given.uri},
                reuse=dict(decision.told),
                backend=backend.name,
                substitutions=list(prepared.substitutions),
                environmentBuild={"id": prepared.id, "cached": prepared.is_cached, "python": prepared.description},
            )
            held = Postpone(work, renew_s=_LEASE_S)  # fails when the lease is lost, so that two never start a step
            return [*records.moved(fresh, records.RUNNING, now=hub.clock.now()), held]

        record = _advance(hub, record, begin)
        backend.launch(_launch(hub, record, layout, prepared, argv, self.identity))
        self._attend(hub, work, record, backend)

    def _attend(self, hub: Hub, work: Work, record: Record, backend: ComputeBackend) -> None:
        """Wait for the launch to end, and end the job with it."""
        id, folder = records.launch_id(record), _launch_folder(hub, record)
        is_canceled = False
        while True:
            is_last_look = self.stopping.is_set()  # what was acknowledged is done before the server goes
            if not is_canceled and (_is_cancel_requested(hub, record) or (is_last_look and _is_ending(hub, record))):
                backend.cancel(id, folder)
                is_canceled = True
            status = backend.wait(id, folder, timeout_s=_GLANCE_S)
            if status.state is not State.RUNNING:
                break
            if is_last_look:
                hub.documents.commit([Postpone(work, due=hub.clock.now())])
                return
        if status.state is State.LOST:
            self._run(hub, work, records.load(hub, record.scope, record.name))
        else:
            _end(hub, work, record, status)


def _advance(hub: Hub, record: Record, change: Callable[[Record], Sequence[Change]]) -> Record:
    """Commit a change of a job, made on its newest body; people may have changed its tags meanwhile, or ended it."""

    def write() -> Document:
        fresh = records.load(hub, record.scope, record.name)
        if fresh.is_terminal:
            raise _OverError
        return hub.documents.commit(change(fresh))[0]

    return records.record_of(settled(write))


def _is_waiting(hub: Hub, work: Work, record: Record) -> bool:
    """Give the work back when registry assets are still being copied to the workspace's region, and say so once."""
    region = home(hub, record.scope).region
    for asset_id in record.ours.get("waitsFor", ()):
        ref = _ref(asset_id)
        if replication.require_region(hub, ref, region):
            continue
        _give_back(hub, work, record, f"waiting for {ref} to be copied to {region}")
        return True
    return False


def _give_back(hub: Hub, work: Work, record: Record, message: str) -> None:
    pause = Postpone(work, due=hub.clock.now() + _REPLICATION_PAUSE_S)
    if record.ours.get("statusMessage") == message:
        hub.documents.commit([pause])
        return
    _note(hub, record, message)
    _advance(hub, record, lambda fresh: [*records.moved(fresh, fresh.status, now=0, reason=message), pause])


def _prepared(hub: Hub, record: Record, environment: Document) -> Prepared:
    """Return the environment, built if need be; the first line of a build's log moves the job to Preparing."""
    is_told = False

    def log(line: str) -> None:
        nonlocal is_told
        if not is_told:
            is_told = True
            _advance(hub, record, lambda fresh: records.moved(fresh, records.PREPARING, now=hub.clock.now()))
        _note(hub, record, line)

    return environments.ready(hub, environment, log=log, backend=_backend(hub, record).name)


def _launch(
    hub: Hub, record: Record, layout: Layout, prepared: Prepared, argv: tuple[str, ...], identity: JobIdentity
) -> Launch:
    return Launch(
        id=records.launch_id(record),
        argv=argv,
        folder=_launch_folder(hub, record),
        log=records.log_of(hub.settings.home, record.scope, record.name),
        cwd=layout.working_folder,
        environment=staging.variables_of(hub, record, layout, identity),
        prepared=prepared,
        mounts=layout.mounts,
        limits=Limits(timeout_s=record.ours["order"]["timeoutSeconds"]),
        installs=True,
    )


def _end(hub: Hub, work: Work, record: Record, status: Status) -> None:
    """Keep what a step left behind and move its job to its end, in one commit."""
    folder = records.attempt_folder(hub.settings.home, record)
    is_good = status.state is State.SUCCEEDED
    named: dict[str, Digest] = {}
    if is_good:
        wanted = record.ours["order"]["outputs"]
        controls.complete(hub, record, folder / "outputs")
        named = {name: outputs.keep(hub, record.scope, folder / "outputs" / name) for name in wanted}
    loose = folder / "code" / outputs.DEFAULT_OUTPUTS
    is_used = loose.is_symlink() or (loose.is_dir() and any(loose.iterdir()))
    kept = outputs.keep(hub, record.scope, loose) if is_used else None
    error = None if is_good else _failure(hub, record, status)
    log = _kept_log(hub, record)

    def finish(fresh: Record) -> Sequence[Change]:
        changes: list[Change] = []
        for name, digest in named.items():
            changes += outputs.placed(hub, fresh, name, fresh.ours["order"]["outputs"][name], digest)
        if kept:
            changes += outputs.logged(hub, fresh, outputs.DEFAULT_OUTPUTS, kept)
        changes += outputs.logged(hub, fresh, outputs.LOGS, log)
        fresh.ours.update(sandbox=status.sandbox, notes=list(status.notes), usage=_usage(status))
        if is_good and outputs.is_registering(fresh.ours["order"]["outputs"]):
            return [*_finalizing(hub, fresh), *changes]
        return [*_ended(hub, fresh, status, error), *changes, Finish(work)]

    _register(hub, work, _advance(hub, record, finish))
    _clean(hub, record)


def _finalizing(hub: Hub, fresh: Record) -> list[Change]:
    """Return the changes that hold a step whose outputs are kept, but are not the assets yet that they become."""
    outputs.note_assets(hub, fresh, fresh.ours["order"]["outputs"])
    return records.moved(fresh, records.FINALIZING, now=hub.clock.now())


def _register(hub: Hub, work: Work, record: Record) -> None:
    """Make assets of the outputs of a step that waits for it, and complete it."""
    if record.status != records.FINALIZING:
        return
    outputs.register(hub, record)
    _advance(hub, record, lambda fresh: [*records.moved(fresh, records.COMPLETED, now=hub.clock.now()), Finish(work)])


def _ended(hub: Hub, fresh: Record, status: Status, error: Json) -> list[Change]:
    now = hub.clock.now()
    if status.state is State.SUCCEEDED:
        return records.moved(fresh, records.COMPLETED, now=now)
    if status.state is State.CANCELED:
        reason = fresh.ours.get("statusMessage") or status.reason
        return records.moved(fresh, records.CANCELED, now=now, reason=reason)
    return records.moved(fresh, records.FAILED, now=now, error=error)


def _reused(hub: Hub, work: Work, record: Record, earlier: Record, told: Json, inputs: Json) -> None:
    """Complete a step with the outputs of an earlier one, under its own name."""

    def finish(fresh: Record) -> Sequence[Change]:
        changes: list[Change] = []
        for name, place in fresh.ours["order"]["outputs"].items():
            digest = Digest(earlier.ours["outputs"][name]["snapshot"])
            changes += outputs.placed(hub, fresh, name, place, digest)
        fresh.ours.update(reuse=dict(told), inputs={n: i.told() for n, i in inputs.items() if i.uri})
        if earlier.ours.get("artifacts"):
            fresh.ours["artifacts"] = earlier.ours["artifacts"]
        logged = hub.documents.get(records.run_key(record.scope, earlier.name))
        if logged is not None:
            body = logged.body
            body["info"]["run_id"] = record.name
            changes.append(Put(records.run_key(record.scope, record.name), body))
        if outputs.is_registering(fresh.ours["order"]["outputs"]):
            return [*_finalizing(hub, fresh), *changes]
        return [*records.moved(fresh, records.COMPLETED, now=hub.clock.now()), *changes, Finish(work)]

    _register(hub, work, _advance(hub, record, finish))


def _failure(hub: Hub, record: Record, status: Status) -> dict[str, Json]:
    how = status.reason or "the command failed"
    if status.exit_code is not None and "exit" not in how:
        how = f"{how} (exit code {status.exit_code})"
    tail = logs.tail(hub, record)
    shown = f" Last lines of {logs.STD_LOG}:\n{tail}" if tail else " It logged nothing."
    return {"code": UserCodeFailed.code, "message": f"{how[0].upper()}{how[1:]}.{shown}", "exitCode": status.exit_code}


def _fail(hub: Hub, work: Work, record: Record, error: EntrepotError) -> None:
    """Fail a job for a reason that can be told, in its log too."""
    _note(hub, record, f"error: {error.message}")
    log = _kept_log(hub, record)
    told = {"code": error.code, "message": error.message}

    def finish(fresh: Record) -> Sequence[Change]:
        changes = outputs.logged(hub, fresh, outputs.LOGS, log)
        if fresh.status == records.CANCEL_REQUESTED:
            return [*records.moved(fresh, records.CANCELED, now=hub.clock.now()), *changes, Finish(work)]
        return [*records.moved(fresh, records.FAILED, now=hub.clock.now(), error=told), *changes, Finish(work)]

    try:
        _advance(hub, record, finish)
    except _OverError:
        return
    _clean(hub, record)


def _fail_or_raise(hub: Hub, work: Work, record: Record, error: Exception) -> None:
    """Have unforeseen trouble tried again a few times; then say so on the job rather than hide it in a log."""

    def count(fresh: Record) -> Sequence[Change]:
        # the work's own count goes up with every restart and every wait for a region, too
        fresh.ours["troubles"] = fresh.ours.get("troubles", 0) + 1
        return [fresh.put()]

    try:
        troubles = _advance(hub, record, count).ours["troubles"]
    except _OverError:
        return
    if troubles < _MOST_LOSSES:
        raise error
    _fail(hub, work, record, EntrepotError(f"The server failed to run this step: {type(error).__name__}: {error}"))
    raise error


def _remark(hub: Hub, record: Record) -> None:
    """Say in a distributed step's log what is unlike Azure ML."""
    if remark := launching.remark(record.ours["order"].get("distribution") or {}):
        _note(hub, record, remark)


def _kept_log(hub: Hub, record: Record) -> Digest:
    file = records.log_of(hub.settings.home, record.scope, record.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    return outputs.ingest(hub, home(hub, record.scope).region, file).digest


def _note(hub: Hub, record: Record, line: str) -> None:
    file = records.log_of(hub.settings.home, record.scope, record.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as log:
        log.write(line.rstrip("\n") + "\n")


def _clean(hub: Hub, record: Record) -> None:
    disk.remove_tree(records.folder_of(hub.settings.home, record.scope, record.name))


def _is_ending(hub: Hub, record: Record) -> bool:
    """Say whether a pipeline around a step was canceled, and no tick of it has come as far as this step."""
    above = record
    while above.parent:
        found = records.find(hub, above.scope, above.parent)
        if found is None or found.status == records.CANCEL_REQUESTED:
            return True
        above = found
    return False


def _is_cancel_requested(hub: Hub, record: Record) -> bool:
    document = hub.documents.get(record.document.key)
    if document is None:
        return True
    if document.revision == record.document.revision:
        return record.status == records.CANCEL_REQUESTED
    return records.record_of(document).status in (records.CANCEL_REQUESTED, *records.TERMINAL)


def _usage(status: Status) -> dict[str, Json]:
    found = {"cpuSeconds": status.cpu_s, "memoryBytes": status.memory_bytes, "exitCode": status.exit_code}
    return {name: value for name, value in found.items() if value is not None}


def _backend(hub: Hub, record: Record) -> ComputeBackend:
    name = record.ours.get("backend")
    return hub.backends[name] if name else next(iter(hub.backends.values()))


def _launch_folder(hub: Hub, record: Record) -> Path:
    return records.attempt_folder(hub.settings.home, record) / "launch"


def _ref(asset_id: str) -> AssetRef:
    pointer = parse_reference(asset_id)
    assert isinstance(pointer, AssetPointer) and pointer.scope is not None and pointer.version is not None
    return AssetRef(pointer.scope, pointer.kind, pointer.name, pointer.version)


def _assets_of(record: Record) -> list[str | None]:
    """Return the ids of all that a step reads; what is no asset is among them."""
    ours = record.ours
    return [
        ours.get("componentId"), ours.get("environmentId"), ours.get("codeId"),
        *(given.get("uri") for given in record.properties["inputs"].values()),
    ]  # fmt: skip


def _asset(hub: Hub, asset_id: str | None) -> Document | None:
    """Return an asset that submission has resolved and pinned, and that its submitter may still read."""
    if asset_id is None:
        return None
    ref = _ref(asset_id)
    document = hub.documents.get(ref.key)
    if document is None:
        raise UserCodeFailed(f"{asset_id} was deleted after the job was submitted")
    return document
