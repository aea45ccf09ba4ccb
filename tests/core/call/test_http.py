"""The values that cross between the floors."""

import msgspec
import pytest

from opeai_async._core.call.http import Request, ResponseHead


def test_the_repr_of_a_request_shows_neither_key_nor_prompt():
    """Nor the query, where some servers take a key."""
    request = Request(
        method="POST",
        url="https://host/v1/chat/completions?api-key=canary1",
        headers={"Authorization": "Bearer canary2"},
        body=b"canary3",
        wants_stream=True,
    )
    assert repr(request) == str(request) == "<Request POST https://host/v1/chat/completions>"
    assert msgspec.structs.replace(request, body=b"").url.endswith("?api-key=canary1")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"x-request-id": "r1", "cf-ray": "r2"}, "r1"),
        ({"request-id": "r1"}, "r1"),
        ({"x-amzn-requestid": "r1"}, "r1"),
        ({"cf-ray": "r1-FRA"}, "r1-FRA"),
        ({"x-request-id": "", "cf-ray": "r2"}, "r2"),
        ({"x-request-id": "echo sk-abcdefgh12345678"}, "echo [redacted]"),
    ],
)
def test_the_request_id_under_whichever_name(headers, expected):
    """The first that says something, without a key that it may echo."""
    assert ResponseHead(200, headers=headers).request_id == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        (" ; charset=utf-8", None),
        ("Text/Event-Stream; charset=utf-8", "text/event-stream"),
        (" application/json ", "application/json"),
    ],
)
def test_the_content_type_is_the_media_type(value, expected):
    """In lower case and without parameters."""
    headers = {} if value is None else {"content-type": value}
    assert ResponseHead(200, headers=headers).content_type == expected


def test_heads_do_not_share_headers():
    """Each has a dict of its own."""
    assert ResponseHead(200).headers is not ResponseHead(200).headers


def test_a_request_is_held_by_nothing_unless_told():
    assert not Request("POST", "http://host/v1", {}, b"").is_held()
