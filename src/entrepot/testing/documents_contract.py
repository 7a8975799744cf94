"""What every DocumentStore must do, as tests. An implementation's own test class inherits them and gives a fixture:

class TestMine(DocumentStoreContract):
    @pytest.fixture
    def documents(self) -> Iterator[DocumentStore]: ...
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from entrepot.core.errors import InvalidRequest, RevisionMismatch
from entrepot.store.documents import (
    ABSENT,
    Append,
    Delete,
    DocumentStore,
    Enqueue,
    Entry,
    Facet,
    Link,
    Order,
    Page,
    Put,
    Unlink,
    View,
)
from entrepot.testing.work_contract import ConcurrencyContract, WorkContract

VERSIONS = "registries/contoso/models/taxi/versions"


def keys(page: Page) -> list[str]:
    """Return the last segments of a page's keys, in order."""
    return [document.key.rpartition("/")[2] for document in page.documents]


def all_pages(ask: Callable[[str | None], Page]) -> list[Page]:
    """Return all pages of a list; `ask` takes the cursor. Fails when the list does not end."""
    pages = [ask(None)]
    while pages[-1].next is not None:
        assert len(pages) < 1000, "the list does not end"
        pages.append(ask(pages[-1].next))
    return pages


def put_versions(documents: DocumentStore, names: Sequence[str], *, archived: Sequence[str] = ()) -> None:
    """Put one document per name, in order."""
    documents.commit([Put(f"{VERSIONS}/{n}", {"name": n}, is_archived=n in archived) for n in names])


