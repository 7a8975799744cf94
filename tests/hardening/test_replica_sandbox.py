"""A replica that looks for what is not its own: the server's home, the replica beside it, its variables."""

import pytest

from entrepot.compute.sandbox import find_bwrap
from tests.hardening.search import SEARCH, gained, planted
from tests.replicas.conftest import Fleet, backend, fleet, idle

__all__ = ["backend", "fleet", "idle"]

pytestmark = pytest.mark.skipif(find_bwrap()[0] is None, reason="bwrap does not work here")


def test_a_replica_finds_nothing_of_the_server_and_of_the_replica_beside_it(fleet: Fleet) -> None:
    home = fleet.hub.settings.home
    planted(home)
    victim = fleet.deploy("victim", environmentVariables={"SECRET": "variable-of-another"})
    found = fleet.ready(victim)
    folders = [str(path) for path in (home / "replicas").iterdir()]
    script = (
        f"import subprocess, sys\nSEARCH = {SEARCH!r}\n\ndef init():\n    pass\n\ndef run(data):\n"
        f"    done = subprocess.run([sys.executable, '-c', SEARCH, {str(home)!r}, *{folders!r}],"
        " capture_output=True, text=True, errors='replace')\n    return done.stdout + done.stderr\n"
    )
    thief = fleet.deploy("thief", script=script)
    text = fleet.ask(fleet.ready(thief)[0])
    assert gained(text, home) == []
    assert found[0].secret not in str(text)
