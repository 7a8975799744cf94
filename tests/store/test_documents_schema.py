"""Fresh, migrated, older and newer databases; what opening one imports."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from entrepot.core.errors import InvalidRequest, StateConflict, Unavailable
from entrepot.store import migrations
from entrepot.store.documents import Document, Put
from entrepot.store.sql import open_documents
from entrepot.store.statements import COMPILED
from entrepot.store.statements.queries import compile_all

OBJECTS_OF_POSTGRES = """
SELECT 'column', table_name, column_name, data_type, collation_name, is_nullable, column_default
  FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT 'index', tablename, indexname, indexdef, '', '', '' FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', '', ''
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace
ORDER BY 1, 2, 3
"""


def sqlite_objects(path: Path) -> list[tuple[str, ...]]:
    """Return every table and index of a SQLite file, with the text that made it and the stamped version."""
    connection = sqlite3.connect(path)
    objects = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
    version = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    connection.close()
    return [*((kind, name, " ".join((sql or "").split())) for kind, name, sql in objects), *version]


def postgres_objects(url: str) -> list[tuple[str, ...]]:
    """Return every column, index and constraint of a database and the stamped version."""
    with psycopg.connect(url) as connection:
        objects = connection.execute(OBJECTS_OF_POSTGRES).fetchall()
        return [*objects, *connection.execute("SELECT version_num FROM alembic_version").fetchall()]


def test_migrating_an_empty_sqlite_file_equals_making_it_at_once(tmp_path: Path) -> None:
    open_documents(tmp_path / "made.db").close()
    migrations.migrate(f"sqlite:///{tmp_path}/migrated.db")
    made = sqlite_objects(tmp_path / "made.db")
    assert made == sqlite_objects(tmp_path / "migrated.db")
    assert {name for kind, name, *_ in made[:-1] if kind == "table"} >= {"documents", "facets", "links", "work"}


def test_migrating_an_empty_postgres_database_equals_making_it_at_once(postgres_url: str) -> None:
    open_documents(postgres_url).close()
    made = postgres_objects(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    migrations.migrate(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    assert postgres_objects(postgres_url) == made
    assert len(made) > 30


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [migrations.HEAD]


def test_the_compiled_statements_are_those_of_the_queries() -> None:
    assert COMPILED.read_bytes() == compile_all(), "run: python -m entrepot.store.statements.queries"


def test_no_statement_uses_offset() -> None:
    assert b"OFFSET" not in COMPILED.read_bytes().upper()


def test_opening_sqlite_imports_no_heavy_library(tmp_path: Path) -> None:
    program = """
import sys
from entrepot.store.documents import Put
from entrepot.store.sql import open_documents
for _ in range(2):
    documents = open_documents(sys.argv[1])
    documents.commit([Put("k", {})])
    documents.close()
print([name for name in ("sqlalchemy", "alembic", "psycopg") if name in sys.modules])
"""
    command = [sys.executable, "-c", program, str(tmp_path / "entrepot.db")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_a_database_without_a_version_row_is_migrated_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "entrepot.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    connection.commit()
    connection.close()
    documents = open_documents(path)
    documents.commit([Put("k", {})])
    assert isinstance(documents.get("k"), Document)
    documents.close()


def test_a_newer_database_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "entrepot.db"
    open_documents(path).close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(StateConflict, match=r"schema 9999.*newer"):
        open_documents(path)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_many_may_open_an_empty_database_at_once(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = str(tmp_path / "entrepot.db") if dialect == "sqlite" else request.getfixturevalue("postgres_url")

    def start(number: int) -> None:
        documents = open_documents(url)
        documents.commit([Put(f"k/{number}", {})])
        documents.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start, range(4)))
    documents = open_documents(url)
    assert len(documents.scan("k/").documents) == 4
    documents.close()


def test_sqlite_urls_and_paths_name_the_same_file(tmp_path: Path) -> None:
    documents = open_documents(f"sqlite:///{tmp_path}/new/folder/x.db")
    documents.commit([Put("k", {})])
    documents.close()
    documents = open_documents(tmp_path / "new" / "folder" / "x.db")
    assert documents.get("k") is not None
    documents.close()


def test_other_schemes_are_refused_by_name() -> None:
    with pytest.raises(InvalidRequest, match="mysql"):
        open_documents("mysql://localhost/x")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "entrepot.db"
    path.write_bytes(b"this is a text, and long enough to be taken for a header" * 40)
    with pytest.raises(Unavailable, match="not a database"):
        open_documents(path)
    assert path.read_bytes().startswith(b"this is a text")


def test_a_postgres_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        open_documents(f"postgresql://nobody@/none?host={tmp_path}")


def test_a_postgres_of_another_encoding_is_refused(postgres_server: str) -> None:
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
        with pytest.raises(InvalidRequest, match="LATIN1"):
            open_documents(postgres_server.replace("/postgres?", "/latin?"))
        connection.execute("DROP DATABASE latin WITH (FORCE)")