class DocumentContract:
    """Single documents: putting, matching, deleting."""

    def test_a_missing_key_is_none(self, documents: DocumentStore) -> None:
        assert documents.get("registries/none") is None

    def test_a_put_document_is_read_back(self, documents: DocumentStore) -> None:
        (put,) = documents.commit([Put("registries/contoso", {"a": [1, "ü", None]})])
        assert documents.get("registries/contoso") == put
        assert put.body == {"a": [1, "ü", None]}
        assert (put.key, put.revision, put.is_archived) == ("registries/contoso", 1, False)

    def test_bytes_are_stored_unchanged(self, documents: DocumentStore) -> None:
        raw = b'{ "b" : 1.50,\n "a":"\\u00fc" }'
        documents.commit([Put("k", raw)])
        found = documents.get("k")
        assert found is not None
        assert found.raw == raw

    def test_an_overwrite_counts_revisions_and_keeps_the_sequence(self, documents: DocumentStore) -> None:
        (first,) = documents.commit([Put("k", {"n": 1})])
        documents.commit([Put("other", {})])
        (second,) = documents.commit([Put("k", {"n": 2}, is_archived=True)])
        assert (second.revision, second.sequence, second.is_archived) == (2, first.sequence, True)
        assert documents.get("k") == second

    def test_a_recreated_document_gets_a_new_sequence(self, documents: DocumentStore) -> None:
        (first,) = documents.commit([Put("k", {})])
        documents.commit([Delete("k")])
        (second,) = documents.commit([Put("k", {})])
        assert second.sequence > first.sequence

    def test_put_if_absent_refuses_an_existing_document(self, documents: DocumentStore) -> None:
        documents.commit([Put("k", {"n": 1}, ABSENT)])
        with pytest.raises(RevisionMismatch) as caught:
            documents.commit([Put("k", {"n": 2}, ABSENT)])
        assert (caught.value.key, caught.value.found) == ("k", 1)
        assert [d.body for d in documents.scan("k").documents] == [{"n": 1}]

    def test_put_with_a_revision_refuses_another(self, documents: DocumentStore) -> None:
        documents.commit([Put("k", {"n": 1})])
        documents.commit([Put("k", {"n": 2}, match=1)])
        with pytest.raises(RevisionMismatch):
            documents.commit([Put("k", {"n": 3}, match=1)])
        with pytest.raises(RevisionMismatch):
            documents.commit([Put("absent", {}, match=1)])
        assert [d.body for d in documents.scan("").documents] == [{"n": 2}]

    def test_delete_removes_and_missing_is_no_error(self, documents: DocumentStore) -> None:
        documents.commit([Put("k", {})])
        assert documents.commit([Delete("k"), Delete("k"), Delete("never")]) == ()
        assert documents.get("k") is None

    def test_delete_with_a_revision_refuses_another(self, documents: DocumentStore) -> None:
        documents.commit([Put("k", {})])
        for match in (2, ABSENT):
            with pytest.raises(RevisionMismatch):
                documents.commit([Delete("k", match=match)])
        with pytest.raises(RevisionMismatch):
            documents.commit([Delete("absent", match=1)])
        documents.commit([Delete("k", match=1), Delete("k", match=ABSENT)])
        assert documents.get("k") is None

    def test_a_commit_happens_whole_or_not_at_all(self, documents: DocumentStore) -> None:
        documents.commit([Put("taken", {"n": 1}, facets=(Facet("s", "a", "b"),))])
        with pytest.raises(RevisionMismatch):
            documents.commit(
                [
                    Put("new", {}, facets=(Facet("s", "a", "b"),)),
                    Put("taken", {"n": 2}),
                    Link("new", "used", "taken"),
                    Append("stream", 1),
                    Enqueue("queue", "item"),
                    Put("taken", {"n": 3}, ABSENT),
                ]
            )
        assert documents.get("new") is None
        assert [d.body for d in documents.find("s", "a", "b").documents] == [{"n": 1}]
        assert documents.links("new") == ()
        assert documents.read("stream") == ()
        assert documents.lease(["queue"], owner="o", now=1, seconds=1) == ()

    def test_changes_of_one_commit_see_each_other(self, documents: DocumentStore) -> None:
        put = documents.commit([Put("k", {"n": 1}, ABSENT), Put("k", {"n": 2}, match=1), Delete("k"), Put("k", {})])
        assert [document.revision for document in put] == [1, 2, 1]
        assert documents.get("k") == put[-1]

    def test_an_empty_commit_is_nothing(self, documents: DocumentStore) -> None:
        assert tuple(documents.commit([])) == ()

    def test_keys_that_no_database_takes_are_refused(self, documents: DocumentStore) -> None:
        for key in ("", "a\0b", "a\ud800", "k" * 3000):
            with pytest.raises(InvalidRequest):
                documents.commit([Put(key, {})])
        for key in ("", "a\0b", "a\ud800", "k" * 3000):
            assert documents.get(key) is None
            assert documents.list(key).documents == ()

    def test_keys_of_any_script_are_kept(self, documents: DocumentStore) -> None:
        names = ["%_'\"\\", "Ünïcode", "数据", "😀", "a b", ";DROP", "1" * 255]
        put_versions(documents, names)
        assert keys(documents.list(VERSIONS, order=Order.OLDEST)) == names
        for name in names:
            found = documents.get(f"{VERSIONS}/{name}")
            assert found is not None
            assert found.body == {"name": name}

    def test_a_large_body_is_kept(self, documents: DocumentStore) -> None:
        documents.commit([Put("k", {"text": "x" * 3_000_000})])
        found = documents.get("k")
        assert found is not None
        assert len(found.body["text"]) == 3_000_000


