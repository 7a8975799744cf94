"""Documents with an end, in `expires` (epoch seconds): what is over goes when something new of its kind comes."""

from entrepot.domain.hub import Hub
from entrepot.store.documents import Change, Delete

_AT_A_TIME = 20


def swept(hub: Hub, prefix: str, *, keep: str = "") -> list[Change]:
    """Return the changes that remove a few documents below a prefix which are over; so they never pile up."""
    now = hub.clock.now()
    page = hub.documents.scan(prefix, limit=_AT_A_TIME)
    return [Delete(found.key) for found in page.documents if found.key != keep and found.body["expires"] < now]
