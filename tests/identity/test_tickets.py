"""Links that sign a browser in: minutes long, once, whoever asks at the same moment."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from entrepot.domain.hub import Hub
from entrepot.domain.identity import directory, people
from entrepot.domain.identity.refusals import SignInRefused
from entrepot.testing.hub import OWNER, close_hub, make_hub
from entrepot.testing.planes import HeldClock


def used(hub: Hub, ticket: str) -> str:
    """Use a ticket; return who it signs in, or why it does not."""
    try:
        return people.by_ticket(hub, ticket, address="127.0.0.1", is_typed=True).id
    except SignInRefused as refused:
        return refused.message


def test_a_ticket_is_good_for_minutes(tmp_path: Path) -> None:
    clock = HeldClock()
    hub = make_hub(tmp_path, clock=clock)
    directory.ensure_owner(hub, OWNER)
    first, second = (people.new_ticket(hub, OWNER) for _ in range(2))
    clock.time += people.TICKET_S - 1
    assert used(hub, first) == OWNER.id
    clock.time += 1
    assert "too old" in used(hub, second)
    close_hub(hub)


@pytest.mark.parametrize("count", [8])
def test_of_many_who_use_a_ticket_at_once_one_is_signed_in(tmp_path: Path, count: int) -> None:
    hub = make_hub(tmp_path)
    directory.ensure_owner(hub, OWNER)
    ticket = people.new_ticket(hub, OWNER)
    with ThreadPoolExecutor(count) as pool:
        found = list(pool.map(lambda _: used(hub, ticket), range(count)))
    assert found.count(OWNER.id) == 1
    close_hub(hub)
