"""PostgreSQL under the document store: a small pool of psycopg connections, and LISTEN for work that peers enqueue.

Commits run in the caller's thread, in parallel; the database settles who was first. Statements are prepared by the
driver and answer in binary.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import errors

from entrepot.core.errors import EntrepotError, InvalidRequest, NoRoom, Unavailable
from entrepot.store.sql_changes import Row, Session

T = TypeVar("T")
_POOL_LIMIT = 16
_ATTEMPTS = 8
_CHANNEL = "entrepot_work"
_LISTEN_S = 60.0
_RECONNECT_S = 1.0
# Without it, commits that cross each other wait a second for PostgreSQL's deadlock detector. Names share 1,024 locks,
# so that a commit of many documents cannot use up the lock table.
_LOCK_NAMES = """
SELECT pg_advisory_xact_lock(1, slot) FROM (
    SELECT DISTINCT hashtext(name) & 1023 AS slot FROM unnest(%(names)s::text[]) AS name ORDER BY slot
) AS slots
"""
_LOCK_STREAM = "SELECT pg_advisory_xact_lock(2, hashtext(%(stream)s))"


class PostgresDatabase:
    """One PostgreSQL database, shared with any number of other processes."""

    dialect = "postgresql"

    def __init__(self, url: str, *, fsync: bool = True) -> None:
        self.address = "postgresql+psycopg://" + url.partition("://")[2]
        self._url = url
        self._fsync = fsync
        self._idle: list[psycopg.Connection[Row]] = []
        self._free = threading.BoundedSemaphore(_POOL_LIMIT)
        self._closed = threading.Event()
        self._listener: threading.Thread | None = None
        encoding = self.query("SHOW server_encoding", {})[0][0]
        if encoding != "UTF8":
            self.close()
            raise InvalidRequest(f"The metadata database has encoding {encoding}: make it with ENCODING 'UTF8'")

    def query(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Run a reading statement; once more when the pooled connection turns out to be dead."""
        for is_last in (False, True):
            try:
                with self._connection(fresh=is_last) as connection:
                    return connection.execute(sql, parameters, binary=True).fetchall()
            except psycopg.OperationalError as error:
                if is_last or not _is_lost(error):
                    raise _told(error) from error
        raise AssertionError("not reached")

    def transact(self, work: Callable[[Session], T]) -> T:
        """Run work in a transaction; again, from the start, when the database picked it to break a deadlock."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._connection(fresh=False) as connection, connection.transaction():
                    return work(_PostgresSession(connection))
            except (errors.DeadlockDetected, errors.SerializationFailure) as error:
                if attempt == _ATTEMPTS:
                    raise _told(error) from error
            except psycopg.OperationalError as error:
                raise _told(error) from error
        raise AssertionError("not reached")

    def watch(self, woken: Callable[[], None]) -> None:
        """Call `woken` when a peer has committed work; also after a broken connection, as some may have been missed."""
        self._listener = threading.Thread(target=self._listen, args=(woken,), name="entrepot-listener", daemon=True)
        self._listener.start()

    def close(self) -> None:
        """Close the idle connections and end the listener. Closing twice is no error."""
        if self._closed.is_set():
            return
        self._closed.set()
        if self._listener is not None:
            try:
                with psycopg.connect(self._url, autocommit=True) as connection:
                    connection.execute(f"NOTIFY {_CHANNEL}")  # it looks at _closed when it wakes
            except psycopg.OperationalError:
                pass  # then its own connection is broken too, and it ends at its next attempt
            self._listener.join(_RECONNECT_S * 5)
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _connection(self, *, fresh: bool) -> Iterator[psycopg.Connection[Row]]:
        if self._closed.is_set():
            raise Unavailable("The document store is closed")
        with self._free:
            try:
                connection = self._idle.pop() if self._idle and not fresh else self._connect()
            except IndexError:  # another thread took the last one between the question and the pop
                connection = self._connect()
            try:
                yield connection
            finally:
                if connection.closed or self._closed.is_set():
                    connection.close()
                else:
                    self._idle.append(connection)

    def _connect(self) -> psycopg.Connection[Row]:
        try:
            connection = psycopg.connect(self._url, autocommit=True, client_encoding="utf8")
        except psycopg.OperationalError as error:
            raise Unavailable(f"The metadata database does not answer: {error}") from error
        if not self._fsync:
            connection.execute("SET synchronous_commit = off")
        return connection

    def _listen(self, woken: Callable[[], None]) -> None:
        while not self._closed.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True) as connection:
                    connection.execute(f"LISTEN {_CHANNEL}")
                    woken()
                    self._pass_on(connection, woken)
            except psycopg.OperationalError:
                self._closed.wait(_RECONNECT_S)

    def _pass_on(self, connection: psycopg.Connection[Row], woken: Callable[[], None]) -> None:
        while not self._closed.is_set():
            for _ in connection.notifies(timeout=_LISTEN_S):
                if self._closed.is_set():
                    return
                woken()


class _PostgresSession:
    """One transaction."""

    __slots__ = ("_connection",)

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Run a statement and return all its rows."""
        return self._connection.execute(sql, parameters, binary=True).fetchall()

    def count(self, sql: str, parameters: Mapping[str, Any]) -> int:
        """Run a statement and return how many rows it changed."""
        return self._connection.execute(sql, parameters).rowcount

    def many(self, sql: str, parameters: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement once for each set of parameters, in one round trip."""
        with self._connection.cursor() as cursor:
            cursor.executemany(sql, parameters)

    def lock_names(self, names: Collection[str]) -> None:
        """Keep other transactions that lock one of these names waiting; all in one order, so that none deadlock."""
        if len(names) > 1:
            self._connection.execute(_LOCK_NAMES, {"names": list(names)})

    def lock_stream(self, stream: str) -> None:
        """Keep other transactions from appending to the stream until this one ends."""
        self._connection.execute(_LOCK_STREAM, {"stream": stream})

    def announce(self) -> None:
        """Tell every process that waits for work, once this transaction is committed."""
        self._connection.execute(f"NOTIFY {_CHANNEL}")


def _is_lost(error: psycopg.OperationalError) -> bool:
    return error.sqlstate is None or isinstance(error, errors.AdminShutdown | errors.CrashShutdown)


def _told(error: psycopg.OperationalError) -> EntrepotError:
    if isinstance(error, errors.DiskFull):
        return NoRoom(f"The disk of the metadata database is full: {error}")
    return Unavailable(f"The metadata database does not answer: {error}")