class ListContract:
    """Lists, scans and facets: order, views, pages."""

    def test_a_list_holds_direct_children_only(self, documents: DocumentStore) -> None:
        documents.commit([Put(key, {}) for key in ("a/m", "a/m/n", "a/m/n/v", "a/o", "ab/m", "a")])
        assert keys(documents.list("a", order=Order.KEY)) == ["m", "o"]
        assert keys(documents.list("a/m")) == ["n"]
        assert documents.list("b").documents == ()

    def test_lists_are_in_the_order_asked(self, documents: DocumentStore) -> None:
        put_versions(documents, ["2", "10", "a", "B", "_"])
        documents.commit([Put(f"{VERSIONS}/10", {})])
        assert keys(documents.list(VERSIONS)) == ["_", "B", "a", "10", "2"]
        assert keys(documents.list(VERSIONS, order=Order.OLDEST)) == ["2", "10", "a", "B", "_"]
        assert keys(documents.list(VERSIONS, order=Order.KEY)) == ["10", "2", "B", "_", "a"]

    def test_every_way_to_read_a_document_returns_the_same(self, documents: DocumentStore) -> None:
        changes = [Put(f"k/{n}", {"n": n}, is_archived=n == 1, facets=(Facet("s", "n", "v"),)) for n in range(3)]
        put = list(documents.commit(changes))
        assert [documents.get(document.key) for document in put] == put
        assert list(documents.list("k", view=View.ALL, order=Order.OLDEST).documents) == put
        assert list(documents.scan("k/").documents) == put
        assert list(documents.find("s", "n", "v", view=View.ALL).documents) == put[::-1]
        assert documents.list("k", view=View.ARCHIVED).documents == (put[1],)
        assert [document.is_archived for document in documents.scan("k/").documents] == [False, True, False]

    def test_views_choose_by_archived(self, documents: DocumentStore) -> None:
        put_versions(documents, ["1", "2", "3", "4"], archived=["2", "3"])
        assert keys(documents.list(VERSIONS)) == ["4", "1"]
        assert keys(documents.list(VERSIONS, view=View.ARCHIVED)) == ["3", "2"]
        assert keys(documents.list(VERSIONS, view=View.ALL)) == ["4", "3", "2", "1"]
        documents.commit([Put(f"{VERSIONS}/2", {}), Put(f"{VERSIONS}/4", {}, is_archived=True)])
        assert keys(documents.list(VERSIONS)) == ["2", "1"]
        assert keys(documents.list(VERSIONS, view=View.ARCHIVED)) == ["4", "3"]

    @pytest.mark.parametrize("order", list(Order))
    @pytest.mark.parametrize("view", list(View))
    def test_pages_join_to_the_whole_list(self, documents: DocumentStore, order: Order, view: View) -> None:
        names = [str(number) for number in range(23)]
        put_versions(documents, names, archived=names[3:11])
        whole = documents.list(VERSIONS, view=view, order=order, limit=1000)
        pages = all_pages(lambda after: documents.list(VERSIONS, view=view, order=order, after=after, limit=5))
        assert [document for page in pages for document in page.documents] == list(whole.documents)
        assert all(len(page.documents) == 5 for page in pages[:-1])
        assert whole.next is None

    def test_a_full_last_page_has_no_next(self, documents: DocumentStore) -> None:
        put_versions(documents, ["1", "2"])
        assert documents.list(VERSIONS, limit=2).next is None
        assert documents.list(VERSIONS, limit=1).next is not None

    def test_pages_are_stable_while_others_write(self, documents: DocumentStore) -> None:
        put_versions(documents, ["1", "2", "3", "4"])
        first = documents.list(VERSIONS, limit=2)
        put_versions(documents, ["5"])
        documents.commit([Delete(f"{VERSIONS}/4"), Delete(f"{VERSIONS}/3")])
        assert keys(documents.list(VERSIONS, after=first.next, limit=2)) == ["2", "1"]

    @pytest.mark.parametrize(
        "cursor", ["", "x", "!!", "é", "bnVsbA", "W10", "LTE", "MWUzMA", "OTIyMzM3MjAzNjg1NDc3NTgwOA", "A" * 5000, "\0"]
    )
    def test_a_bad_cursor_is_an_invalid_request(self, documents: DocumentStore, cursor: str) -> None:
        put_versions(documents, ["1", "2"])
        with pytest.raises(InvalidRequest):
            documents.list(VERSIONS, after=cursor)
        with pytest.raises(InvalidRequest):
            documents.find("s", "n", "v", after=cursor)
        with pytest.raises(InvalidRequest):
            documents.scan(VERSIONS, after=cursor)

    def test_a_cursor_of_another_order_is_an_invalid_request(self, documents: DocumentStore) -> None:
        put_versions(documents, ["1", "2"])
        by_age, by_key = documents.list(VERSIONS, limit=1), documents.list(VERSIONS, order=Order.KEY, limit=1)
        with pytest.raises(InvalidRequest):
            documents.list(VERSIONS, order=Order.KEY, after=by_age.next)
        with pytest.raises(InvalidRequest):
            documents.list(VERSIONS, after=by_key.next)

    def test_a_page_of_nothing_is_an_invalid_request(self, documents: DocumentStore) -> None:
        with pytest.raises(InvalidRequest):
            documents.list(VERSIONS, limit=0)

    def test_scan_walks_all_depths_in_key_order(self, documents: DocumentStore) -> None:
        names = ["a", "a/b", "a/b/c", "a/b!", "a/bc", "a/é", "b", "A/b"]
        documents.commit([Put(key, {}, is_archived=key == "a/bc") for key in names])
        assert [d.key for d in documents.scan("a/b").documents] == ["a/b", "a/b!", "a/b/c", "a/bc"]
        assert [d.key for d in documents.scan("").documents] == sorted(names)
        pages = all_pages(lambda after: documents.scan("a", after=after, limit=2))
        assert [d.key for page in pages for d in page.documents] == ["a", "a/b", "a/b!", "a/b/c", "a/bc", "a/é"]

    def test_find_returns_the_carriers_newest_first(self, documents: DocumentStore) -> None:
        blue, red = Facet("s", "colour", "blue"), Facet("s", "colour", "red")
        documents.commit(
            [Put("1", {}, facets=(blue, blue)), Put("2", {}, facets=(red,)), Put("3", {}, facets=(blue, red))]
        )
        assert keys(documents.find("s", "colour", "blue")) == ["3", "1"]
        assert keys(documents.find("s", "colour", "red")) == ["3", "2"]
        for missing in (("t", "colour", "red"), ("s", "size", "red"), ("s", "colour", "green"), ("\0", "\0", "\0")):
            assert documents.find(*missing).documents == ()

    def test_find_pages_join_and_follow_views(self, documents: DocumentStore) -> None:
        facet = Facet("s", "n", "v")
        documents.commit([Put(f"k/{n}", {}, is_archived=n % 3 == 0, facets=(facet,)) for n in range(12)])
        expected = {
            View.ACTIVE: [n for n in range(11, -1, -1) if n % 3],
            View.ARCHIVED: [9, 6, 3, 0],
            View.ALL: list(range(11, -1, -1)),
        }
        for view, numbers in expected.items():
            pages = all_pages(lambda after, view=view: documents.find("s", "n", "v", view=view, after=after, limit=3))  # type: ignore[misc]
            assert [int(key) for page in pages for key in keys(page)] == numbers

    def test_a_body_written_over_a_known_revision_keeps_facets_and_place(self, documents: DocumentStore) -> None:
        facet = Facet("s", "n", "v")
        (first,) = documents.commit([Put("c/k", {"n": 1}, facets=(facet,))])
        (second,) = documents.commit([Put("c/k", {"n": 2}, match=1, facets=None)])
        assert (second.revision, second.sequence) == (2, first.sequence)
        assert documents.find("s", "n", "v").documents == (second,)
        with pytest.raises(RevisionMismatch):
            documents.commit([Put("c/k", {"n": 3}, match=1, facets=None)])
        (third,) = documents.commit([Put("c/k", {"n": 3}, match=2, is_archived=True, facets=None)])
        assert documents.list("c").documents == ()
        assert documents.find("s", "n", "v", view=View.ARCHIVED).documents == (third,)
        assert documents.list("c", view=View.ARCHIVED).documents == (third,)

    def test_put_replaces_keeps_or_clears_facets(self, documents: DocumentStore) -> None:
        one, two = Facet("s", "n", "1"), Facet("s", "n", "2")
        documents.commit([Put("k", {}, facets=(one,))])
        documents.commit([Put("k", {}, facets=(two,))])
        assert documents.find("s", "n", "1").documents == ()
        documents.commit([Put("k", {"kept": True}, facets=None)])
        assert [d.body for d in documents.find("s", "n", "2").documents] == [{"kept": True}]
        documents.commit([Put("k", {}, is_archived=True, facets=None)])
        assert documents.find("s", "n", "2").documents == ()
        assert keys(documents.find("s", "n", "2", view=View.ARCHIVED)) == ["k"]
        documents.commit([Put("k", {})])
        assert documents.find("s", "n", "2", view=View.ALL).documents == ()

    def test_delete_takes_the_facets_along(self, documents: DocumentStore) -> None:
        documents.commit([Put("k", {}, facets=(Facet("s", "n", "v"),)), Delete("k"), Put("k", {})])
        assert documents.find("s", "n", "v", view=View.ALL).documents == ()

    def test_long_and_odd_facet_values_are_found(self, documents: DocumentStore) -> None:
        values = ["x" * 5000, "x" * 4999 + "y", "a\0b", "\ud800", "", "😀" * 200]
        documents.commit([Put(f"k/{n}", {}, facets=(Facet("s", "n", value),)) for n, value in enumerate(values)])
        assert [keys(documents.find("s", "n", value)) for value in values] == [[str(n)] for n in range(len(values))]


