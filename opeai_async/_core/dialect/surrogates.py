"""Join halves of characters: a server that cuts text by UTF-16 units sends an emoji in two deltas.

The first half is held back until the next piece of the same text. If that does not begin with the other half, or never
comes, U+FFFD takes its place, as for every lone surrogate, since UTF-8 has no bytes for one:

    deltas   "Hi \\ud83d" | "\\ude00!"        ->  "Hi " | "😀!"
    deltas   "Hi \\ud83d" | "there"          ->  "Hi " | "\\ufffdthere"
"""

from __future__ import annotations

from typing import Any, TypeAlias

from opeai_async._core.dialect.loose_json import without_surrogates
from opeai_async._core.json import JSONObject, is_array, is_object

Path: TypeAlias = tuple[str | int, ...]

_REPLACEMENT = "\ufffd"


class Halves:
    """Halves that wait for the other half, by the choice and the place of their text."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[int, Path], str] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def join(self, body: JSONObject) -> bool:
        """Join the halves in the texts of *body*, a chunk, in place; tell whether two were joined."""
        has_met = False
        choices = body.get("choices")
        for choice in choices if is_array(choices) else ():
            if is_object(choice) and is_object(delta := choice.get("delta")):
                index = choice.get("index")
                has_met = self._join_in(delta, index if isinstance(index, int) else 0, ()) or has_met
        return has_met

    def _join_in(self, owner: Any, choice: int, path: Path) -> bool:
        has_met = False
        for key, value in _items(owner):
            here = (*path, _step(key, value, path))
            if isinstance(value, str):
                half = self._waiting.pop((choice, here), "") if value else ""
                # After an empty piece the half still waits: some servers send ``""`` for every field.
                text, rest = _cut(half + value)
                owner[key] = text
                if rest:
                    self._waiting[choice, here] = rest
                has_met = has_met or bool(half and value and "\udc00" <= value[0] <= "\udfff")
            elif is_object(value) or is_array(value):
                has_met = self._join_in(value, choice, here) or has_met
        return has_met

    def rest(self) -> list[JSONObject]:
        """Return deltas with U+FFFD for each half whose other half never came; forget the halves."""
        waiting, self._waiting = self._waiting, {}
        choices: list[JSONObject] = []
        for choice, path in waiting:
            delta = _delta_at(path)
            if delta is not None:
                choices.append({"index": choice, "delta": delta})
        return choices


def _items(owner: Any) -> list[tuple[Any, Any]]:
    if is_object(owner):
        return list(owner.items())
    return list(enumerate(owner)) if is_array(owner) else []


def _step(key: str | int, value: Any, path: Path) -> str | int:
    """Return the step of a path that names the same place in the next chunk: a call's index, else the key."""
    if path[-1:] == ("tool_calls",) and is_object(value) and isinstance(index := value.get("index"), int):
        return index
    return key


def _cut(text: str) -> tuple[str, str]:
    """Split off the half of a character that *text* ends with, and replace other lone surrogates."""
    rest = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
    return without_surrogates(text[: len(text) - len(rest)]), rest


def _delta_at(path: Path) -> JSONObject | None:
    """Build a delta with U+FFFD at *path*; None if the text there is not joined from pieces."""
    match path:
        case ("content" | "reasoning_content" | "reasoning" | "refusal" | "reasoning_text" as name,):
            return {name: _REPLACEMENT}
        case ("content", int(), "text"):
            return {"content": _REPLACEMENT}
        case ("tool_calls", int() as index, "function", "arguments"):
            return {"tool_calls": [{"index": index, "function": {"arguments": _REPLACEMENT}}]}
        case ("tool_calls", int() as index, "custom", "input"):
            return {"tool_calls": [{"index": index, "custom": {"input": _REPLACEMENT}}]}
        case _:
            return None
