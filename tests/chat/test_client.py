"""The client: what it may be set up with, and exactly what it sends, as a real server sees it."""

import copy
import errno
import inspect
import pickle
import ssl
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator

import anyio
import pytest

from opeai_async import AsyncOpeAI, RetryPolicy, Timeouts
from opeai_async._core.call.params import CallOptions, CreateParams
from opeai_async._io.net import lazy as client_module
from opeai_async.errors import (
    APIConnectionError,
    AuthenticationError,
    ClientClosedError,
    ConfigurationError,
    InternalServerError,
    LocalResourceError,
    RequestValidationError,
)
from opeai_async.testing import OpeAIServer, RecordedRequest
from opeai_async.types.request import CompletionParams
from tests.support.clients import scripted
from tests.support.reading.chunks import BODY, COMPLETION, DONE, FINISH, events

HELLO = [{"role": "user", "content": "hello"}]
KEY = "canary-0123456789"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    """No test depends on what the machine is set up with."""
    for name in ("OPEAI_API_KEY", "OPEAI_BASE_URL", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def server() -> AsyncIterator[OpeAIServer]:
    async with OpeAIServer(validate=False) as server:
        yield server


async def drained(stream):
    async with stream:
        return [chunk async for chunk in stream]


# --- construction ----------------------------------------------------------------------------------------------------


class TestKey:
    """Where the key comes from."""

    def test_there_must_be_one(self):
        """The error names both ways to give it."""
        with pytest.raises(ConfigurationError, match="api_key was not given, and OPEAI_API_KEY is not set") as caught:
            AsyncOpeAI()
        assert "export OPEAI_API_KEY" in caught.value.hint

    async def test_it_comes_from_the_environment(self, server, monkeypatch):
        """Unless one is given."""
        monkeypatch.setenv("OPEAI_API_KEY", server.api_key)
        async with AsyncOpeAI(base_url=server.base_url) as client:
            await client.chat.completions.create(model="m", messages=HELLO)
        async with AsyncOpeAI(KEY, base_url=server.base_url) as client:
            with pytest.raises(AuthenticationError):
                await client.chat.completions.create(model="m", messages=HELLO)
        keys = [request.headers["authorization"] for request in server.requests]
        assert keys == [f"Bearer {server.api_key}", f"Bearer {KEY}"]

    @pytest.mark.parametrize("value", ["", f"{KEY}\n", f'"{KEY}" ', f"{KEY} {KEY}"])
    def test_an_unsound_key_is_refused_by_the_name_of_its_source(self, value, monkeypatch):
        """An empty variable is not the same as none: something tried to set it."""
        with pytest.raises(ConfigurationError, match="the API key from api_key must be"):
            AsyncOpeAI(value)
        monkeypatch.setenv("OPEAI_API_KEY", value)
        with pytest.raises(ConfigurationError, match="the API key from OPEAI_API_KEY must be") as caught:
            AsyncOpeAI()
        assert KEY not in str(caught.value)

    @pytest.mark.parametrize(
        "options",
        [
            {"api_key": f"{KEY} "},
            {"api_key": KEY, "base_url": "ftp://x"},
            {"api_key": KEY, "default_headers": {"X A": "b"}},
            {"api_key": KEY, "max_retries": -1},
        ],
    )
    def test_no_traceback_shows_it(self, options):
        """Not even one with the local variables of each frame of this package."""
        with pytest.raises(ConfigurationError) as caught:
            AsyncOpeAI(**options)
        error = traceback.TracebackException(caught.type, caught.value, caught.tb.tb_next, capture_locals=True)
        shown = "".join(error.format())
        assert "api_key = '[redacted]'" in shown
        assert KEY not in shown

    def test_the_client_does_not_show_it(self):
        """In no repr of it or of what it holds; and it cannot be pickled or copied."""
        client = AsyncOpeAI(KEY, base_url="https://host/v1?key=canary", default_headers={"X-Key": KEY})
        assert repr(client) == str(client) == "<AsyncOpeAI https://host/v1>"
        assert KEY not in repr(vars(client))
        for duplicate in (pickle.dumps, copy.deepcopy):
            with pytest.raises((TypeError, AttributeError, pickle.PicklingError)) as caught:
                duplicate(client)
            assert KEY not in str(caught.value)


class TestBaseURL:
    """Where requests go."""

    def test_the_default(self):
        """The service itself."""
        assert AsyncOpeAI(KEY).base_url == "https://api-platform.ope.ai/v1"

    def test_the_environment(self, monkeypatch):
        """It counts where nothing is given; an empty variable is no address."""
        monkeypatch.setenv("OPEAI_BASE_URL", "https://env/v1/")
        assert AsyncOpeAI(KEY).base_url == "https://env/v1"
        assert AsyncOpeAI(KEY, base_url="https://arg/v1").base_url == "https://arg/v1"
        monkeypatch.setenv("OPEAI_BASE_URL", "")
        assert AsyncOpeAI(KEY).base_url == "https://api-platform.ope.ai/v1"

    def test_errors_name_the_source(self, monkeypatch):
        """The argument or the variable."""
        with pytest.raises(ConfigurationError, match="the base URL from base_url has"):
            AsyncOpeAI(KEY, base_url="")
        monkeypatch.setenv("OPEAI_BASE_URL", "http://other-machine/v1")
        with pytest.raises(ConfigurationError, match="the base URL from OPEAI_BASE_URL is http://other-machine"):
            AsyncOpeAI(KEY)
        assert AsyncOpeAI(KEY, allow_insecure_http=True).base_url == "http://other-machine/v1"


class TestOptions:
    """Everything else a client is set up with."""

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"max_retries": -1}, "max_retries is -1, expected 0 or more"),
            ({"max_connections": 0}, "max_connections is 0, expected at least 1"),
            ({"max_event_bytes": 0}, "max_event_bytes is 0, expected at least 1"),
            ({"dialect": "lenient"}, "dialect is 'lenient', expected one of 'repair', 'strict'"),
            ({"on_truncated": "ignore"}, "on_truncated is 'ignore', expected one of 'raise', 'return'"),
            ({"reasoning_tags": "all"}, "reasoning_tags is 'all', expected one of 'none', 'think', 'open'"),
            ({"default_headers": {"Host": "x"}}, "default_headers sets Host, which belongs to the connection"),
            ({"default_headers": {"X": "a\r\nb"}}, "the value of X in default_headers is not printable ASCII"),
        ],
    )
    def test_what_cannot_be_used_is_refused_at_once(self, options, message):
        """And not at the first request."""
        with pytest.raises(ConfigurationError) as caught:
            AsyncOpeAI(KEY, **options)
        assert str(caught.value) == message

    def test_the_settings_can_be_read(self):
        """As they count."""
        client = AsyncOpeAI(KEY, timeouts=Timeouts(connect_s=1), dialect="strict", on_truncated="return")
        assert (client.timeouts, client.dialect, client.on_truncated) == (Timeouts(connect_s=1), "strict", "return")
        assert client.max_event_bytes == 16 * 1024 * 1024
        assert (client.reasoning_tags, AsyncOpeAI(KEY, reasoning_tags="open").reasoning_tags) == ("none", "open")

    def test_retries(self):
        """A count alone, a whole policy, or a policy with another count."""
        policy = RetryPolicy(max_retries=7, base_delay_s=1)
        assert AsyncOpeAI(KEY).retry == RetryPolicy(max_retries=2)
        assert AsyncOpeAI(KEY, max_retries=0).retry == RetryPolicy(max_retries=0)
        assert AsyncOpeAI(KEY, retry=policy).retry == policy
        assert AsyncOpeAI(KEY, retry=policy, max_retries=1).retry == RetryPolicy(max_retries=1, base_delay_s=1)

    def test_a_client_needs_neither_loop_nor_network(self):
        """It may be made at import time, with everything set."""
        client = AsyncOpeAI(KEY, ssl_context=ssl.create_default_context(), proxy="http://proxy:1", max_connections=5)
        assert client.chat.completions is client.chat.completions

    def test_every_option_is_documented(self):
        """In the docstring of the class."""
        documented = {line.strip().partition(":")[0] for line in AsyncOpeAI.__doc__.splitlines()}
        assert set(inspect.signature(AsyncOpeAI).parameters) <= documented

    def test_every_option_of_a_call_is_documented(self):
        """In the docstring of their list; and none of them is a parameter of the API."""
        documented = {line.strip().partition(":")[0] for line in CallOptions.__doc__.splitlines()}
        assert set(CallOptions.__annotations__) <= documented
        assert not set(CallOptions.__annotations__) & set(CompletionParams.__annotations__)
        assert {**CallOptions.__annotations__, **CompletionParams.__annotations__} == CreateParams.__annotations__


