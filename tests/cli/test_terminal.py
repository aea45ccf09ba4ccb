"""The border that text must pass on its way to a terminal."""

import io
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._cli.terminal import Terminal, harmless, show_error, standard_streams, wants_style
from opeai_async.errors import OpeAIError


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@given(st.text(st.characters()))
def test_nothing_harmful_is_left(text: str) -> None:
    """No control character but newline and tab passes, and nothing else changes."""
    shown = harmless(text)
    assert {character for character in shown if unicodedata.category(character) == "Cc"} <= {"\n", "\t"}
    kept = [c for c in text if unicodedata.category(c) != "Cc" and c not in "\u202a\u202b\u202c\u202d\u202e"]
    if len(kept) == len(text) and not set(text) & set("\u2066\u2067\u2068\u2069"):
        assert shown == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("\x9b31m", "\\x9b31m"),  # CSI in one character
        ("bell\x07", "bell\\x07"),
        ("good\rbad", "goodbad"),
        ("line\r\nline\ttab", "line\nline\ttab"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("שלום \u200f!", "שלום \u200f!"),  # marks that only say a direction stay
    ],
)
def test_control_characters_are_shown_as_text(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_styles_surround_what_was_made_harmless() -> None:
    """Only the terminal's own sequences are sequences."""
    screen = Screen()
    Terminal(screen).write("\x1b[0m", "dim")
    assert screen.getvalue() == "\x1b[2m\\x1b[0m\x1b[0m"


def test_no_style_for_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not wants_style(io.StringIO())
    assert wants_style(Screen()) or sys.platform == "win32"


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_style_if_the_user_says_so(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    assert not wants_style(Screen())


def test_an_empty_no_color_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As https://no-color.org has it: "when present and not an empty string"."""
    monkeypatch.setenv("NO_COLOR", "")
    assert wants_style(Screen()) or sys.platform == "win32"


def test_a_table_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first column stands to the left, the others to the right."""
    monkeypatch.setitem(sys.modules, "rich.console", None)  # how Python marks a module that cannot be imported
    screen = Screen()
    Terminal(screen).table(("call", "total"), [("a longer one", "5 ms"), ("b", "1234 ms")])
    lines = screen.getvalue().splitlines()
    assert lines == ["\x1b[1mcall            total\x1b[0m", "a longer one     5 ms", "b             1234 ms"]


def test_a_table_with_rich() -> None:
    """Markup in a cell is text, and control characters are shown here too."""
    screen = Screen()
    Terminal(screen).table(("call", "total"), [("[red]a\x07", "5 ms")])
    assert "[red]a\\x07" in screen.getvalue()


def test_an_error_without_a_hint_is_one_line() -> None:
    out = io.StringIO()
    show_error(Terminal(out), OpeAIError("all is lost\x1b[31m"))
    assert out.getvalue() == "error: all is lost\\x1b[31m\n"


def test_what_an_encoding_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ASCII terminal shows an answer in Greek instead of a UnicodeEncodeError; lone surrogates pass as well."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    out, _ = standard_streams()
    out.write("naïve λ \ud800")
    assert raw.getvalue() == b"na\\xefve \\u03bb \\ud800"
