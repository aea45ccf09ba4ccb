"""Faults that are a whole response: an error status, or a page of somebody else in place of an answer.

Their framing is sound. A right client reads the body, which may be long, and keeps the connection only where the API
itself has answered.
"""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING

from opeai_async.testing.faults.fault import Connection, Fault, Play, Retried, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opeai_async.testing.faults.fault import Wire

_JSON = {"content-type": "application/json"}
_HTML = {"content-type": "text/html; charset=utf-8"}
_PAGE = b"<!DOCTYPE html><html><head><title>Oops</title></head><body><h1>%d</h1>Something is wrong.</body></html>"
_ERROR = b'{"error":{"message":"%b","type":"%b","param":null,"code":%b}}'


def _say(status: int, body: bytes, headers: Mapping[str, str]) -> Play:
    async def play(wire: Wire) -> object:
        await wire.send_whole(status, body, headers)
        return wire.release()

    return play


def _both(
    result: str, retried: Retried = "never", clock: str | None = None, connection: Connection = "closed"
) -> tuple[Verdict, Verdict]:
    verdict = Verdict(result, retried, clock, connection)
    return verdict, verdict


# --- the server says no -----------------------------------------------------------------------------------------------

# Another try would be refused as well.
_REFUSALS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    413: "APIStatusError",
    422: "UnprocessableEntityError",
}
# Another try may succeed; 520 to 524 are Cloudflare's, 529 is an overload.
_TROUBLES = {408: "APIStatusError", 409: "ConflictError", 425: "APIStatusError", 429: "RateLimitError"} | dict.fromkeys(
    (500, 502, 503, 504, 520, 521, 522, 523, 524, 529), "InternalServerError"
)


def _status(status: int, error: str, retried: Retried) -> Fault:
    body = _ERROR % (b"Scripted.", b"scripted", b"null")
    meaning = f"HTTP {status} with the documented error body."
    return Fault(
        f"status_{status}", meaning, "status", *_both(error, retried, connection="kept"), play=_say(status, body, _JSON)
    )


def _page(status: int) -> Fault:
    # Closed, unlike with the documented body: a page is not from the API, so its connection is not trusted.
    meaning = f"HTTP {status} with a page in HTML, as from a gateway."
    return Fault(
        f"page_{status}",
        meaning,
        "status",
        *_both("InternalServerError", "always"),
        play=_say(status, _PAGE % status, _HTML),
    )


_SAID_NO = (
    *(_status(status, error, "never") for status, error in _REFUSALS.items()),
    *(_status(status, error, "always") for status, error in _TROUBLES.items()),
    *(_page(status) for status in (502, 503, 504, 520, 522, 524)),
)


# --- slow down --------------------------------------------------------------------------------------------------------


def _throttle(headers: Mapping[str, str], code: bytes = b"rate_limit_exceeded") -> Play:
    body = _ERROR % (b"Slow down.", b"requests", b'"%b"' % code)
    return _say(429, body, {**_JSON, **headers})


async def _throttle_until(wire: Wire) -> object:
    # Both are far in the future: only their difference counts, whatever the client's clock says.
    dates = {"date": formatdate(1_800_000_000, usegmt=True), "retry-after": formatdate(1_800_000_002, usegmt=True)}
    return await _throttle(dates)(wire)


def _limit(name: str, meaning: str, play: Play, error: str = "RateLimitError", retried: Retried = "always") -> Fault:
    return Fault(name, meaning, "status", *_both(error, retried, connection="kept"), play=play)


_THROTTLED = (
    _limit("retry_after_seconds", "HTTP 429 that asks for two seconds.", _throttle({"retry-after": "2"})),
    _limit("retry_after_ms", "HTTP 429 that asks for 2000 milliseconds.", _throttle({"retry-after-ms": "2000"})),
    _limit("retry_after_date", "HTTP 429 that names a time, two seconds after its own date.", _throttle_until),
    _limit(
        "retry_after_hours",
        "HTTP 429 that asks for more than a client should wait: two hours.",
        _throttle({"retry-after": "7200"}),
        retried="never",
    ),
    _limit(
        "quota",
        "HTTP 429 because the budget is used up, which waiting does not cure.",
        _throttle({}, b"insufficient_quota"),
        "QuotaExceededError",
        "never",
    ),
)


# --- somebody else answers --------------------------------------------------------------------------------------------


def _redirect(status: int) -> Fault:
    async def play(wire: Wire) -> object:
        # Another name for this very server, so that it would record a request that came after all.
        location = f"http://localhost:{wire.port}/elsewhere"
        await wire.send_whole(status, b"", {"location": location})
        return wire.release()

    meaning = f"HTTP {status} to another origin, which must get neither the prompt nor the key."
    return Fault(f"redirect_{status}", meaning, "status", *_both("InvalidResponseError"), play=play)


async def _endless_page(wire: Wire) -> object:
    await wire.send_head(502, _HTML)
    while True:
        await wire.send_parts(b"<p>Something is wrong.</p>\n" * 200)


async def _error_stall(wire: Wire) -> object:
    await wire.send_head(400, _JSON)
    await wire.send_parts(b'{"error":{"message":"')
    return await wire.hold()


# The status says yes, and the body is not this API's: another try would find the same.
_NOT_FOR_US = "InvalidResponseError"
# Garbage in any encoding.
_PACKED = b"\x8b\x00\xff\x01\x02" * 40

_OTHERS = (
    *(_redirect(status) for status in (300, 301, 302, 303, 305, 307, 308)),
    Fault(
        "page_200",
        "HTTP 200 with a page in HTML, as from a login wall.",
        "status",
        *_both(_NOT_FOR_US),
        play=_say(200, _PAGE % 200, _HTML),
    ),
    Fault(
        "page_200_as_answer",
        "HTTP 200 with a page in HTML that claims to be what was asked for.",
        "status",
        *_both(_NOT_FOR_US),
        play=_say(200, _PAGE % 200, {}),
    ),
    Fault(
        "text_200",
        "HTTP 200 with a line of plain text.",
        "status",
        *_both(_NOT_FOR_US),
        play=_say(200, b"It works!\n", {"content-type": "text/plain"}),
    ),
    Fault(
        "brotli_200",
        "HTTP 200 said to be packed by Brotli, which nobody asked for, and which the client may not even know.",
        "status",
        *_both("OpeAIError", "either"),
        play=_say(200, _PACKED, {"content-encoding": "br"}),
    ),
    Fault(
        "encoding_200",
        "HTTP 200 packed in a way that nobody knows.",
        "status",
        *_both(_NOT_FOR_US),
        play=_say(200, _PACKED, {"content-encoding": "x-secret"}),
    ),
    Fault(
        "page_endless",
        "HTTP 502 with a page that never ends.",
        "status",
        *_both("InternalServerError", "always"),
        play=_endless_page,
    ),
    Fault(
        "error_stall",
        "HTTP 400 with an error body that stops in the middle.",
        "status",
        *_both("BadRequestError", clock="idle_bytes_s"),
        play=_error_stall,
    ),
)

STATUS = (*_SAID_NO, *_THROTTLED, *_OTHERS)
