"""Text for people: styled where that is wanted, and harmless whatever a model or a server has sent.

An answer may hold escape sequences that move the cursor, rename the window or fill the clipboard. So nothing reaches
the output but through ``Terminal.write``, which shows control characters as text and adds styles of its own after that.
It does so for pipes too: what goes to ``tee`` or a pager ends on a terminal as well.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Literal, TextIO

from opeai_async._cli.in_flags import hint_in_flags, in_flags
from opeai_async.errors import OpeAIError

Style = Literal["plain", "bold", "dim", "red"]

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
"""128 + SIGINT: what a shell reports for a program that Ctrl-C ended."""
EXIT_BROKEN_PIPE = 141
"""128 + SIGPIPE, for the same reason."""

_CODES: dict[Style, str] = {"bold": "\x1b[1m", "dim": "\x1b[2m", "red": "\x1b[31m"}
_RESET = "\x1b[0m"

# C0 and C1 controls and DEL; and the marks that reorder a line, so that it reads as what it is not (CVE-2021-42574).
_CONTROLS = [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
# A carriage return has no use but to overwrite what was shown, or to end a line together with the newline that stays.
_HARMLESS: dict[int, str | None] = {code: ascii(chr(code))[1:-1] for code in _CONTROLS} | {ord("\r"): None}
del _HARMLESS[ord("\n")], _HARMLESS[ord("\t")]


def harmless(text: str) -> str:
    r"""*text* with control characters other than newline and tab shown as ``\x1b``; carriage returns vanish."""
    return text.translate(_HARMLESS)


def wants_style(stream: TextIO) -> bool:
    """Whether *stream* is a terminal that understands escape sequences, and the user has not asked for plain text.

    See https://no-color.org
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return False
    return os.name != "nt" or "WT_SESSION" in os.environ  # older consoles of Windows show the sequences as text


class Terminal:
    """Writes text to *stream*, at once.

    Raises:
        BrokenPipeError: From each method, if nobody reads any more.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_styled = wants_style(stream)

    def write(self, text: str, style: Style = "plain") -> None:
        """Write *text* as it is, but harmless."""
        text = harmless(text)
        if self.is_styled and style in _CODES and text:
            text = f"{_CODES[style]}{text}{_RESET}"
        self._stream.write(text)
        self._stream.flush()

    def line(self, text: str = "", style: Style = "plain") -> None:
        """Write *text* and end the line."""
        self.write(text, style)
        self.write("\n")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write a table with the first column to the left and the others to the right; by rich, if that is there."""
        if not (self.is_styled and self._rich_table(header, rows)):
            self._plain_table(header, rows)

    def _plain_table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        lines = [header, *rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for row in lines:
            first, *others = (
                cell.rjust(width) if k else cell.ljust(width)
                for k, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            self.line("  ".join([first, *others]), "bold" if row is header else "plain")

    def _rich_table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
        try:
            from rich.console import Console
            from rich.table import Table
        except ImportError:
            return False
        table = Table(*header)
        for column in table.columns[1:]:
            column.justify = "right"
        for row in rows:
            table.add_row(*map(harmless, row))
        Console(file=self._stream, markup=False).print(table)
        return True


def standard_streams() -> tuple[Terminal, Terminal]:
    """Standard output and standard error; what their encoding lacks is written as ``\\u2026``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    return Terminal(sys.stdout), Terminal(sys.stderr)


def show_error(aside: Terminal, error: OpeAIError, hint: str | None = None) -> None:
    """Say what went wrong, and what to do about it: *hint*, or else that of the error."""
    aside.write("error: ", "red")
    aside.line(in_flags(error.message))
    if hint := hint or hint_in_flags(error):
        aside.write("hint: ", "dim")
        aside.line(hint)


def forget_stdout() -> None:
    """Let nothing complain at exit about output that nobody reads; see ``signal.SIGPIPE`` in Python's documentation."""
    with contextlib.suppress(OSError, ValueError):  # a standard output that is no file has nothing to flush at exit
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)
