"""Read content that comes as a list of blocks: tell the model's answer from its thoughts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opeai_async._core.json import JSONObject, is_array, is_object


def text_of_blocks(blocks: Sequence[Any]) -> str:
    """Return the text of *blocks* that is for the user; thoughts are left out."""
    texts = [
        block if isinstance(block, str) else block.get("text")
        for block in blocks
        if isinstance(block, str) or (is_object(block) and not is_thought(block))
    ]
    return "".join(text for text in texts if isinstance(text, str))


_PLAIN_TEXT = frozenset({"type", "text"})
_THOUGHTS = frozenset({"reasoning", "thinking", "thought", "reasoning_text", "redacted_thinking", "redacted_reasoning"})


def is_thought(block: JSONObject) -> bool:
    """Tell whether a block of content holds a thought of the model."""
    kind = block.get("type")
    if isinstance(kind, str) and (kind in _THOUGHTS or kind.startswith("reasoning.")):
        return True
    # Gemini flags a block of text as a thought; Claude's blocks have ``thinking`` in place of ``text``.
    return block.get("thought") is True or ("thinking" in block and not isinstance(block.get("text"), str))


def is_plain_text(block: Any) -> bool:
    """Tell whether a block of content is text for the user and nothing else, so that a string can replace it."""
    if isinstance(block, str):
        return True
    return (
        is_object(block)
        and block.keys() <= _PLAIN_TEXT
        and isinstance(block.get("text"), str)
        and not is_thought(block)
    )


# In this order: the first field that holds text is taken, and the others are not read.
_TEXTS = ("text", "content", "thinking", "summary", "reasoning", "reasoning_text", "thought")


def text_of(value: Any) -> str:
    """Return the text in a string, in an object's ``text``, ``thinking`` and so on, or in a list of these."""
    if isinstance(value, str):
        return value
    if is_array(value):
        return "".join(map(text_of, value))
    if is_object(value):
        fields = value
        return next((text for name in _TEXTS if (text := text_of(fields.get(name)))), "")
    return ""
