"""The tables of the SQL document stores, one definition for SQLite and PostgreSQL. No queries live here.

A change here needs a migration in `migrations/versions` and a new `migrations.HEAD`, and SQL compiled anew
(`statements/`); tests compare all three.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

# PostgreSQL would otherwise compare by the database's locale; SQLite compares bytes, and so do keyset cursors.
NAME = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite numbers rows only in a column of exactly the type INTEGER.
NUMBER = BigInteger().with_variant(Integer, "sqlite")

documents = Table(
    "documents",
    metadata,
    Column("sequence", NUMBER, primary_key=True, autoincrement=True),
    Column("key", NAME, nullable=False, unique=True),
    Column("collection", NAME, nullable=False),  # the key without its last segment
    Column("name", NAME, nullable=False),  # the key's last segment
    Column("is_archived", Boolean, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("facets", LargeBinary),  # JSON [[space, name, value]]: what to remove when they are replaced
    Column("raw", LargeBinary, nullable=False),
    # Lists of one view walk one of these; a list of all merges the walks of both views, which spares two more indexes.
    Index("documents_by_age", "collection", "is_archived", "sequence"),
    Index("documents_by_name", "collection", "is_archived", "name"),
    sqlite_autoincrement=True,  # a deleted document's sequence must not come back
)

facets = Table(
    "facets",
    metadata,
    Column("space", NAME, primary_key=True),
    Column("name", NAME, primary_key=True),
    Column("value", NAME, primary_key=True),
    Column("is_archived", Boolean, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

links = Table(
    "links",
    metadata,
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("source", NAME, nullable=False),
    Column("relation", NAME, nullable=False),
    Column("target", NAME, nullable=False),
    Column("body", LargeBinary),
    UniqueConstraint("source", "relation", "target", name="links_once"),
    Index("links_by_target", "target", "id"),
)

streams = Table(
    "streams",
    metadata,
    Column("stream", NAME, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

work = Table(
    "work",
    metadata,
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("queue", NAME, nullable=False),
    Column("key", NAME, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("due", Double, nullable=False),  # while leased: when the lease runs out
    Column("attempt", Integer, nullable=False),
    Column("lease", NAME),
    Column("again_due", Double),  # enqueued once more while leased: Finish puts it back with these
    Column("again_payload", LargeBinary),
    UniqueConstraint("queue", "key", name="work_once"),
    Index("work_by_due", "queue", "due", "id"),
    sqlite_autoincrement=True,  # nor a finished item's id: whoever works on it may still know it
)

# Alembic's own table, as Alembic makes it; here so that a fresh database needs no Alembic.
version = Table(
    "alembic_version",
    metadata,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
