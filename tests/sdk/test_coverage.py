"""docs/coverage.md says what is true, and no call that a genuine client can make ends in a failure of the server."""

import pytest

from entrepot.testing.live import live
from tests.environments import made
from tools import coverage

pytestmark = pytest.mark.slow


def test_the_page_says_what_is_answered_and_nothing_fails(tmp_path_factory: pytest.TempPathFactory) -> None:
    with live(tmp_path_factory.mktemp("coverage") / "home") as server:
        outcomes = coverage.asked(server, coverage.calls(made("sdk") / "bin" / "python"))
    assert len(outcomes) > 500
    failed = [f"{o.status} {o.call.method} {o.call.path}" for o in outcomes if o.status >= 500 and o.status != 501]
    assert not failed, "\n".join(failed)
    assert all(o.is_answered or 400 <= o.status < 500 or o.call.family == "mlflow" for o in outcomes)
    assert coverage.page(outcomes) == coverage.PAGE.read_text(), "run python -m tools.coverage"
