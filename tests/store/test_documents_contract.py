"""SQLite and PostgreSQL keep the document store's contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.store.documents import DocumentStore
from entrepot.store.sql import open_documents
from entrepot.testing.documents_contract import DocumentStoreContract


class TestSqlite(DocumentStoreContract):
    @pytest.fixture
    def documents(self, tmp_path: Path) -> Iterator[DocumentStore]:
        documents = open_documents(tmp_path / "entrepot.db", fsync=False)
        yield documents
        documents.close()


class TestPostgres(DocumentStoreContract):
    @pytest.fixture
    def documents(self, postgres_url: str) -> Iterator[DocumentStore]:
        documents = open_documents(postgres_url, fsync=False)
        yield documents
        documents.close()
