"""Cursors of pages: where a list goes on, as text that is opaque to clients. The same for every implementation.

A page of documents in order of creation goes on behind a sequence, one in order of keys behind a key or a name.
"""

import base64
import binascii
from typing import TypeVar

import msgspec

from entrepot.core.errors import InvalidRequest
from entrepot.store.documents import is_storable

T = TypeVar("T")
LAST_SEQUENCE = (1 << 63) - 1


def encode_cursor(place: int | str) -> str:
    """Return the cursor of the page behind a sequence, a key or a name."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=").decode()


def decode_cursor(cursor: str | None, start: T) -> T:
    """Return the place that a cursor names, `start` for none; it must be of start's type."""
    if cursor is None:
        return start
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        place = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=type(start))
        if isinstance(place, int) and not 0 <= place <= LAST_SEQUENCE:
            raise ValueError("out of range")
        if isinstance(place, str) and not is_storable(place):
            raise ValueError("not storable")
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        raise InvalidRequest(
            f"{cursor[:80]!r} is not a cursor of this list: pass a page's `next` as it came"
        ) from error
    return place
