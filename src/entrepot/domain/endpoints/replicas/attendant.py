"""The handler of the queue `replicas`: attends one deployment from its first replica to its last.

Like a job's executor it holds its work item, and with it the lease, for as long as the deployment lives. A server that
stops ends the replicas and gives the item back; one that is killed loses it, and the next goes on with the replicas,
which live on.
"""

import contextlib
import logging
import secrets
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from entrepot.compute.backend import ComputeBackend
from entrepot.core.errors import EntrepotError, Unavailable
from entrepot.domain.endpoints.announcements import replicas_changed
from entrepot.domain.endpoints.replicas import collected, kits, members, plans, recipes, records
from entrepot.domain.endpoints.replicas.collected import Courier
from entrepot.domain.endpoints.replicas.members import Member
from entrepot.domain.endpoints.replicas.records import Replica
from entrepot.domain.endpoints.replicas.scaling import Scaler
from entrepot.domain.hub import Hub
from entrepot.store import disk
from entrepot.store.documents import Change, Delete, Document, Postpone, Put, Work

Json = Any

_LOOK_S = 1.0
_GLANCE_S = 0.05  # how soon a change of the deployment's document is seen
_DRAIN_S = 10.0  # how long a replica lives on after the gateways were told to let go of it
_DELETED_DRAIN_S = 1.0  # nothing is sent to a deployment that is being deleted
_TIDY_S = 60.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Attendant:
    """The handler. `stopping`: when set, replicas end, to be started again by the next server process.

    `leaves`: let them live on instead, as a server does that is killed.
    """

    stopping: threading.Event = field(default_factory=threading.Event)
    leaves: bool = False

    def __call__(self, hub: Hub, work: Work) -> None:
        """Attend the deployment of one work item until it has no replicas and wants none, or the server stops."""
        crew = Crew(hub, work.payload["key"])
        try:
            crew.attend(self.stopping)
        finally:
            crew.part(leaves=self.leaves)
        if self.stopping.is_set():
            hub.documents.commit([Postpone(work, due=hub.clock.now())])


