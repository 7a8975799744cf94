"""Fixtures for the store's tests: a PostgreSQL server per session, an empty database per test."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from entrepot.testing.postgres import postgres_binaries, running_postgres


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL server that runs for the whole session."""
    if postgres_binaries() is None:
        pytest.skip("the pgserver wheel has no PostgreSQL binaries for this platform")
    with running_postgres(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty database of its own."""
    import psycopg

    name = f"t{uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield postgres_server.replace("/postgres?", f"/{name}?")
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