def python(code: str) -> str:
    """What *code* prints in an interpreter of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_aiohttp_is_imported_with_the_first_request():
    """Not with the package, not with a client, and not when a client is closed unused."""
    printed = python(
        "import asyncio, sys\n"
        "from opeai_async import AsyncOpeAI, OpeAIError\n"
        "async def main():\n"
        "    async with AsyncOpeAI('key', base_url='http://127.0.0.1:9/v1', max_retries=0) as client:\n"
        "        stream = client.chat.completions.stream(model='m', messages=[{'role': 'user', 'content': 'x'}])\n"
        "        print('aiohttp' in sys.modules)\n"
        "    print('aiohttp' in sys.modules)\n"
        "    async with AsyncOpeAI('key', base_url='http://127.0.0.1:9/v1', max_retries=0) as client:\n"
        "        try:\n"
        "            await client.chat.completions.create(model='m', messages=[{'role': 'user', 'content': 'x'}])\n"
        "        except OpeAIError as error:\n"
        "            print(type(error).__name__, 'aiohttp' in sys.modules)\n"
        "asyncio.run(main())\n"
    )
    assert printed.split("\n")[:3] == ["False", "False", "APIConnectionError True"]


async def never(request: RecordedRequest) -> None:
    """Answers no request."""
    await anyio.sleep_forever()


# --- per call --------------------------------------------------------------------------------------------------------


class TestRefusals:
    """What is wrong with a call is said before anything is sent."""

    @pytest.mark.parametrize(
        ("params", "error"),
        [
            ({"temperature": 3}, RequestValidationError),
            ({"temprature": 1}, RequestValidationError),
            ({"messages": []}, RequestValidationError),
            ({"model": None}, RequestValidationError),
            ({"extra_body": {"x": object()}}, RequestValidationError),
            ({"extra_headers": {"X": "a\nb"}}, ConfigurationError),
            ({"extra_headers": {"Content-Length": "0"}}, ConfigurationError),
            ({"max_retries": -1}, ConfigurationError),
            ({"dialect": "other"}, ConfigurationError),
        ],
    )
    async def test_nothing_is_sent(self, server, params, error):
        """Awaited, as a stream by `create`, and by `stream`, which refuses even before it is opened."""
        params = {"model": "m", "messages": HELLO, **params}
        async with server.client() as client:
            with pytest.raises(error):
                await client.chat.completions.create(**params)
            with pytest.raises(error):
                await client.chat.completions.create(**params, stream=True)
            with pytest.raises(error):
                client.chat.completions.stream(**params)
        assert server.requests == []
        assert server.connections_total == 0

    async def test_a_stream_refuses_an_unknown_end(self, server):
        """`on_truncated` is of streams only."""
        async with server.client() as client:
            with pytest.raises(ConfigurationError, match="on_truncated is 'x', expected one of 'raise', 'return'"):
                client.chat.completions.stream(model="m", messages=HELLO, on_truncated="x")


class TestOptionsOfACall:
    """They count for one call and leave the client as it is."""

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({}, ("a", "b</think>c")),
            ({"reasoning_tags": "none"}, (None, "<think>a</think>\nb</think>c")),
            ({"reasoning_tags": "open"}, ("a", "b</think>c")),
        ],
    )
    async def test_reasoning_tags(self, options, expected):
        """They move the thinking out of the content, streamed and awaited."""
        client, transport, _ = scripted(reasoning_tags="think")
        transport.respond(events("<thi", "nk>a</", "think>\nb", "</think>c"), FINISH, DONE)
        transport.respond(COMPLETION.replace(b"abc", rb"<think>a</think>\nb</think>c"))
        async with client.chat.completions.stream(**BODY, **options) as stream:
            streamed = await stream.completion()
        awaited = await client.chat.completions.create(**BODY, **options)
        for message in (streamed.choices[0].message, awaited.choices[0].message):
            assert (message.reasoning_content, message.content) == expected

    async def test_reasoning_tags_that_cannot_be(self):
        """Nothing is sent."""
        client, transport, _ = scripted()
        with pytest.raises(ConfigurationError, match="reasoning_tags is 'x', expected one of"):
            await client.chat.completions.create(**BODY, reasoning_tags="x")
        with pytest.raises(ConfigurationError, match="reasoning_tags is 'x', expected one of"):
            client.chat.completions.stream(**BODY, reasoning_tags="x")
        assert transport.requests == []

    async def test_retries(self, server):
        """More, or fewer."""
        async with server.client(max_retries=0) as client:
            server.fail(500)
            completion = await client.chat.completions.create(
                model="m", messages=HELLO, max_retries=1, timeouts=Timeouts(total_s=20)
            )
            assert [attempt.status_code for attempt in completion.meta.attempts] == [500, 200]
            server.fail(500)
            with pytest.raises(InternalServerError) as caught:
                await client.chat.completions.create(model="m", messages=HELLO)
            assert len(caught.value.attempts) == 1
        sent = [request.headers["x-opeai-attempt"] for request in server.requests]
        assert sent == ["1", "2", "1"]
        keys = [request.headers["idempotency-key"] for request in server.requests]
        assert keys[0] == keys[1] != keys[2]
        assert client.retry.max_retries == 0

    def test_timeouts_are_merged(self):
        """What a call does not set is the client's, then the default."""
        client = AsyncOpeAI(KEY, timeouts=Timeouts(connect_s=1, total_s=30))
        assert client.timeouts | Timeouts(total_s=None) == Timeouts(connect_s=1, total_s=None)

    async def test_timeouts_of_a_call_count(self, server):
        """A limit that cannot be met is named by the error."""
        server.handle(never)
        async with server.client(max_retries=0) as client:
            with pytest.raises(APIConnectionError) as caught:
                await client.chat.completions.create(
                    model="m", messages=HELLO, timeouts=Timeouts(response_headers_s=0.05)
                )
        assert (caught.value.phase, caught.value.timeout_s) == ("response_headers", 0.05)


