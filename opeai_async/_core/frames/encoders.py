"""Encode frames as outgoing messages: JSON objects, or the text alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from opeai_async._core.json import is_array, is_object
from opeai_async.types.frames import AnnotationsFrame, ContentFrame, DoneFrame, Frame

Message: TypeAlias = str | bytes | dict[str, Any]
"""Argument of a ``send``: text, bytes, or an object where the library encodes it itself, as Socket.IO does."""

FrameEncoder: TypeAlias = Callable[[Frame], Message | list[Message] | None]
"""Function that makes the messages of a frame: one, several in order, or none (``None``, or an empty list)."""

_encode = msgspec.json.Encoder().encode


def encode_json(frame: Frame) -> str:
    """Return *frame* as a JSON object, as ``types/frames.py`` describes it, vendor fields beside those of the API."""
    # Only these two kinds of frames hold Structs with an ``_extra``.
    if isinstance(frame, (DoneFrame, AnnotationsFrame)):
        return _encode(with_extra(msgspec.to_builtins(frame))).decode()
    return _encode(frame).decode()


def encode_text(frame: Frame) -> str | None:
    """Return the text that *frame* adds to the content of choice 0; None if it adds none."""
    return frame.text if isinstance(frame, ContentFrame) and frame.choice == 0 else None


def with_extra(value: Any) -> Any:
    """Return *value* with the fields in each ``_extra`` moved up beside it; a field that is there already stays."""
    if is_object(value):
        fields = {name: with_extra(item) for name, item in value.items() if name != "_extra"}
        return {**value.get("_extra", {}), **fields}
    return [with_extra(item) for item in value] if is_array(value) else value
