"""Progress on a terminal's stderr. Imported only when stderr is one."""

import shutil
import sys
import time

REDRAW_S = 0.1
QUICK_S = 0.3  # what is done sooner shows no bar at all
UNITS = ("B", "KB", "MB", "GB", "TB")


class Bar:
    """A bar for bytes: call it with (done, total) as often as you like."""

    def __init__(self, label: str, *, is_colourful: bool) -> None:
        self._label = label
        self._is_colourful = is_colourful
        self._started = time.monotonic()
        self._drawn = 0.0
        self._width = 0

    def __call__(self, done: int, total: int) -> None:
        """Show how far it is."""
        now = time.monotonic()
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
        if self._width:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._width = 0

    def _draw(self, line: str) -> None:
        sys.stderr.write("\r\x1b[K" + line)
        sys.stderr.flush()
        self._width = len(line)


class Spinner:
    """A line that says what is waited for, with the seconds so far: call it with the state."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._started = time.monotonic()
        self._shown = False

    def __call__(self, state: str) -> None:
        """Show the state and the time."""
        passed = time.monotonic() - self._started
        if passed < QUICK_S:
            return
        sys.stderr.write(f"\r\x1b[K{self._label}: {state} ({passed:.0f} s)")
        sys.stderr.flush()
        self._shown = True

    def close(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False


def size_text(size_bytes: int) -> str:
    """Render a size for people: `1.5 GB`, in powers of 1000 as disks are sold."""
    value = float(size_bytes)
    for unit in UNITS:
        if value < 1000 or unit == UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")
