"""A key that must not be found anywhere, whatever goes wrong.

Every error that a user can meet is produced by a real fault, and every server here echoes the key in whatever it may
send: status line, headers, error objects, rubbish. Then the key is looked for in all that could end up in a log or a
bug report. It has upper and lower case, and does not look like the keys that are known by their look.

What a model says is not searched: `partial` and chunks hold the answer as it came.
"""

import asyncio
import copy
import errno
import logging
import os
import pickle
import warnings
from contextlib import asynccontextmanager

import msgspec
import pytest

import opeai_async
from opeai_async import AsyncOpeAI, InvalidOutputError, OpeAIError, Timeouts, errors
from opeai_async._core.call.redact import HiddenStr
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.meta import AttemptRecord
from tests.support.leaks import no_leaks
from tests.support.reading.chunks import BODY, COMPLETION, DONE, FINISH, event, events
from tests.support.secrets import chain_of, everything_of
from tests.support.servers.raw_server import HEAD, RawServer, chunked, plain
from tests.support.servers.tls import contexts

KEY = "Canary.0123456789.XyZzY.abcdefghij"
ECHO = KEY.encode()
JSON = b"application/json; key=" + ECHO
ECHOES = (
    b"X-Request-Id: %b\r\nX-Echo: Bearer %b\r\nSet-Cookie: key=%b\r\nServer: %b\r\n"
    b'X-RateLimit-Key: %b\r\nX-RateLimit-Reset-Requests: %b\r\nRateLimit: "%b";r=0\r\n' % ((ECHO,) * 7)
)
ERROR = {"message": f"Bad key {KEY} or Bearer {KEY}", "code": KEY, "type": KEY, "param": KEY, KEY: [KEY]}
STREAM = HEAD.replace(b"\r\n\r\n", b"\r\n" + ECHOES + b"\r\n")


def error_object(**fields):
    return msgspec.json.encode({"error": {**ERROR, **fields}})


def status(number, **fields):
    """A server that refuses, with the key in every place of the response."""
    body = error_object(**fields)
    return sends(plain(body, status=b"%d No %b" % (number, ECHO), kind=JSON, more=ECHOES))


def sends(*parts, hangs_up=True):
    """A server that sends this and then closes the connection, or keeps it open in silence."""

    async def answer(call):
        assert ECHO in call.head
        await call.send(*parts)
        if hangs_up:
            call.hang_up()
        else:
            await call.gone()

    return answer


def streams(*parts, hangs_up=True):
    """The same, of a stream."""
    return sends(STREAM, *(chunked(part) for part in parts), hangs_up=hangs_up)


SAYS_NOTHING = sends(hangs_up=False)
WHOLE = sends(plain(COMPLETION, kind=b"application/json"))
TOO_BIG = {"max_event_bytes": 100}
IMPATIENT = {"timeouts": Timeouts(response_headers_s=0.05)}
LISTENS_BRIEFLY = {"timeouts": Timeouts(idle_bytes_s=0.05)}
NONSENSE = b"data: {nonsense %b\n\n" % ECHO

