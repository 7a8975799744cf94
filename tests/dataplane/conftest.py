"""A data plane per test, on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.testing.planes import Launcher, Plane, data_planes


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launcher]:
    """Starts data planes over one home."""
    with data_planes(tmp_path) as launcher:
        yield launcher


@pytest.fixture
def plane(launch: Launcher) -> Plane:
    """A running data plane."""
    return launch()
