"""Progress on a terminal's stderr. Imported only when stderr is one."""

import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

REDRAW_S = 0.1
QUICK_S = 0.3  # what is done sooner shows no bar at all
UNITS = ("B", "KB", "MB", "GB", "TB")


class Bar:
    """A bar for bytes: call it with (done, total) as often as you like."""

    def __init__(
        self,
        label: str,
        *,
        is_colourful: bool,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._label = label
        self._is_colourful = is_colourful
        self._stream = stream or sys.stderr
        self._clock = clock
        self._started = clock()
        self._drawn = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Show how far it is."""
        now = self._clock()
        if now - self._started < QUICK_S or now - self._drawn < REDRAW_S:
            return
        self._drawn = now
        share = min(1.0, done / total) if total else 0.0
        rate = done / max(now - self._started, 1e-6)
        left = f", {(total - done) / rate:.0f} s left" if rate and total > done else ""
        tail = f" {share:4.0%} {size_text(done)} of {size_text(total)}, {size_text(int(rate))}/s{left}"
        room = max(10, min(40, shutil.get_terminal_size().columns - len(self._label) - len(tail) - 4))
        filled = int(share * room)
        bar = "#" * filled + "-" * (room - filled)
        if self._is_colourful:
            bar = f"\x1b[32m{bar[:filled]}\x1b[0m{bar[filled:]}"
        self._draw(f"{self._label} [{bar}]{tail}")

    def close(self) -> None:
        """Take the bar away."""
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._drawn = 0.0

    def _draw(self, line: str) -> None:
        self._stream.write("\r\x1b[K" + line)
        self._stream.flush()


class Spinner:
    """A line that says what is waited for, with the seconds so far: call it with the state."""

    def __init__(
        self, label: str, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._label = label
        self._stream = stream or sys.stderr
        self._clock = clock
        self._started = clock()
        self._shown = False

    def __call__(self, state: str) -> None:
        """Show the state and the time."""
        passed = self._clock() - self._started
        if passed < QUICK_S:
            return
        tail = f" ({passed:.0f} s)"
        told = f"{self._label}: {state}"[: max(20, shutil.get_terminal_size().columns - len(tail) - 1)]
        self._stream.write(f"\r\x1b[K{told}{tail}")
        self._stream.flush()
        self._shown = True

    def close(self) -> None:
        """Take the line away."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = False


def size_text(size_bytes: int) -> str:
    """Render a size for people: `1.5 GB`, in powers of 1000 as disks are sold."""
    value = float(size_bytes)
    for unit in UNITS:
        if value < 1000 or unit == UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")
