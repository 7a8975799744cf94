"""The genuine SDK deploys to batch endpoints, runs parallel steps, and lets pipelines branch and loop."""

from pathlib import Path

import pytest

from tests.sdk.conftest import Clients

pytestmark = pytest.mark.slow

WALK = Path(__file__).with_name("flow_walk.py")


def test_batches_parallel_steps_and_control_flow_work(clients: Clients) -> None:
    done = clients.run(WALK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "walked"
