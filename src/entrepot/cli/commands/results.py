"""Lists cut to length, and bars that are taken away: what several commands need around their results."""

from __future__ import annotations

from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Any

    from entrepot.cli.call import Call
    from entrepot.cli.progress import Bar

    Json = Any


def cut(call: Call, items: Iterable[Json]) -> list[Json]:
    """Return as many items as --max-results allows, with a warning when it is the default that cuts the list."""
    most = None if call.flag("all_results") else call.number("max_results")
    if most is None:
        return list(items)
    found = list(islice(items, most + 1))
    if len(found) > most and call.is_default("max_results"):
        call.console.warn(f"Showing the first {most}; there are more. --max-results N or --all-results shows them.")
    return found[:most]


class Watched:
    """A progress bar for the time of a with-block; nothing when nobody watches."""

    __slots__ = ("_bar",)

    def __init__(self, bar: Bar | None) -> None:
        self._bar = bar

    def __enter__(self) -> Bar | None:
        return self._bar

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.close()


def watched(call: Call, label: str) -> AbstractContextManager[Bar | None]:
    """Return a with-block that shows a progress bar for bytes."""
    return Watched(call.console.bar(label))


def documents(pages: Iterable[Json], view: Any) -> Iterator[Json]:
    """Yield the views of documents."""
    return (view(document) for document in pages)
