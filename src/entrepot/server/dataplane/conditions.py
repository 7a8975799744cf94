"""Ranges and conditional headers of Azure Blob requests, read from a request and held against a blob."""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from entrepot.server.dataplane.messages import Refusal
from entrepot.store.containers import BlobItem

_RANGE = re.compile(r"bytes=(\d{1,18})?-(\d{1,18})?\Z")


def wanted_range(headers: Mapping[str, str], size_bytes: int) -> tuple[int, int] | None:
    """Return (start, length) of the range that is asked for, None for the whole blob.

    Raises Refusal (416) when the range begins behind the end, as it always does in an empty blob.
    """
    text = headers.get("x-ms-range") or headers.get("range")
    match = _RANGE.match(text.strip()) if text else None
    if match is None or (match[1] is None and match[2] is None):
        return None
    if match[1] is None:
        start, end = max(0, size_bytes - int(match[2])), size_bytes - 1
    else:
        start, end = int(match[1]), min(int(match[2]) if match[2] else size_bytes - 1, size_bytes - 1)
        if match[2] and int(match[2]) < start:
            return None  # RFC 9110: such a range is no range
    if start >= size_bytes:
        raise Refusal(416, "InvalidRange", f"The range begins behind the blob's {size_bytes} bytes.", closes=False)
    return start, end - start + 1


def check_read(headers: Mapping[str, str], item: BlobItem) -> bool:
    """Say whether a read must answer with the blob; False: the client's copy is still good (304).

    Raises Refusal (412) when the blob is not the one that the client means.
    """
    check_write(headers, item)
    if (tags := headers.get("if-none-match")) is not None:
        return not _names(tags, item)
    if (since := _epoch(headers.get("if-modified-since"))) is not None:
        return int(item.modified) > since
    return True


def check_write(headers: Mapping[str, str], item: BlobItem | None) -> None:
    """Raise Refusal (412) when If-Match or If-Unmodified-Since does not hold."""
    tags = headers.get("if-match")
    since = _epoch(headers.get("if-unmodified-since"))
    if tags is not None:
        holds = item is not None and _names(tags, item)
    else:
        holds = since is None or item is None or int(item.modified) <= since
    if not holds:
        raise Refusal(412, "ConditionNotMet", "The blob is not in the state that the request asks for.", closes=False)


def _names(tags: str, item: BlobItem) -> bool:
    given = {tag.strip().removeprefix("W/").strip('"') for tag in tags.split(",")}
    return "*" in given or item.etag.strip('"') in given


def _epoch(text: str | None) -> int | None:
    try:
        moment = parsedate_to_datetime(text) if text else None
    except ValueError:
        return None
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()) if moment else None
