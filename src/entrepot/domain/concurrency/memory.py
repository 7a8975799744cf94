"""What one process remembers of decoded documents, checked against their revision at each use."""

from typing import Any

_CAPACITY = 4096


class Memory:
    """Decoded values by document key, each good for one revision of the document."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[tuple[int, int], Any]] = {}

    def recall(self, key: str, stamp: tuple[int, int]) -> Any | None:
        """Return what was remembered of the document with this revision and sequence, else None."""
        held = self._values.get(key)
        return held[1] if held is not None and held[0] == stamp else None

    def remember(self, key: str, stamp: tuple[int, int], value: Any) -> None:
        """Remember a value; forgets everything when full, which is rare and cheap."""
        if len(self._values) >= _CAPACITY:
            self._values.clear()
        self._values[key] = (stamp, value)
