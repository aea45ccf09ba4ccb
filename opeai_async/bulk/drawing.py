"""Progress for people: a bar where rich and a terminal are, else a line each five seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TextIO

from opeai_async.bulk.options import OnProgress
from opeai_async.bulk.result import BulkProgress

LINE_EVERY_S = 5.0


def drawn(stream: TextIO, clock: Callable[[], float] = time.monotonic) -> OnProgress:
    """Return a function that draws progress on *stream*.

    Args:
        stream: Usually standard error, so that results may go to standard output.
        clock: Seconds; lines keep their distance by it.
    """
    if stream.isatty():
        try:
            return _Bar(stream).show
        except ImportError:
            pass
    return _Lines(stream, clock).show


class _Lines:
    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream, self._clock = stream, clock
        self._last_at: float = clock()
        self._last: str = ""

    def show(self, progress: BulkProgress) -> None:
        now: float = self._clock()
        if now - self._last_at >= LINE_EVERY_S or progress.is_over:
            line = line_of(progress)
            if line != self._last:
                self._stream.write(line + "\n")
                self._stream.flush()
            self._last_at, self._last = now, line


class _Bar:
    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        self._text: Any = Text
        self._live: Any = Live("", console=Console(file=stream, markup=False), transient=False, auto_refresh=False)
        self._is_on = False

    def show(self, progress: BulkProgress) -> None:
        if not self._is_on:
            self._live.start()
            self._is_on = True
        self._live.update(self._text(f"{bar_of(progress)} {line_of(progress)}"), refresh=True)
        if progress.is_over:
            self._live.stop()
            self._is_on = False


def bar_of(progress: BulkProgress, width: int = 20) -> str:
    """Return a bar as long as the share that is finished; an empty one where the total is unknown."""
    if not progress.total:
        return "[" + " " * width + "]"
    share = min(1.0, (progress.done + progress.failed + progress.resumed) / progress.total)
    full = int(share * width)
    return "[" + "#" * full + " " * (width - full) + "]"


def line_of(progress: BulkProgress) -> str:
    """Return *progress* as one line."""
    of = "" if progress.total is None else f" of {progress.total}"
    parts = [f"{progress.done + progress.failed + progress.resumed}{of} finished"]
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if progress.resumed:
        parts.append(f"{progress.resumed} from the journal")
    parts.append(f"{progress.running} open, at most {progress.limit}")
    parts.append(f"{progress.requests_per_s:.1f} requests/s")
    if progress.tokens_per_s:
        parts.append(f"{progress.tokens_per_s:.0f} tokens/s")
    if progress.cost:
        parts.append(f"cost {progress.cost:.4f}")
    if progress.eta_s is not None:
        parts.append(f"{duration(progress.eta_s)} left")
    if progress.stopped:
        parts.append(f"stopped: {progress.stopped}")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return *seconds* as ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