class TestLifetime:
    """Open and closed."""

    async def test_a_closed_client_refuses_calls(self, server):
        """Whether it was used before or not; closing again does nothing."""
        for uses in (0, 1):
            client = server.client()
            for _ in range(uses):
                await client.chat.completions.create(model="m", messages=HELLO)
            await client.aclose()
            await client.aclose()
            with pytest.raises(ClientClosedError):
                await client.chat.completions.create(model="m", messages=HELLO)
            with pytest.raises(ClientClosedError):
                await client.chat.completions.create(model="m", messages=HELLO, stream=True)
        assert len(server.requests) == 1

    async def test_async_with_gives_the_client_and_closes_it(self, server):
        """Also when the block fails."""
        client = server.client()
        assert await client.__aenter__() is client
        assert not await client.__aexit__(ZeroDivisionError, ZeroDivisionError(), None)
        with pytest.raises(ClientClosedError):
            await client.chat.completions.create(model="m", messages=HELLO)

    async def test_a_transport_of_ones_own_is_used_and_closed(self):
        """Nothing else is opened; what it is given is the whole request."""

        class Refusing:
            def __init__(self):
                self.sent, self.closed = [], 0

            keeps_limits = False

            async def send(self, request, *, connect_s, pool_s):
                self.sent.append((request, connect_s, pool_s))
                raise ConfigurationError("enough")

            async def aclose(self):
                self.closed += 1

        transport = Refusing()
        async with AsyncOpeAI(KEY, transport=transport, timeouts=Timeouts(connect_s=3, pool_s=4)) as client:
            with pytest.raises(ConfigurationError, match="enough"):
                await client.chat.completions.create(model="m", messages=HELLO, stream=True)
        ((request, *limits),) = transport.sent
        assert (request.method, request.url) == ("POST", "https://api-platform.ope.ai/v1/chat/completions")
        assert (request.wants_stream, limits, transport.closed) == (True, [3, 4], 1)
        assert KEY not in repr(request)


async def test_no_file_descriptor_left_to_load_aiohttp(monkeypatch):
    """The first request may be the one that finds the process exhausted."""

    def exhausted(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(client_module, "_aiohttp_transport", exhausted)
    async with AsyncOpeAI("k") as client:
        with pytest.raises(LocalResourceError, match="Too many open files"):
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
