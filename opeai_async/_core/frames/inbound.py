"""What comes from a client while an answer goes to it: a message, a wish to stop, or the news that it has gone.

No framework is imported; their messages are told by their form. Text and bytes are a message as they are. An object is
one that was decoded from JSON, or a raw message of ASGI. Anything with a ``type`` that has a name, and ``data``, is a
message of aiohttp. And None is what Tornado says of a client that has gone.
"""

from __future__ import annotations

from typing import Any

import msgspec

from opeai_async._core.json import is_object

STOP = "stop"

_MAX_STOP_CHARS = 1024
_GONE_OBJECTS = frozenset({"websocket.disconnect", "http.disconnect"})
_GONE_TYPES = frozenset({"CLOSE", "CLOSING", "CLOSED", "ERROR"})


def is_gone(message: Any) -> bool:
    """Whether *message* says that the client has gone."""
    if message is None:
        return True
    if is_object(message):
        kind = message.get("type")
        return isinstance(kind, str) and kind in _GONE_OBJECTS
    return getattr(getattr(message, "type", None), "name", None) in _GONE_TYPES


def is_stop(message: Any) -> bool:
    """Whether *message* says ``stop``, or is a JSON object whose ``type`` is ``"stop"``, decoded or not."""
    payload = payload_of(message)
    if isinstance(payload, (bytes, bytearray)):
        payload = _text_of(payload)
    if isinstance(payload, str):
        if len(payload) > _MAX_STOP_CHARS or STOP not in payload:
            return False
        if payload.strip() == STOP:
            return True
        try:
            payload = msgspec.json.decode(payload)
        except ValueError:
            return False
    return is_object(payload) and payload.get("type") == STOP


def payload_of(message: Any) -> Any:
    """What the client sent, out of what its framework wrapped it in."""
    if is_object(message):
        if message.get("type") != "websocket.receive":
            return message
        text = message.get("text")
        return message.get("bytes") if text is None else text
    return message if isinstance(message, (str, bytes, bytearray)) else getattr(message, "data", message)


def size_of(message: Any) -> int:
    """About how much memory *message* takes, in characters and bytes."""
    payload = payload_of(message)
    return len(payload) if isinstance(payload, (str, bytes, bytearray)) else 0


def _text_of(payload: bytes | bytearray) -> str:
    return payload.decode("utf-8", "replace") if len(payload) <= _MAX_STOP_CHARS else ""
