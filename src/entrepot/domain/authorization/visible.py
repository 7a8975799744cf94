"""Lists of what a principal may read: pages stay full, and cost what is shown rather than what is there."""

from collections.abc import Callable, Iterable

from entrepot.domain import access
from entrepot.domain.access import Coverage
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import LAST_SEQUENCE, Document, Order, Page, View, decode_cursor, encode_cursor

Fetch = Callable[[str | None, int], Page]
"""Returns the store's page behind a cursor."""

_BATCH = 200
_MOST_NAMED = 1000


def filled(
    fetch: Fetch,
    admits: Callable[[Document], bool],
    *,
    after: str | None,
    limit: int,
    place: Callable[[Document], int | str] = lambda document: document.sequence,
) -> Page:
    """Return a full page of what is admitted, from as many of the store's pages as that takes.

    `place` is what the list is ordered by: the cursor names the last document shown, and there is one only when more
    is to come.
    """
    shown: list[Document] = []
    while True:
        page = fetch(after, max(limit + 1, _BATCH))
        for document in page.documents:
            if not admits(document):
                continue
            if len(shown) == limit:
                return Page(tuple(shown), encode_cursor(place(shown[-1])))
            shown.append(document)
        if page.next is None:
            return Page(tuple(shown))
        after = page.next


def readable(
    hub: Hub,
    principal: Principal,
    action: str,
    collection: str,
    fetch: Fetch,
    *,
    view: View,
    order: Order = Order.NEWEST,
    after: str | None,
    limit: int,
    admits: Callable[[Document], bool] = lambda document: True,
) -> Page:
    """Return a full page of a collection's documents on which, or below which, the principal has the action.

    Who holds rights on a few things of a large collection gets those looked up by name.
    """
    found = access.coverage(hub, principal, action, collection)
    if found is Coverage.NONE:
        access.sightless(hub, principal, action, access.show_scope(collection))
        return Page(())
    if found is Coverage.ALL:
        return filled(fetch, admits, after=after, limit=limit)
    named = _named(hub, principal, action, collection)
    if named is not None and len(named) <= _MOST_NAMED:
        fetch = _fetch_named(hub, named, view, order)

    def is_shown(document: Document) -> bool:
        return admits(document) and access.coverage(hub, principal, action, document.key) is not Coverage.NONE

    return filled(fetch, is_shown, after=after, limit=limit)


def listed(hub: Hub, principal: Principal, action: str, fetch: Fetch, *, after: str | None, limit: int) -> Page:
    """Return a full page of documents, of any collection and in order of creation, that the principal may read."""
    return filled(
        fetch, lambda document: access.allowed(hub, principal, action, document.key), after=after, limit=limit
    )


def documents_of(hub: Hub, keys: Iterable[str], *, after: str | None, limit: int) -> Page:
    """Return a page of the documents with these keys, in order of their keys."""
    start = decode_cursor(after, "")
    left = sorted(key for key in keys if key > start)
    found = tuple(document for key in left[:limit] if (document := hub.documents.get(key)) is not None)
    return Page(found, encode_cursor(left[limit - 1]) if len(left) > limit else None)


def _named(hub: Hub, principal: Principal, action: str, collection: str) -> set[str] | None:
    """Return the keys of the collection's documents at or below which the principal was given the action.

    None when it comes from above: then it may be any of them.
    """
    holders = access.holders_of(hub, principal)
    if hub.grants.passes_down(hub.documents, holders, action, collection):
        return None
    depth = collection.count("/") + 2
    given = hub.grants.below(holders, action, collection)
    return {"/".join(scope.split("/")[:depth]) for scope in given}


def _fetch_named(hub: Hub, keys: set[str], view: View, order: Order) -> Fetch:
    def fetch(after: str | None, limit: int) -> Page:
        is_newest = order is not Order.OLDEST
        start = decode_cursor(after, LAST_SEQUENCE if is_newest else 0)
        documents = [document for key in keys if (document := hub.documents.get(key)) is not None]
        shown = [
            document
            for document in documents
            if view is View.ALL or document.is_archived == (view is View.ARCHIVED)
            if (document.sequence < start if is_newest else document.sequence > start)
        ]
        shown.sort(key=lambda document: document.sequence, reverse=is_newest)
        return Page(tuple(shown[:limit]), encode_cursor(shown[limit - 1].sequence) if len(shown) > limit else None)

    return fetch
