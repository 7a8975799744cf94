"""Scripts over the genuine azure-ai-ml: with what `entrepot env` prints, and without any other change, they work."""

from pathlib import Path

import pytest

from tests.environments import TOP
from tests.sdk.conftest import Clients

pytestmark = pytest.mark.slow

DRIVER = TOP.parent / "shared" / "accept" / "drive_sdk.py"
WALK = Path(__file__).with_name("walk.py")


def test_the_walk_ends_well(clients: Clients) -> None:
    done = clients.run(WALK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "walked"


@pytest.mark.skipif(not DRIVER.exists(), reason="the acceptance driver is not beside this checkout; walk.py is")
def test_every_check_of_the_driver_passes(clients: Clients) -> None:
    base, bundle = clients.exports["IDENTITY_ENDPOINT"].removesuffix("/msi/token"), clients.exports["SSL_CERT_FILE"]
    done = clients.run(DRIVER, AML_BASE=base, AML_CA=bundle, AML_CRED="default")
    lines = [line.split() for line in done.stdout.splitlines() if line[:4] in ("ok  ", "FAIL", "skip")]
    failed = [" ".join(line) for line in lines if line[0] != "ok"]
    assert not failed, "\n".join(failed)
    assert len([line for line in lines if line[0] == "ok"]) > 100, done.stdout + done.stderr
