"""Read what a client sends while it receives an answer: a message, a request to stop, or its departure.

No web framework is imported: messages of each are recognised by their form.

    received from the framework               framework         meaning
    ----------------------------------------  ----------------  ------------------------------------------
    str, bytes, bytearray                     several           the message itself
    dict with ``type: websocket.receive``     ASGI              message in ``text`` or ``bytes``
    dict with ``type: websocket.disconnect``  ASGI              the client has gone (``http.disconnect`` too)
    any other dict                            several           a message that is decoded already
    object with ``type.name`` and ``data``    aiohttp           by name: gone (``CLOSE`` ...), or the message
    None                                      Tornado           the client has gone
"""

from __future__ import annotations

from typing import Any

import msgspec

from opeai_async._core.json import is_object

STOP = "stop"

# A longer message is not searched: it is not a request to stop, and the client chooses its length.
_MAX_STOP_CHARS = 1024
_GONE_OBJECTS = frozenset({"websocket.disconnect", "http.disconnect"})
_GONE_TYPES = frozenset({"CLOSE", "CLOSING", "CLOSED", "ERROR"})


def is_gone(message: Any) -> bool:
    """Tell whether *message* says that the client has gone."""
    if message is None:
        return True
    if is_object(message):
        kind = message.get("type")
        return isinstance(kind, str) and kind in _GONE_OBJECTS
    return getattr(getattr(message, "type", None), "name", None) in _GONE_TYPES


def is_stop(message: Any) -> bool:
    """Tell whether *message* is ``stop``, or a JSON object whose ``type`` is ``"stop"``, decoded or not."""
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
    """Return what the client sent, without the object that its framework wrapped it in."""
    if is_object(message):
        if message.get("type") != "websocket.receive":
            return message
        text = message.get("text")
        return message.get("bytes") if text is None else text
    return message if isinstance(message, (str, bytes, bytearray)) else getattr(message, "data", message)


def size_of(message: Any) -> int:
    """Return about how large *message* is, in characters or bytes; 0 for a decoded object."""
    payload = payload_of(message)
    return len(payload) if isinstance(payload, (str, bytes, bytearray)) else 0


def _text_of(payload: bytes | bytearray) -> str:
    return payload.decode("utf-8", "replace") if len(payload) <= _MAX_STOP_CHARS else ""
