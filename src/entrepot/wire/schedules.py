"""Schedules on the wire: which of them a list shows. Pure."""

from collections.abc import Mapping

from entrepot.core.errors import InvalidRequest
from entrepot.wire.arm import ListQuery, list_query

_VIEWS = {"": "ActiveOnly", "enabledonly": "ActiveOnly", "disabledonly": "ArchivedOnly", "all": "All"}


def schedules_query(query: Mapping[str, str]) -> ListQuery:
    """Read a list's query, where `listViewType` is EnabledOnly, DisabledOnly or All. Raises InvalidRequest."""
    text = query.get("listViewType", "")
    view = _VIEWS.get(text.lower().rpartition(".")[2].replace("_", ""))
    if view is None:
        raise InvalidRequest(f"listViewType={text!r} is not EnabledOnly, DisabledOnly or All", target="listViewType")
    return list_query({**query, "listViewType": view})
