"""Repair the texts of a delta or a message: content, reasoning, and both in blocks."""

from __future__ import annotations

from typing import Any

import msgspec

from opeai_async._core.content_blocks import is_plain_text, is_thought, text_of
from opeai_async._core.dialect.rules.values import number_as_text
from opeai_async._core.dialect.unknown_fields import put_extra
from opeai_async._core.json import JSONObject, is_array, is_object

REASONING_NAMES = ("reasoning_content", "reasoning", "reasoning_text")
"""Fields that reasoning comes in, besides ``reasoning_details``; the API's own name first."""


def content_number(delta: JSONObject) -> bool:
    return number_as_text(delta, "content")


def content_object(delta: JSONObject) -> bool:
    """Encode content that is an object as text: an answer in JSON mode that a gateway has decoded."""
    content = delta.get("content")
    if is_object(content):
        is_answer = not _is_block(content)
    else:
        # A list is an answer only if none of its items can be a block.
        is_answer = is_array(content) and bool(content) and not any(map(_may_be_block, content))
    if is_answer:
        delta["content"] = msgspec.json.encode(content).decode()
    return is_answer


_BLOCK_TEXTS = frozenset({"text", "thinking", "summary"})


def _is_block(content: JSONObject) -> bool:
    """Tell whether a lone object is a block; an answer in JSON mode may have a field ``type`` or ``text`` too."""
    kind = content.get("type")
    if isinstance(kind, str):
        return not content.keys().isdisjoint({kind, *_BLOCK_TEXTS})
    return content.keys() <= _BLOCK_TEXTS


def _may_be_block(item: Any) -> bool:
    return not is_object(item) or not item.keys().isdisjoint({"type", *_BLOCK_TEXTS})


def content_blocks(delta: JSONObject) -> bool:
    """Join blocks of text to content, and blocks of thinking to reasoning.

    Unless all are plain text, the blocks also stay as ``content_blocks``, in their order, to be sent back.
    """
    blocks = delta.get("content")
    if is_object(blocks):
        blocks = [blocks]
    if not is_array(blocks):
        return False
    texts: list[str] = []
    thoughts: list[str] = []
    for block in blocks:
        _sort_block(block, texts, thoughts)
    delta["content"] = "".join(texts) if texts else None
    if thoughts:
        delta["reasoning_content"] = "".join(thoughts)
    if not all(map(is_plain_text, blocks)):
        delta["content_blocks"] = blocks
    return True


def _sort_block(block: Any, texts: list[str], thoughts: list[str]) -> None:
    if isinstance(block, str):
        texts.append(block)
    elif is_object(block):
        if is_thought(block):
            thoughts.append(text_of(block))
        elif isinstance(block.get("text"), str):
            texts.append(block["text"])


def reasoning_alias(delta: JSONObject) -> bool:
    """Copy ``reasoning`` or ``reasoning_text`` to ``reasoning_content``.

    The field itself stays: its name tells under which name the text is to be sent back.
    """
    found = [name for name in REASONING_NAMES[1:] if name in delta]
    for name in found:
        if delta[name] is not None and not delta.get("reasoning_content"):
            delta["reasoning_content"] = delta[name]
        if not delta[name]:
            del delta[name]
    return bool(found)


def reasoning_number(delta: JSONObject) -> bool:
    made = [number_as_text(delta, name) for name in REASONING_NAMES]
    return any(made)


def reasoning_object(delta: JSONObject) -> bool:
    """Read the text in reasoning that is an object or a list; keep that, as it may have a signature, in ``extra``."""
    reasoning = delta.get("reasoning_content")
    if reasoning is None or isinstance(reasoning, str):
        return False
    delta["reasoning_content"] = text_of(reasoning)
    # If the object came under another name, it is still there under that name.
    if not any(name in delta for name in REASONING_NAMES[1:]):
        put_extra(delta, {"reasoning_content": reasoning})
    return True


def text_of_details(delta: JSONObject) -> str:
    """Return the reasoning in ``reasoning_details``: their texts and summaries, without encrypted parts."""
    details = delta.get("reasoning_details")
    if not is_array(details):
        return ""
    return "".join([text_of(item.get("text") or item.get("summary")) for item in details if is_object(item)])