# (error, what the server does, options of the client); each is met by create() and by a stream.
FAULTS = {
    "400": (errors.BadRequestError, status(400), {}),
    "401": (errors.AuthenticationError, status(401), {}),
    "403": (errors.PermissionDeniedError, status(403), {}),
    "404": (errors.NotFoundError, status(404), {}),
    "409": (errors.ConflictError, status(409), {}),
    "418": (errors.APIStatusError, status(418), {}),
    "422": (errors.UnprocessableEntityError, status(422), {}),
    "429": (errors.RateLimitError, status(429), {}),
    "quota": (errors.QuotaExceededError, status(429, code="insufficient_quota"), {}),
    "500": (errors.InternalServerError, status(500), {}),
    "502 of a proxy": (
        errors.InternalServerError,
        sends(plain(b"<h1>Bearer %b</h1>" % ECHO, status=b"502 Bad", kind=b"text/html", more=ECHOES)),
        {},
    ),
    "redirect": (
        errors.InvalidResponseError,
        sends(plain(ECHO, status=b"307 Go", more=ECHOES + b"Location: https://%b.example/%b\r\n" % (ECHO, ECHO))),
        {},
    ),
    "a page": (
        errors.InvalidResponseError,
        sends(plain(b"<html>%b</html>" % ECHO, kind=b"text/html;k=%b" % ECHO, more=ECHOES)),
        {},
    ),
    "a page of the key's type": (errors.InvalidResponseError, sends(plain(b"<p>", kind=b"text/%b" % ECHO)), {}),
    "malformed status line": (errors.InvalidResponseError, sends(b"HTTP/1.1 %b\r\n\r\n" % ECHO), {}),
    "malformed header": (errors.InvalidResponseError, sends(b"HTTP/1.1 200 OK\r\n%b \0: 1\r\n\r\n" % ECHO), {}),
    "malformed length": (
        errors.InvalidResponseError,
        sends(b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n" % ECHO),
        {},
    ),
    "no answer": (errors.APIConnectionError, sends(), {}),
    "half a head": (errors.APIConnectionError, sends(b"HTTP/1.1 200 OK\r\nX: %b\r\n" % ECHO), {}),
    "silence": (errors.APITimeoutError, SAYS_NOTHING, IMPATIENT),
    "an error in a 200": (errors.StreamServerError, sends(plain(error_object(code=503), kind=JSON, more=ECHOES)), {}),
}
STREAM_FAULTS = {
    "cut": (errors.StreamInterruptedError, streams(events("a"), events("b")[:20]), {}),
    "truncated": (errors.StreamTruncatedError, sends(plain(events("a"), more=ECHOES)), {}),
    "silence in the body": (errors.StreamTimeoutError, streams(events("a"), hangs_up=False), LISTENS_BRIEFLY),
    "nonsense": (errors.StreamDecodeError, streams(events("a"), NONSENSE, hangs_up=False), {}),
    "a quirk": (errors.StreamDecodeError, streams(b'data: {"choices": "%b"}\n\n' % ECHO), {"dialect": "strict"}),
    "nonsense at once": (errors.StreamDecodeError, streams(NONSENSE, hangs_up=False), {}),
    "too big": (errors.StreamTooLargeError, streams(b"data: " + 20 * ECHO + b"\n\n", hangs_up=False), TOO_BIG),
    "an error": (errors.StreamServerError, streams(events("a"), b"data: " + error_object() + b"\n\n"), {}),
    "a failed finish": (errors.StreamServerError, streams(events("a"), event(finish="error"), DONE), {}),
}


# --- what could be seen ----------------------------------------------------------------------------------------------


class Seen:
    """All that was logged or warned of, and what is told to ``look``."""

    def __init__(self, records, warned):
        self._records = records
        self._warned = warned
        self._texts = []

    def look(self, *things):
        """Anything at all: its str, repr, and for an error also its pickle, its chain and the locals of its frames."""
        for thing in things:
            self._texts += [str(thing), repr(thing), f"{thing!s}{thing!r}{thing}"]
            if isinstance(thing, BaseException):
                self._texts.append(everything_of(thing))
            if isinstance(thing, OpeAIError):
                self._texts += [pickle.dumps(thing, protocol).decode("latin-1") for protocol in range(6)]

    def assert_no(self, secret):
        """The *secret* is nowhere, in any case of its letters."""
        for record in self._records:
            self._texts += [record.getMessage(), repr(vars(record))]
            self._texts += [everything_of(record.exc_info[1])] if record.exc_info else []
        self._texts += [str(warning) for warning in self._warned]
        for text in self._texts:
            found = text.lower().find(secret.lower())
            assert found < 0, f"... {text[max(found - 300, 0) : found + 50]}"


@pytest.fixture
def seen(caplog):
    """Everything is logged, by every logger there is."""
    caplog.set_level(logging.DEBUG)
    loggers = [logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield Seen(caplog.records, warned)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@asynccontextmanager
async def client_of(answer, **options):
    """A client with the key in every place that takes one, and its server."""
    asyncio.get_running_loop().set_debug(True)
    headers = {"X-Key": KEY}
    async with no_leaks(), RawServer(answer) as server:
        async with AsyncOpeAI(
            KEY, base_url=server.base_url, **{"max_retries": 0, "default_headers": headers, **options}
        ) as client:
            yield client
    asyncio.get_running_loop().set_debug(False)


async def failure(call, expected):
    with pytest.raises(expected) as caught:
        await call
    assert type(caught.value) is expected
    return caught.value


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("kind", ["create", "stream"])
async def test_a_call_that_fails(name, kind, seen):
    """Neither by itself, nor after a retry, nor in what the client, the stream and their parts show of themselves."""
    expected, answer, options = FAULTS[name]
    async with client_of(answer, **options) as client:
        completions = client.chat.completions
        for retries in (0, 1):
            params = {**BODY, "max_retries": retries, "extra_headers": {"X-Other": "value"}}
            if kind == "create":
                error = await failure(completions.create(**params), expected)
            else:
                stream = completions.stream(**params)
                error = await failure(stream.completion(), expected)
                seen.look(stream, stream.meta, stream.snapshot, stream.quirks, stream.timing)
            seen.look(error, client, completions, client.chat, client.retry, client.timeouts, client._wiring)
            assert_plain(error)
    seen.assert_no(KEY)


@pytest.mark.parametrize("name", STREAM_FAULTS)
async def test_a_stream_that_fails(name, seen):
    """The same, after the answer had begun or instead of its first event."""
    expected, answer, options = STREAM_FAULTS[name]
    async with client_of(answer, **options) as client:
        stream = client.chat.completions.stream(**BODY)
        seen.look(stream)
        for read in (stream.completion, stream.__anext__, stream.text().__anext__, stream.batches().__anext__):
            with pytest.raises((expected, *([] if read == stream.completion else [OpeAIError]))) as caught:
                await read()
        error = caught.value
        assert type(error) is expected
        seen.look(error, stream, stream.meta, stream.quirks, stream.timing, ExceptionGroup("several", [error]))
        assert_plain(error)
    seen.assert_no(KEY)


async def test_headers_of_a_limit(seen):
    """A refusal keeps those that tell about limits; the key in them is masked, whole or cut, also when pickled."""
    limits = b"Retry-After: 7200\r\nX-RateLimit-Owner: %b\r\nX-RateLimit-Cut: %b\r\n" % (ECHO.lower(), ECHO[:-3])
    answer = sends(plain(error_object(), status=b"429 No", kind=JSON, more=limits + ECHOES))
    async with client_of(answer) as client:
        error = await failure(client.chat.completions.create(**BODY), errors.RateLimitError)
    again = pickle.loads(pickle.dumps(error))
    assert again.headers == error.headers
    assert set(error.headers) == {
        "retry-after", "x-ratelimit-owner", "x-ratelimit-cut", "x-ratelimit-key", "x-ratelimit-reset-requests",
        "ratelimit",
    }  # fmt: skip
    assert error.headers["retry-after"] == "7200"
    assert error.headers["ratelimit"].endswith('";r=0')
    seen.look(error, again, error.headers)
    seen.assert_no(KEY)
    assert not any(KEY[: len(KEY) // 2].lower() in value.lower() for value in error.headers.values())


async def local_failures(tmp_path, monkeypatch):
    """Errors that no server answer brings, each with its class."""
    async with client_of(SAYS_NOTHING, max_connections=1, timeouts=Timeouts(pool_s=0.1)) as client:
        create = client.chat.completions.create
        yield errors.RequestValidationError, create(model="m", messages=[{"role": "user"}], temperature=-1)
        waiting = asyncio.create_task(create(**BODY))
        await asyncio.sleep(0.05)
        yield errors.PoolTimeoutError, create(**BODY)
        stream = client.chat.completions.stream(**BODY)
        opening = asyncio.create_task(stream.open())
        await asyncio.sleep(0)
        yield errors.ConcurrentReadError, stream.open()
        await client.aclose()
        yield errors.ClientClosedError, waiting
        yield errors.ClientClosedError, opening
        yield errors.ClientClosedError, create(**BODY)
    async with client_of(streams(event("no JSON"), FINISH, DONE)) as client:
        async with client.chat.completions.stream(**BODY) as stream:
            yield errors.InvalidJSONError, anext(stream.partials())
    for reason, error_type in (("length", errors.OutputTruncatedError), ("content_filter", errors.OutputFilteredError)):
        async with client_of(
            sends(plain(COMPLETION.replace(b"stop", reason.encode()), kind=b"application/json"))
        ) as client:
            yield error_type, client.chat.completions.parse(**BODY, response_format=list[int])
    async with client_of(WHOLE) as client:
        yield InvalidOutputError, client.chat.completions.parse(**BODY, response_format=list[int])
        yield errors.ConfigurationError, client.chat.completions.create(**BODY, extra_headers={"X": f"{KEY}\n"})
        yield errors.ConfigurationError, client.chat.completions.create(**BODY, extra_headers={f"X {KEY}"[:3]: KEY})
        with monkeypatch.context() as patch:

            def full(*args, **kwargs):
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

            patch.setattr("socket.socket.connect", full)
            patch.setattr(asyncio.get_running_loop(), "sock_connect", full)
            yield errors.LocalResourceError, client.chat.completions.create(**BODY)
    accepts, _ = contexts(tmp_path)
    async with RawServer(WHOLE, tls=accepts) as server, AsyncOpeAI(KEY, base_url=server.base_url) as client:
        yield errors.TLSError, client.chat.completions.create(**BODY)


async def test_what_fails_on_this_side(seen, tmp_path, monkeypatch):
    """Before anything was sent, or without an answer."""
    async for expected, call in local_failures(tmp_path, monkeypatch):
        error = await failure(call, expected)
        seen.look(error)
        assert_plain(error)
    seen.assert_no(KEY)


async def test_every_error_is_covered(tmp_path, monkeypatch):
    """A class that no fault here brings about would be a class that nobody has looked at."""
    covered = {expected for expected, *_ in [*FAULTS.values(), *STREAM_FAULTS.values()]}
    async for expected, call in local_failures(tmp_path, monkeypatch):
        await failure(call, expected)
        covered.add(expected)
    assert {getattr(errors, name) for name in errors.__all__} - covered == {errors.OpeAIError, errors.StreamError}


PARTS = (str, int, float, bool, type(None), ChatCompletion, CompletionUsage, AttemptRecord)


def assert_plain(error):
    """It holds plain data only, and its duplicates are equal to it."""
    for exc in chain_of(error):
        assert isinstance(exc, OpeAIError), f"{type(error).__name__} leads to {exc!r}"
    queue = [*error.args, *(value for name, value in vars(error).items() if name != "pending")]
    while queue:
        value = queue.pop()
        if isinstance(value, (list, tuple)):
            queue += value
        elif isinstance(value, dict):
            queue += [*value, *value.values()]
        else:
            assert isinstance(value, PARTS)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is type(error)
        assert (twin.args, vars(twin)) == (error.args, vars(error))


# --- a success, a client, and what is cut off ------------------------------------------------------------------------


async def test_an_answer(seen):
    """Headers that echo the key are in ``meta`` without it."""
    body = plain(COMPLETION, kind=JSON, more=ECHOES)
    async with client_of(sends(body)) as client:
        completion = await client.chat.completions.create(**BODY)
        stream = await client.chat.completions.create(**BODY, stream=True)
        assert (await stream.completion()).meta.headers["x-echo"]
        seen.look(completion, completion.meta, pickle.dumps(completion).decode("latin-1"), stream, stream.meta)
        assert len(completion.meta.headers) >= 6
    seen.assert_no(KEY)


@pytest.mark.parametrize("start", range(4096 - len(KEY) - 2, 4096 + 2, 5))
async def test_a_key_that_is_cut_off_with_the_excerpt(start, seen):
    """Half a key is too much of it."""
    page = b"x" * start + ECHO + b"y" * 100
    async with client_of(sends(plain(page, kind=b"text/html"))) as client:
        error = await failure(client.chat.completions.create(**BODY), errors.InvalidResponseError)
        assert error.excerpt
        seen.look(error)
    seen.assert_no(KEY[: len(KEY) // 2])


def test_the_hidden_header_stays_hidden_in_containers():
    """A dict, an f-string with !r and a list show a mask; what is sent is the text."""
    header = HiddenStr(f"Bearer {KEY}")
    assert KEY not in f"{header!r} { {'Authorization': header} } {[header]}"
    assert header.encode() == f"Bearer {KEY}".encode()


def test_the_module_names_no_key():
    """The environment's key is read when a client is made, and kept nowhere else."""
    assert KEY not in repr(vars(opeai_async))
