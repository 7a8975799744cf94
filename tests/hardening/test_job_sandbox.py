"""A job that looks for what is not its own: the server's home, the job beside it, its variables."""

from collections.abc import Iterator

import pytest

from entrepot.compute.sandbox import find_bwrap
from tests.hardening.search import SEARCH, gained, planted
from tests.jobs.conftest import House, backend, idle

__all__ = ["backend", "idle"]

pytestmark = pytest.mark.skipif(find_bwrap()[0] is None, reason="bwrap does not work here")


@pytest.fixture
def house(idle: House) -> Iterator[House]:
    planted(idle.hub.settings.home)
    idle.start()
    yield idle


def test_a_job_finds_nothing_of_the_server_and_of_the_job_beside_it(house: House) -> None:
    home = house.hub.settings.home
    house.command(
        "victim",
        "echo file-of-another > $TMPDIR/mine.txt; echo file-of-another > mine.txt; while sleep 0.1; do :; done",
        environmentVariables={"SECRET": "variable-of-another"},
    )  # fmt: skip
    house.until(lambda: list(home.glob("jobs/*/victim/attempt-1/code/mine.txt")), what="the victim's file")
    folder = next(home.glob("jobs/*/victim"))
    upload = house.upload("search", {"search.py": SEARCH.encode()})
    given = {"search": {"jobInputType": "uri_file", "uri": f"{upload}/search.py"}}
    house.command(
        "thief", f"python ${{{{inputs.search}}}} {home} {folder} {home}/jobs {home}/regions; exit 0", inputs=given
    )
    assert house.finish("thief")["properties"]["status"] == "Completed", house.log("thief")
    assert gained(house.log("thief"), home) == []
    assert house.status("victim") == "Running"
