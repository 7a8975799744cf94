"""SQLite under the document store: a connection per reading thread, and one for writing that commits in groups.

A point read takes 0.01 ms, so it runs in the caller's thread. Of the callers that write, one leads: it applies all that
is waiting in one transaction, and pays for one fsync; what came meanwhile is led by the first that brought it. A thread
that only writes would cost each caller two hand-overs of the interpreter, dearer than the statements.
"""

import sqlite3
import threading
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from entrepot.core.errors import EntrepotError, NoRoom, Unavailable
from entrepot.store.sql_changes import Row, Session

T = TypeVar("T")
_BUSY_MS = 10_000
_GROUP_LIMIT = 256
_MMAP_BYTES = (
    1 << 30
)  # readers share the operating system's cache: 40 threads with caches of their own need 40 times it
_JOURNAL_LIMIT_BYTES = 64 << 20
_CHECKPOINT_PAGES = 4000  # 16 MB: pages that many commits change are moved into the file once


class _Job(Generic[T]):
    """A caller's part of a group, and what became of it."""

    __slots__ = ("_error", "_result", "_turn", "_work", "leads")

    def __init__(self, work: Callable[[Session], T]) -> None:
        self._work = work
        self._error: BaseException | None = None
        self._turn = threading.Lock()  # a latch: cheaper than an Event, and one caller waits
        self._turn.acquire()
        self.leads = False  # its caller commits the next group

    def run(self, session: Session) -> None:
        self._result = self._work(session)

    def fail(self, error: BaseException) -> None:
        self._error = error

    @property
    def has_failed(self) -> bool:
        return self._error is not None

    def wake(self) -> None:
        self._turn.release()

    def wait(self) -> None:
        """Return when the job is done, or its caller is to lead."""
        self._turn.acquire()

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._result


class _Reader:
    """A thread's reading connection, closed when the thread is gone (sqlite3's own class takes no weak references)."""

    __slots__ = ("__weakref__", "close", "execute")

    def __init__(self, connection: sqlite3.Connection, open_readers: "weakref.WeakSet[_Reader]") -> None:
        self.execute = connection.execute
        self.close = weakref.finalize(self, connection.close)
        open_readers.add(self)