class LinkAndStreamContract:
    """Edges and streams."""

    def test_links_are_read_from_both_ends_oldest_first(self, documents: DocumentStore) -> None:
        edges = [
            Link("job", "used", "data", {"as": "raw"}),
            Link("job", "produced", "model"),
            Link("b", "used", "data"),
        ]
        documents.commit(edges)
        assert list(documents.links("job")) == edges[:2]
        assert list(documents.links("data", reverse=True)) == [edges[0], edges[2]]
        assert list(documents.links("job", relation="produced")) == [edges[1]]
        assert list(documents.links("data", reverse=True, relation="produced")) == []
        assert list(documents.links("data")) == []
        assert list(documents.links("data", reverse=True, limit=1)) == edges[:1]

    def test_a_link_written_twice_is_one(self, documents: DocumentStore) -> None:
        documents.commit([Link("a", "used", "b", 1), Link("a", "used", "c")])
        documents.commit([Link("a", "used", "b", 2)])
        assert list(documents.links("a")) == [Link("a", "used", "b", 2), Link("a", "used", "c")]

    def test_delete_takes_outgoing_links_along(self, documents: DocumentStore) -> None:
        documents.commit([Put("a", {}), Link("a", "used", "b"), Link("c", "used", "a")])
        documents.commit([Delete("a")])
        assert list(documents.links("a")) == []
        assert list(documents.links("a", reverse=True)) == [Link("c", "used", "a")]

    def test_unlinking_a_name_takes_its_outgoing_links_and_no_others(self, documents: DocumentStore) -> None:
        documents.commit([Link("a", "used", "b"), Link("c", "used", "a")])
        documents.commit([Unlink("a"), Link("a", "deployed", "d"), Unlink("nobody")])
        assert list(documents.links("a")) == [Link("a", "deployed", "d")]
        assert list(documents.links("a", reverse=True)) == [Link("c", "used", "a")]

    def test_streams_count_their_own_positions(self, documents: DocumentStore) -> None:
        documents.commit([Append("s", {"n": 1}), Append("t", "other"), Append("s", {"n": 2})])
        documents.commit([Append("s", None)])
        assert list(documents.read("s")) == [Entry(1, {"n": 1}), Entry(2, {"n": 2}), Entry(3, None)]
        assert list(documents.read("t")) == [Entry(1, "other")]
        assert list(documents.read("s", after=1, limit=1)) == [Entry(2, {"n": 2})]
        assert list(documents.read("s", newest=True, limit=2)) == [Entry(3, None), Entry(2, {"n": 2})]
        assert list(documents.read("none")) == []

    def test_entries_of_parallel_writers_have_no_gaps(self, documents: DocumentStore) -> None:
        def write(writer: int) -> None:
            for number in range(10):
                documents.commit([Append("s", [writer, number]), Put(f"k/{writer}", {})])

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
        entries = documents.read("s")
        assert [entry.position for entry in entries] == list(range(1, 41))
        for writer in range(4):
            assert [entry.body[1] for entry in entries if entry.body[0] == writer] == list(range(10))


class DocumentStoreContract(DocumentContract, ListContract, LinkAndStreamContract, WorkContract, ConcurrencyContract):
    """All of it. The subclass's name starts with `Test` and it has a fixture `documents`: an empty store."""
