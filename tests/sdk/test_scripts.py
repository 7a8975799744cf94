"""Scripts as users of azure-ai-ml write them, one process each; every check of every script ends well."""

from pathlib import Path

import pytest

from tests.sdk.conftest import Clients

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).with_name("scripts")
NAMES = sorted(file.stem for file in SCRIPTS.glob("*.py") if file.stem not in ("__init__", "checks"))


@pytest.mark.parametrize("name", NAMES)
def test_every_check_of_the_script_ends_well(clients: Clients, name: str) -> None:
    done = clients.run(SCRIPTS / f"{name}.py")
    assert done.returncode == 0 and "ok   check_" in done.stdout, done.stdout + done.stderr[-4000:]