class SqliteDatabase:
    """One SQLite file. `query` reads what is committed; `transact` returns when its work is durable."""

    dialect = "sqlite"

    def __init__(self, path: Path, *, fsync: bool = True) -> None:
        self.address = f"sqlite:///{path}"
        self._path = path
        self._fsync = fsync
        self._local = threading.local()
        self._readers: weakref.WeakSet[_Reader] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._waiting: list[_Job[Any]] = []
        self._is_led = False  # a caller writes, and will pass on to the first that waits
        self._idle = threading.Condition(self._lock)
        self._is_closed = False
        self._writer = self._connect()
        self._session = _SqliteSession(self._writer)

    def query(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Run a reading statement on this thread's connection."""
        try:
            return self._reader().execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise _told(error) from error

    def transact(self, work: Callable[[Session], T]) -> T:
        """Run work in a transaction, grouped with what else is waiting, in this or another caller's thread."""
        job = _Job(work)
        with self._lock:
            if self._is_closed:
                raise Unavailable("The document store is closed")
            self._waiting.append(job)
            job.leads, self._is_led = not self._is_led, True
        try:
            if not job.leads:
                job.wait()
        except BaseException:  # Ctrl-C while it waited
            self._leave(job)
            raise
        if job.leads:
            self._lead(job)
        return job.result()

    def watch(self, woken: Callable[[], None]) -> None:
        """Do nothing: who else writes this file is not known."""

    def close(self) -> None:
        """Finish what was handed in, then close every connection. Closing twice is no error."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True  # no job can slip in from here on
            self._idle.wait_for(lambda: not self._is_led)
        for reader in list(self._readers):
            reader.close()
        self._writer.close()  # the last one: it moves the write-ahead log into the file

    def _reader(self) -> _Reader:
        reader: _Reader | None = getattr(self._local, "reader", None)
        if reader is None:
            with self._lock:
                if self._is_closed:
                    raise Unavailable("The document store is closed")
                reader = self._local.reader = _Reader(self._connect(), self._readers)
            reader.execute("PRAGMA query_only = 1")
        return reader

    def _connect(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._fsync else 'OFF'}")
            connection.execute(f"PRAGMA mmap_size = {_MMAP_BYTES}").fetchall()
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}").fetchall()
            connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_LIMIT_BYTES}").fetchall()
        except sqlite3.Error as error:
            raise Unavailable(f"{self._path} does not open as a SQLite database: {error}") from error
        return connection

    def _lead(self, own: _Job[Any]) -> None:
        """Commit what waits, `own` among it, and let the first that came meanwhile lead next."""
        with self._lock:
            group = self._waiting[:_GROUP_LIMIT]
            del self._waiting[: len(group)]
        try:
            self._commit(group)
        finally:
            with self._lock:
                following = self._waiting[0] if self._waiting else None
                if following is not None:
                    following.leads = True
                else:
                    self._is_led = False
                    self._idle.notify_all()
            for job in (*group, following):
                if job is not None and job is not own:
                    job.wake()

    def _leave(self, job: _Job[Any]) -> None:
        """Take back what waits, unless all others wait for it."""
        with self._lock:
            if not job.leads:
                if job in self._waiting:
                    self._waiting.remove(job)
                return
        self._lead(job)

    def _commit(self, group: Sequence[_Job[Any]]) -> None:
        connection, session = self._writer, self._session
        try:
            connection.execute("BEGIN IMMEDIATE")
            if not _run_together(session, group):
                if connection.in_transaction:  # a full disk makes SQLite give up the whole transaction
                    connection.execute("ROLLBACK")
                connection.execute("BEGIN IMMEDIATE")
                for job in group:
                    _run_apart(connection, session, job)
            connection.execute("COMMIT")
        except BaseException as error:
            # Nothing of the group is in the file: tell those who do not yet know of a failure.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            told = _told(error) if isinstance(error, sqlite3.Error) else error
            for job in group:
                if not job.has_failed:
                    job.fail(told)


def _run_together(session: Session, group: Sequence[_Job[Any]]) -> bool:
    """Run all work as one part, and say whether nobody failed; who is alone gets its error from here.

    A SAVEPOINT for each would keep every page's earlier content, in a file when there are many.
    """
    try:
        for job in group:
            job.run(session)
    except Exception:
        if len(group) == 1:
            raise
        return False
    return True


def _run_apart(connection: sqlite3.Connection, session: Session, job: _Job[Any]) -> None:
    """Run one caller's work so that its failure undoes its own changes only."""
    connection.execute("SAVEPOINT part")
    try:
        job.run(session)
    except BaseException as error:
        job.fail(_told(error) if isinstance(error, sqlite3.Error) else error)
        if not connection.in_transaction:  # a full disk makes SQLite give up the whole transaction
            raise
        connection.execute("ROLLBACK TO part")
    connection.execute("RELEASE part")


class _SqliteSession:
    """The writer's transaction."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Run a statement and return all its rows."""
        return self._connection.execute(sql, parameters).fetchall()

    def count(self, sql: str, parameters: Mapping[str, Any]) -> int:
        """Run a statement and return how many rows it changed."""
        return self._connection.execute(sql, parameters).rowcount

    def many(self, sql: str, parameters: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement once for each set of parameters."""
        self._connection.executemany(sql, parameters)

    def lock_names(self, names: Collection[str]) -> None:
        """Do nothing: there is one writer."""

    def lock_stream(self, stream: str) -> None:
        """Do nothing: there is one writer."""

    def announce(self) -> None:
        """Do nothing: other processes are not told."""


def _told(error: sqlite3.Error) -> EntrepotError:
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL":
        return NoRoom(f"The disk of the metadata database is full: {error}")
    return Unavailable(f"The metadata database does not answer: {error} ({name or type(error).__name__})")