class Crew:
    """A deployment's replicas and what is known of them."""

    def __init__(self, hub: Hub, key: str) -> None:
        if not hub.backends:
            raise Unavailable("This server has no compute backend, so nothing can be served")
        self._hub = hub
        self._key = key
        self._backend: ComputeBackend = next(iter(hub.backends.values()))
        self._folder = kits.deployment_folder(hub, key)
        self._members: dict[str, Member] = {}
        self._written: dict[str, Replica] = {}
        self._wake = threading.Event()
        self._kits: dict[str, kits.Kit] = {}
        self._preparing = threading.Lock()
        self._generation = ""
        self._scaler: Scaler | None = None
        self._scale_written: Json = None
        self._tidied = 0.0
        self._couriers: dict[str, Courier] = {}  # by the replica's id, also of those that are over

    def attend(self, stopping: threading.Event) -> None:
        """Keep the replicas as the document wants them; return when there is nothing left to keep, or at the stop."""
        for record in records.all_of(self._hub, self._key):
            self._written[record.id] = record
            self._join(record)
        self._find_leftovers()
        seen, due = None, 0.0
        while not stopping.is_set():
            document = self._hub.documents.get(self._key)
            stamp = document and (document.sequence, document.revision)
            if stamp != seen or self._wake.is_set() or self._hub.clock.now() >= due:
                self._wake.clear()
                seen, due = stamp, self._hub.clock.now() + _LOOK_S
                wanted = self._turn(document) if document is not None else self._turn_out()
                if not wanted and not self._members and not self._couriers:
                    break
            self._wake.wait(_GLANCE_S)
        if not stopping.is_set():
            disk.remove_tree(self._folder)

    def part(self, *, leaves: bool) -> None:
        """Let go of all replicas: they end, or live on with `leaves`."""
        for member in self._members.values():
            member.part(leaves=leaves)
        for member in self._members.values():
            member.join()
        if not leaves:
            self._write([])

    def _turn(self, document: Document) -> int:
        """Make the next moves; return how many replicas are wanted."""
        body = document.body
        self._generation = generation = str(body["entrepot"].get("generation", ""))
        wanted = self._wanted(body)
        is_deleting = body["properties"].get("provisioningState") == "Deleting"
        found = [member.record for member in self._members.values()]
        decided = plans.plan(found, generation=generation, wanted=wanted)
        for id in decided.retired:
            self._members[id].retire(after_s=_DELETED_DRAIN_S if is_deleting else _DRAIN_S)
        new = [self._new(body, generation) for _ in range(decided.starts)]
        self._write(new)
        for record in new:
            self._join(record)
        self._carry()
        self._tidy()
        return wanted

    def _turn_out(self) -> int:
        """End all replicas of a deployment whose document is gone."""
        for member in self._members.values():
            member.retire(after_s=0)
        self._write([])
        self._carry()
        return 0

    def _wanted(self, body: Json) -> int:
        wanted = int(body["entrepot"].get("wanted", 0))
        scale = _scale_of(body["properties"])
        now = self._hub.clock.now()
        if not scale.is_automatic or not wanted:
            self._scaler = None
            for member in self._members.values():
                member.wants_load = False
            return wanted
        if self._scaler is None:
            self._scaler = Scaler(max(1, scale.least, min(wanted, scale.most)), now=now)
        loads = {}
        for member in self._members.values():
            member.wants_load, member.load_interval_s = True, scale.interval_s
            if member.record.state == records.READY and member.load is not None:
                loads[member.record.id] = member.load
            elif member.record.wakes and member.record.state == records.STARTING:
                self._scaler.stir(now)
        wanted = self._scaler.look(loads, scale, now=now)
        self._rest(scale, body, now)
        return wanted

    def _rest(self, scale: recipes.Scale, body: Json, now: float) -> None:
        """Put the replicas to sleep where none need run and nobody has asked for a while."""
        assert self._scaler is not None
        idle_s = recipes.idle_of(body["properties"], self._hub.settings.serving_idle_s)
        if scale.least or self._scaler.idle_s(now) < idle_s or self._scaler.wanted > 1:
            return
        for member in self._members.values():
            if member.record.state == records.READY:
                member.put_to_sleep()

    def _new(self, body: Json, generation: str) -> Replica:
        return Replica(
            id=self._hub.new_id(), generation=generation, state=records.PREPARING, secret=secrets.token_urlsafe(32),
            created=self._hub.clock.now(), recipe=recipes.part_of(body),
        )  # fmt: skip

    def _join(self, record: Replica) -> None:
        try:
            recipe = recipes.read(record.recipe)
        except EntrepotError as error:
            recipe = recipes.unservable(error)
        folder = self._folder / record.id

        def prepare(note: Any) -> kits.Kit:
            if recipe.refusal is not None:
                raise recipe.refusal
            with self._preparing:
                if record.generation not in self._kits:
                    kit = kits.prepare(self._hub, self._backend, recipe, self._folder, log=note)
                    self._kits[record.generation] = kit
                return self._kits[record.generation]

        member = Member(
            self._hub, self._backend, record, recipe, folder=folder, prepare=prepare, changed=self._wake.set
        )
        self._members[record.id] = member
        if collect := (record.recipe.get("resolved") or {}).get("collect"):
            self._couriers[record.id] = Courier(self._hub, collect, folder)
        member.start()

    def _write(self, new: list[Replica]) -> None:
        """Commit what changed since the last time, and take away what is over."""
        changes: list[Change] = [records.put(self._key, record) for record in new]
        over = [member for member in self._members.values() if member.is_over]
        changes += [records.delete(self._key, member.record) for member in over]
        told = {record.id: record for record in new}
        for id, member in self._members.items():
            record = member.record
            if member not in over and self._written.get(id) != record:
                changes.append(records.put(self._key, record))
                told[id] = record
        changes += self._scale_change()
        if changes:
            self._hub.documents.commit([*changes, *replicas_changed(self._key)])
        self._written |= told
        for member in over:
            del self._members[member.record.id], self._written[member.record.id]
            if member.record.id not in self._couriers:
                disk.remove_tree(self._folder / member.record.id)

    def _carry(self) -> None:
        """Bring away what replicas have collected; the folder of one that is over goes when it is empty."""
        for id, courier in list(self._couriers.items()):
            is_over = id not in self._members
            if courier.bring(is_over=is_over) and is_over:
                del self._couriers[id]
                disk.remove_tree(self._folder / id)

    def _find_leftovers(self) -> None:
        """Go on with what replicas collected that were over before this server began."""
        for folder in self._folder.iterdir() if self._folder.is_dir() else ():
            if folder.name not in self._couriers and (collect := collected.remembered(folder)):
                self._couriers[folder.name] = Courier(self._hub, collect, folder)

    def _scale_change(self) -> list[Change]:
        told = None
        if self._scaler is not None:
            told = {"wanted": self._scaler.wanted, "generation": self._generation}
        if told == self._scale_written:
            return []
        self._scale_written = told
        key = records.scale_key(self._key)
        return [Put(key, told)] if told is not None else [Delete(key)]

    def _tidy(self) -> None:
        now = self._hub.clock.now()
        if now - self._tidied < _TIDY_S:
            return
        self._tidied = now
        for id in self._members:
            with contextlib.suppress(OSError):
                members.shorten(Path(self._folder / id / "log.txt"))


def _scale_of(properties: Json) -> recipes.Scale:
    """Read the settings; those that cannot be were refused when the deployment was written."""
    try:
        return recipes.scale_of(properties)
    except EntrepotError as error:
        log.warning("%s; the deployment is not scaled", error.message)
        return recipes.Scale()
