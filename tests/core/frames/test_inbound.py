"""What a client said, in whatever its framework wraps it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import pytest
from aiohttp import WSMessage, WSMsgType
from hypothesis import given

from opeai_async._core.frames.inbound import is_gone, is_stop, payload_of, size_of
from tests.support.reading.streams import json_values


class OtherType(IntEnum):
    """The message types of another library."""

    TEXT = 1
    CLOSE = 8


@dataclass
class OtherMessage:
    """A message of another library."""

    type: OtherType
    data: object


def aiohttp_message(kind: WSMsgType, data: object = None) -> WSMessage:
    return WSMessage(kind, data, None)  # type: ignore[operator]


def asgi(**fields: Any) -> dict[str, Any]:
    return {"type": "websocket.receive", **fields}


@pytest.mark.parametrize(
    "message",
    [
        None,
        {"type": "websocket.disconnect", "code": 1001},
        {"type": "http.disconnect"},
        *(aiohttp_message(kind) for kind in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED)),
        aiohttp_message(WSMsgType.ERROR, ConnectionResetError()),
        OtherMessage(OtherType.CLOSE, b""),
    ],
)
def test_a_client_that_has_gone(message: object) -> None:
    """In the words of ASGI, aiohttp, its kin, and Tornado."""
    assert is_gone(message)


STOPS = (
    "stop",
    b"stop",
    bytearray(b" stop\n"),
    '{"type": "stop"}',
    b'{"type":"stop","turn":3}',
    {"type": "stop"},
    asgi(text="stop"),
    asgi(text=None, bytes=b"stop"),
    asgi(bytes=b'{"type": "stop"}'),
    aiohttp_message(WSMsgType.TEXT, '{"type": "stop"}'),
    aiohttp_message(WSMsgType.BINARY, b"stop"),
    OtherMessage(OtherType.TEXT, "stop"),
)
OTHERS = (
    "",
    "Stop",
    "please stop",
    '"stop"',
    '{"type": "stop"',
    '{"type": ["stop"]}',
    '["stop"]',
    '{"stop": true}',
    b"\xff stop",
    "stop" + 2_000 * " ",
    b"stop" + 2_000 * b" ",
    {"stop": True},
    {"type": ["websocket.disconnect"]},
    asgi(),
    asgi(text="go on"),
    aiohttp_message(WSMsgType.PONG, b""),
    7,
    ["stop"],
    object(),
)


@pytest.mark.parametrize("message", STOPS)
def test_a_wish_to_stop(message: object) -> None:
    """The word, or an object of that type, decoded or not."""
    assert is_stop(message)
    assert not is_gone(message)


@pytest.mark.parametrize("message", OTHERS)
def test_anything_else_is_a_message(message: object) -> None:
    """Also one that only looks like a wish, or is too long for one."""
    assert not is_stop(message)
    assert not is_gone(message)


@given(value=json_values)
def test_any_json_is_understood(value: Any) -> None:
    """As text and decoded alike, and without an error."""
    text = json.dumps(value)
    decoded = json.loads(text)
    assert is_stop(text) == (isinstance(value, dict) and value.get("type") == "stop")
    assert is_gone(decoded) == (decoded is None)
    assert not is_gone(text)


@pytest.mark.parametrize(
    ("message", "payload", "size"),
    [
        ("Grüße", "Grüße", 5),
        (b"abc", b"abc", 3),
        (asgi(text="", bytes=None), "", 0),
        (asgi(bytes=b"abc"), b"abc", 3),
        ({"type": "chat", "text": "abc"}, {"type": "chat", "text": "abc"}, 0),
        (aiohttp_message(WSMsgType.TEXT, "abc"), "abc", 3),
        (7, 7, 0),
    ],
)
def test_what_was_said(message: object, payload: object, size: int) -> None:
    assert (payload_of(message), size_of(message)) == (payload, size)
