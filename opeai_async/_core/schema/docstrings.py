"""Parse parameter descriptions out of Google, NumPy and Sphinx docstrings.

    style    a section looks like
    -------  -------------------------------------------------------
    Google   ``Args:`` and an indented list of ``name: text``
    NumPy    ``Parameters`` underlined with dashes, and a list
    Sphinx   ``:param name: text``

The text before the first section describes the function or class. Sections about anything but parameters and attributes
(results, errors, examples) are left out: a model does not need them to make a call.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import NamedTuple

_NAMED = frozenset({
    "args", "arguments", "parameters", "params", "keyword args", "keyword arguments", "other parameters", "attributes",
})  # fmt: skip
_OTHER = frozenset({
    "returns", "return", "yields", "yield", "receives", "raises", "except", "exceptions", "warns", "warning",
    "warnings", "example", "examples", "note", "notes", "see also", "references", "todo", "usage", "methods",
})  # fmt: skip
_SECTIONS = _NAMED | _OTHER

_UNDERLINE = re.compile(r"(-{3,}|={3,})\s*$")
_REST_FIELD = re.compile(r":([a-z]+)(?:\s+([^:\n]+?))?\s*:(?:\s|$)")
_REST_NAMED = frozenset({"param", "parameter", "arg", "argument", "key", "keyword", "ivar", "var", "cvar"})
_REST_OTHER = frozenset(
    {"type", "vartype", "return", "returns", "rtype", "raise", "raises", "except", "yield", "yields"}
)
# `name`, `name (type)`, `*args`, each before a colon that is not a part of a type.
_GOOGLE_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\(.*?\))?\s*:(?:\s+|$)")
_NUMPY_ENTRY = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")


class Docstring(NamedTuple):
    """A parsed docstring: the *text* before the sections, and the description of each name."""

    text: str
    names: dict[str, str]


def parse_docstring(docstring: str | None) -> Docstring:
    """Parse *docstring*, in any of the three styles; the result is empty if it is None."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    begins = [at for at in range(len(lines)) if _end_of_section(lines, at) > at]
    names: dict[str, str] = {}
    for at in begins:
        for name, said in _names_in(lines[at : _end_of_section(lines, at)]):
            names.setdefault(name, " ".join(said.split()))
    text = "\n".join(lines[: begins[0]] if begins else lines).strip()
    return Docstring(text, {name: said for name, said in names.items() if said})


def _end_of_section(lines: list[str], at: int) -> int:
    """Return the line after the section that begins at line *at*; *at* itself if none begins there."""
    if _is_numpy_header(lines, at):
        end = at + 2
        while end < len(lines) and not _is_numpy_header(lines, end):
            end += 1
        return end
    if _is_google_header(lines, at) or _rest_field(lines[at]):
        end = at + 1
        while end < len(lines) and (not lines[end].strip() or lines[end][0].isspace()):
            end += 1
        return end
    return at


def _is_numpy_header(lines: list[str], at: int) -> bool:
    is_underlined = at + 1 < len(lines) and _UNDERLINE.fullmatch(lines[at + 1]) is not None
    return is_underlined and lines[at].strip().lower() in _SECTIONS


def _is_google_header(lines: list[str], at: int) -> bool:
    name, colon, rest = lines[at].partition(":")
    if not colon or rest.strip() or name.lower() not in _SECTIONS:
        return False
    # "Note: ..." in prose begins no section: the line after a Google header is indented.
    below = next((line for line in lines[at + 1 :] if line.strip()), "")
    return below[:1].isspace()


def _rest_field(line: str) -> re.Match[str] | None:
    field = _REST_FIELD.match(line)
    return field if field is not None and field[1] in _REST_NAMED | _REST_OTHER else None


def _names_in(section: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each name that *section* describes, with its description."""
    if field := _rest_field(section[0]):
        if field[1] in _REST_NAMED and field[2]:
            # The type may stand before the name.
            yield field[2].split()[-1].lstrip("*\\"), " ".join([section[0][field.end() :], *section[1:]])
        return
    if section[0].rstrip(":").strip().lower() not in _NAMED:
        return
    if section[0].endswith(":"):
        yield from _entries(section[1:], _GOOGLE_ENTRY)
    else:
        yield from _entries(section[2:], _NUMPY_ENTRY)


def _entries(lines: list[str], entry: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """Yield the entries of an indented list: each begins at the smallest indentation and continues in deeper lines."""
    indent = min((_indent(line) for line in lines if line.strip()), default=0)
    names: list[str] = []
    said: list[str] = []
    for line in lines:
        begin = entry.match(line.strip()) if line.strip() and _indent(line) == indent else None
        if begin is None:
            said.append(line)
            continue
        yield from ((name, " ".join(said)) for name in names)
        names = [name.strip(" *") for name in begin[1].split(",")]
        said = [line.strip()[begin.end() :]]
    yield from ((name, " ".join(said)) for name in names)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
