"""ARM's list queries and pages."""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest

from entrepot.core.errors import InvalidRequest
from entrepot.store.documents import Document, Order, Page, View
from entrepot.wire import arm


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("ActiveOnly", View.ACTIVE),
        ("ListViewType.ACTIVE_ONLY", View.ACTIVE),
        ("ArchivedOnly", View.ARCHIVED),
        ("ListViewType.ARCHIVED_ONLY", View.ARCHIVED),
        ("All", View.ALL),
        ("ListViewType.ALL", View.ALL),
    ],
)
def test_both_spellings_of_a_list_view_are_read(text: str, view: View) -> None:
    assert arm.list_query({"listViewType": text}).view is view


def test_without_words_a_list_shows_a_hundred_active_ones_newest_first() -> None:
    assert arm.list_query({"api-version": "x"}) == arm.ListQuery(View.ACTIVE, Order.NEWEST, None, 100)


def test_order_top_skip_and_tags_are_read() -> None:
    found = arm.list_query({"$orderBy": "createdtime asc", "$top": "7", "$skip": "c9", "tags": "stage=Prod,team"})
    assert found == arm.ListQuery(View.ACTIVE, Order.OLDEST, "c9", 7, (("stage", "Prod"), ("team", None)))


@pytest.mark.parametrize("query", [{"listViewType": "Some"}, {"$orderBy": "colour"}, {"$top": "0"}, {"$top": "x"}])
def test_unknown_words_are_refused_by_name(query: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest, match=next(iter(query.values()))):
        arm.list_query(query)


def test_a_page_is_joined_from_stored_bytes() -> None:
    documents = tuple(Document(f"k/{n}", b'{"name":"%d"}' % n, 1, n) for n in (2, 1))
    assert json.loads(arm.page_body(Page(documents))) == {"value": [{"name": "2"}, {"name": "1"}]}
    assert json.loads(arm.page_body(Page(()), "https://h/x?$skip=1")) == {
        "value": [],
        "nextLink": "https://h/x?$skip=1",
    }


def test_the_next_address_keeps_the_query_and_moves_the_cursor() -> None:
    url = arm.next_url("https://h:1", "/a b/models", {"api-version": "v", "$skip": "old", "$top": "2"}, "n=w&")
    assert url is not None
    split = urlsplit(url)
    assert url.startswith("https://h:1/a%20b/models?") and "$top=2" in url
    assert dict(parse_qsl(split.query)) == {"api-version": "v", "$top": "2", "$skip": "n=w&"}
    assert arm.next_url("https://h:1", "/a", {}, None) is None
