"""`secrets` against a live server."""

from tests.cli.conftest import Run


def test_rotating_tells_the_new_key_and_how_much_it_seals(az: Run) -> None:
    first, second = az("secrets", "rotate"), az("secrets", "rotate")
    assert (first.code, second.code) == (0, 0), first.err
    assert first.json["key"] != second.json["key"] and second.json["unreadable"] == []
