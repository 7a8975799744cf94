"""The first tables. What a migration has made never changes: later changes of `tables.py` get a file of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make documents, facets, links, streams and work."""
    _make_documents()
    _make_links_and_streams()
    _make_work()


def _make_documents() -> None:
    op.create_table(
        "documents",
        sa.Column("sequence", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("key", NAME, nullable=False, unique=True),
        sa.Column("collection", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("is_archived", sa.Boolean, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("facets", sa.LargeBinary),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("documents_by_age", "documents", ["collection", "is_archived", "sequence"])
    op.create_index("documents_by_name", "documents", ["collection", "is_archived", "name"])
    op.create_table(
        "facets",
        sa.Column("space", NAME, primary_key=True),
        sa.Column("name", NAME, primary_key=True),
        sa.Column("value", NAME, primary_key=True),
        sa.Column("is_archived", sa.Boolean, primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )


def _make_links_and_streams() -> None:
    op.create_table(
        "links",
        sa.Column("id", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("source", NAME, nullable=False),
        sa.Column("relation", NAME, nullable=False),
        sa.Column("target", NAME, nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.UniqueConstraint("source", "relation", "target", name="links_once"),
    )
    op.create_index("links_by_target", "links", ["target", "id"])
    op.create_table(
        "streams",
        sa.Column("stream", NAME, primary_key=True),
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )


def _make_work() -> None:
    op.create_table(
        "work",
        sa.Column("id", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("queue", NAME, nullable=False),
        sa.Column("key", NAME, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("due", sa.Double, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("lease", NAME),
        sa.Column("again_due", sa.Double),
        sa.Column("again_payload", sa.LargeBinary),
        sa.UniqueConstraint("queue", "key", name="work_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("work_by_due", "work", ["queue", "due", "id"])
