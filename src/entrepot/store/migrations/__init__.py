"""Bringing a database to the newest tables. Alembic is imported only when the version row says that it is needed.

A fresh database is made from `tables.py` at once and stamped: importing Alembic costs 0.7 s.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from entrepot.core.errors import StateConflict
from entrepot.store.sql_changes import Row, Session
from entrepot.store.statements import load

T = TypeVar("T")
HEAD = "0001"
"""The newest revision in `versions/`: what a database made from `tables.py` is stamped with."""

_HAS_VERSION = {
    "sqlite": "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'",
    # not to_regclass: that may answer from before the lock in _create was waited for
    "postgresql": "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'alembic_version'",
}
_VERSION = "SELECT version_num FROM alembic_version"


class Migratable(Protocol):
    """What migrations need of a database."""

    dialect: str
    address: str

    def query(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Run a reading statement; return its rows."""
        ...

    def transact(self, work: Callable[[Session], T]) -> T:
        """Run work in a transaction."""
        ...


def prepare(database: Migratable) -> None:
    """Make the tables of an empty database, or migrate those of an older one. Raises StateConflict for a newer one."""
    found = _version(database.query, database.dialect)
    if found is None:
        found = database.transact(lambda session: _create(session, database.dialect))
    if found != HEAD:
        migrate(database.address, found=found)


def migrate(address: str, *, found: str = "none") -> None:
    """Bring the database at a SQLAlchemy URL from whatever revision it has to the newest, in one transaction."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError
    from sqlalchemy import create_engine, event
    from sqlalchemy.pool import NullPool

    engine = create_engine(address, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        # The driver would begin late and not at all for DDL: begin ourselves, and keep other processes out.
        event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        raise StateConflict(
            f"The metadata database has schema {found}, which this version of Entrepot (schema {HEAD}) does "
            f"not know: start the version that wrote it, or a newer one ({error})"
        ) from error
    finally:
        engine.dispose()


def _version(rows: Callable[[str, Mapping[str, Any]], list[Row]], dialect: str) -> str | None:
    if not rows(_HAS_VERSION[dialect], {}):
        return None
    found = rows(_VERSION, {})
    return str(found[0][0]) if found else "none"


def _create(session: Session, dialect: str) -> str:
    session.lock_stream("alembic_version")  # another server may start on the same empty database
    found = _version(session.rows, dialect)
    if found is not None:
        return found
    for statement in load(dialect).schema:
        session.count(statement, {})
    session.count(f"INSERT INTO alembic_version (version_num) VALUES ('{HEAD}')", {})  # noqa: S608 a constant
    return HEAD
