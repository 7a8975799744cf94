"""The workspace of the sweeps' tests, on a server of its own."""

from tests.sweeps.conftest import place as place
