"""What is uploaded for one command stays when other commands upload, and numbers go round among publishers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrepot.client import scopes
from entrepot.client.failures import ServiceFailure
from entrepot.client.publishing import inputs
from entrepot.client.publishing.content import Publisher, create_numbered
from entrepot.client.session import Session
from entrepot.testing.live import LiveServer
from tests.cli.conftest import Run

Json = Any


@pytest.fixture
def publisher(served: LiveServer) -> Iterator[Publisher]:
    """Give what publishes in the workspace dev."""
    session = Session.open(str(served.home))
    yield Publisher(session, scopes.workspace(session, group="rg", name="dev"))
    session.close()


def test_a_folder_stays_an_input_when_its_only_file_is_uploaded_too(
    az: Run, publisher: Publisher, tmp_path: Path
) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "a.csv").write_text("1,2\n")
    places = [inputs._upload(publisher, path) for path in (folder, folder / "a.csv")]
    assert az("ml", "model", "create", "-n", "kept", "--path", "rows").code == 0
    for number, place in enumerate(places, 1):
        made = az("ml", "model", "create", "-n", "found", "--path", place)
        assert made.code == 0, made.err
        assert az("ml", "model", "download", "-n", "found", "-v", number, "--download-path", f"out{number}").code == 0
        assert [file.name for file in Path(f"out{number}").rglob("*.csv")] == ["a.csv"]


def _environment(version: str) -> Json:
    return {"properties": {"image": f"docker.io/python:3.{version}"}}


def test_a_number_that_others_take_first_is_asked_for_again_as_often_as_it_takes(publisher: Publisher) -> None:
    rivals = iter(range(8))

    def make(version: str) -> Json:
        if next(rivals, None) is not None:  # another publisher is first with this number
            publisher.session.put(
                publisher.target.version("environments", "raced", version), {"properties": {"image": "docker.io/other"}}
            )
        return _environment(version)

    assert create_numbered(publisher, "environments", "raced", None, make)["name"] == "9"


def test_a_conflict_that_no_other_number_solves_is_told_at_once(publisher: Publisher) -> None:
    asked = []

    def make(version: str) -> Json:
        asked.append(version)
        raise ServiceFailure("in the way", code="Conflict", status=409)

    with pytest.raises(ServiceFailure, match="in the way"):
        create_numbered(publisher, "environments", "blocked", None, make)
    assert asked == ["1"]
