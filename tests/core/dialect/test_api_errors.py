"""Error bodies in all their shapes, and the errors they become."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async import errors
from opeai_async._core.call.http import ResponseHead
from opeai_async._core.dialect.api_errors import APIError, find_error, status_error, stream_error_from
from opeai_async.types.meta import AttemptRecord
from tests.support.reading.streams import json_values


def made(status: int, body: bytes, **headers: str) -> errors.APIStatusError:
    return status_error(ResponseHead(status, "api.test", headers), body)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequestError),
        (401, errors.AuthenticationError),
        (403, errors.PermissionDeniedError),
        (404, errors.NotFoundError),
        (409, errors.ConflictError),
        (418, errors.APIStatusError),
        (422, errors.UnprocessableEntityError),
        (429, errors.RateLimitError),
        (500, errors.InternalServerError),
        (529, errors.InternalServerError),
    ],
)
def test_the_status_decides_the_class(status: int, kind: type[errors.APIStatusError]) -> None:
    """Each status has its class, and the documented body fills it."""
    body = b'{"error":{"message":"no","type":"t","param":"model","code":"c"}}'
    error = made(status, body, **{"x-request-id": "r", "retry-after": "2"})
    assert type(error) is kind
    assert (error.status_code, error.type, error.param, error.code) == (status, "t", "model", "c")
    assert (error.request_id, error.retry_after_s) == ("r", 2.0)
    assert str(error).startswith(f"HTTP {status} from api.test: no")
    assert error.body == msgspec.json.decode(body)


@pytest.mark.parametrize("field", ["code", "type"])
@pytest.mark.parametrize(
    "word", ["insufficient_quota", "credit_balance_exhausted", "team_spend_limit_exceeded", "x_usage_limit_exceeded"]
)
def test_a_quota_that_is_used_up(field: str, word: str) -> None:
    """Told from throttling by code or type, with status 429 only."""
    body = msgspec.json.encode({"error": {"message": "no", field: word}})
    assert type(made(429, body)) is errors.QuotaExceededError
    assert type(made(400, body)) is errors.BadRequestError
    assert type(made(429, b'{"error":{"message":"no","code":"rate_limit_exceeded"}}')) is errors.RateLimitError


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (b'{"error":"text","code":7}', "text", "7"),
        (b'{"error":{"message":"no","code":7}}', "no", "7"),
        (b'{"error":{"message":"","code":7}}', '{"message":"","code":7}', "7"),
        (b'{"error":[1]}', "[1]", None),
        (b'{"message":"flat","type":"t","code":""}', "flat", None),
        (b'{"object":"error","message":"vllm","code":40301}', "vllm", "40301"),
        (b'{"detail":"Not Found"}', "Not Found", None),
        (b'{"detail":[{"loc":["body"]}]}', '[{"loc":["body"]}]', None),
        (b'{"msg":"other"}', "other", None),
        (b"[]", "[]", None),
        (b"plain text", "plain text", None),
        (b"<html>Bad gateway</html>", "Bad gateway", None),
        (b"", "an empty body", None),
        (b"\xff", "\ufffd", None),
        (b"[" * 100_000, "[" * 4096, None),
        (b'{"error":' + b"[" * 600 + b"]" * 600 + b"}", "[", None),
    ],
)
def test_any_body(body: bytes, message: str, code: str | None) -> None:
    """The message is what the body says, whatever its shape, and bounded."""
    error = made(400, body)
    assert message in str(error)
    assert error.code == code
    assert len(str(error)) < 5000


@given(
    value=json_values
    | st.dictionaries(st.sampled_from(["error", "message", "code", "type", "detail", "object", "choices"]), json_values)
)
def test_arbitrary_bodies(value: object) -> None:
    """Any JSON makes an error with text in its fields, in a body and in a stream."""
    error = made(400, msgspec.json.encode(value))
    assert all(isinstance(field, (str, type(None))) for field in (error.code, error.type, error.param))
    if isinstance(value, dict) and (found := find_error(value)) is not None:
        assert 400 <= stream_error_from(found).status_code <= 599


def test_keys_are_removed() -> None:
    """A key that the server echoes is in no part of the error."""
    error = made(401, b'{"error":{"message":"bad sk-abcdefghijkl","code":"sk-abcdefghijkl"},"x":["sk-abcdefghijkl",1]}')
    assert "abcdefghijkl" not in f"{error} {error.body} {error.code}"
    assert error.body == {"error": {"message": "bad [redacted]", "code": "[redacted]"}, "x": ["[redacted]", 1]}


def test_attempts_are_kept() -> None:
    """The error knows how it was tried."""
    attempts = (AttemptRecord(number=1),)
    assert status_error(ResponseHead(500), b"", attempts).attempts == attempts


@pytest.mark.parametrize(
    ("code", "status"),
    [("429", 429), ("400", 400), ("599", 599), ("200", 500), ("600", 500), ("40301", 500), ("²²²", 500), (None, 500)],
)
def test_the_status_an_error_in_a_stream_stands_for(code: str | None, status: int) -> None:
    """Its own code where that is a status of failure, else 500."""
    error = stream_error_from(APIError("no", code, "t", "p"))
    assert (error.status_code, error.code, error.type, error.param) == (status, code, "t", "p")


@pytest.mark.parametrize(
    "body",
    [{}, {"error": None}, {"error": {}}, {"error": ""}, {"choices": [{}], "message": "m", "code": 1}, {"message": "m"}],
)
def test_what_is_no_error(body: dict[str, object]) -> None:
    """Chunks with such fields are chunks."""
    assert find_error(body) is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":{"message":"M","code":"c","x":NaN}}',
        b'\xef\xbb\xbf{"error":{"message":"M","code":"c"}}',
        b'{"error":{"message":"M","code":"c","x":"\xff"}}',
        b'data: {"error":{"message":"M","code":"c"}}\n\n',
        b'event: error\ndata: {"message":"M","code":"c"}',
        b'[{"error":{"message":"M","code":"c"}}]',
        b'{"error":true,"message":"M","code":"c"}',
    ],
)
def test_an_error_body_that_is_almost_json(body: bytes) -> None:
    """Code and message are found, as they would be in a 200."""
    error = status_error(ResponseHead(400, "h", {}), body)
    assert (error.code, error.message) == ("c", "HTTP 400 from h: M")
