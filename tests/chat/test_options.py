"""What a client and a call may be given beside the API's parameters: keys that change, timeouts, other defaults."""

import asyncio
from types import SimpleNamespace

import pytest

from opeai_async import (
    AsyncOpeAI,
    AuthenticationError,
    ClientClosedError,
    ConfigurationError,
    RetryPolicy,
    Timeouts,
)
from opeai_async.testing import OpeAIServer

HELLO = [{"role": "user", "content": "hello"}]
KEY = "sk-test-the-right-one"


class TestKeysThatAreAskedFor:
    """`api_key` as a function, or a coroutine function."""

    async def test_it_is_asked_for_each_attempt(self):
        """So one that expires between two attempts is no problem; what it remembers is its own business."""
        asked = 0

        def key():
            nonlocal asked
            asked += 1
            return KEY

        async with OpeAIServer(api_key=KEY) as server, AsyncOpeAI(key, base_url=server.base_url) as client:
            server.fail(500, headers={"retry-after-ms": "1"})
            await client.chat.completions.create(model="m", messages=HELLO)
            assert asked == 2
            async with client.chat.completions.stream(model="m", messages=HELLO) as stream:
                await stream.completion()
        assert asked == 3
        assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {KEY}"}

    async def test_a_refused_key_is_asked_for_once_more(self):
        """And tried at once, beside the retries."""
        keys = iter(["sk-test-the-old-one", KEY])

        async def key():
            await asyncio.sleep(0)
            return next(keys)

        async with (
            OpeAIServer(api_key=KEY) as server,
            AsyncOpeAI(key, base_url=server.base_url, max_retries=0) as client,
        ):
            completion = await client.chat.completions.create(model="m", messages=HELLO)
        assert [attempt.status_code for attempt in completion.meta.attempts] == [401, 200]

    async def test_a_key_that_stays_the_same_is_not_tried_again(self):
        asked = []

        def key():
            asked.append(1)
            return "sk-test-the-wrong-one"

        async with OpeAIServer(api_key=KEY) as server, AsyncOpeAI(key, base_url=server.base_url) as client:
            with pytest.raises(AuthenticationError) as caught:
                await client.chat.completions.create(model="m", messages=HELLO)
        assert (len(asked), len(server.requests)) == (2, 1)
        assert "sk-test-the-wrong-one" not in repr(vars(caught.value))

    async def test_it_is_asked_once_more_only(self):
        """However often the key changes."""
        keys = iter(range(10))
        async with (
            OpeAIServer(api_key=KEY) as server,
            AsyncOpeAI(lambda: f"sk-test-{next(keys)}", base_url=server.base_url) as client,
        ):
            with pytest.raises(AuthenticationError):
                await client.chat.completions.create(model="m", messages=HELLO)
        assert len(server.requests) == 2

    async def test_an_echo_of_it_is_masked(self):
        """As of a key that never changes."""
        async with OpeAIServer(api_key=KEY) as server, AsyncOpeAI(lambda: KEY, base_url=server.base_url) as client:
            server.fail(400, message=f"I do not like {KEY}")
            with pytest.raises(Exception, match="I do not like") as caught:
                await client.chat.completions.create(model="m", messages=HELLO)
        assert KEY not in str(caught.value) + repr(vars(caught.value))

    async def test_a_login_of_ones_own_is_left_alone(self):
        """Then nobody asks."""
        headers = {"authorization": "Basic abc"}
        async with (
            OpeAIServer(api_key=None) as server,
            AsyncOpeAI(lambda: 1 / 0, base_url=server.base_url, default_headers=headers) as client,
        ):
            with pytest.raises(AuthenticationError):
                await client.chat.completions.create(model="m", messages=HELLO)
        assert server.requests[0].headers["authorization"] == "Basic abc"

    @pytest.mark.parametrize(
        ("key", "message"),
        [
            (lambda: 1 / 0, "the function that was given as api_key raised ZeroDivisionError"),
            (lambda: None, "the function that was given as api_key returned a NoneType, expected text"),
            (lambda: "", "the API key from the function that was given as api_key must be printable ASCII"),
        ],
    )
    async def test_a_function_that_gives_no_key(self, key, message):
        """Nothing is sent; its own error is the cause."""
        async with OpeAIServer() as server, AsyncOpeAI(key, base_url=server.base_url) as client:
            with pytest.raises(ConfigurationError, match=message):
                await client.chat.completions.create(model="m", messages=HELLO)
            stream = client.chat.completions.stream(model="m", messages=HELLO)
            with pytest.raises(ConfigurationError, match=message):
                await stream.completion()
        assert server.requests == []

    async def test_asking_counts_in_the_total(self):
        async def key():
            await asyncio.sleep(30)
            return KEY

        async with OpeAIServer() as server, AsyncOpeAI(key, base_url=server.base_url) as client:
            with pytest.raises(Exception, match=r"total_s=0\.05"):
                await client.chat.completions.create(model="m", messages=HELLO, timeout=0.05)


class TestTimeouts:
    """A number is `total_s`; `timeout` is `timeouts`."""

    @pytest.mark.parametrize("name", ["timeouts", "timeout"])
    async def test_a_number_is_for_the_whole_call(self, server, name):
        async with server.client(**{name: 7}) as client:
            assert client.timeouts == Timeouts(total_s=7)
            server.stall("one two", after=1)
            with pytest.raises(Exception, match=r"total_s=0\.1"):
                async with client.chat.completions.stream(model="m", messages=HELLO, **{name: 0.1}) as stream:
                    await stream.completion()

    async def test_the_timeout_of_another_sdk(self, server):
        """Is known by its parts."""
        theirs = SimpleNamespace(connect=2.0, read=60.0, write=5.0, pool=None)
        async with server.client(timeout=theirs) as client:
            assert client.timeouts == Timeouts(
                connect_s=2.0, pool_s=None, response_headers_s=60.0, first_content_s=60.0, idle_bytes_s=60.0
            )

    async def test_one_of_both(self, server):
        async with server.client() as client:
            with pytest.raises(ConfigurationError, match="timeouts and timeout are both given"):
                await client.chat.completions.create(model="m", messages=HELLO, timeout=1, timeouts=2)


class TestWrongTypes:
    """Each option that is of the wrong type is named, by a `ConfigurationError`."""

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("api_key", 5),
            ("base_url", object()),
            ("timeouts", "30"),
            ("timeout", [30]),
            ("timeouts", True),
            ("max_retries", "3"),
            ("max_retries", True),
            ("retry", 3),
            ("max_connections", "3"),
            ("max_event_bytes", 1.5),
            ("default_headers", "x"),
            ("default_query", "x"),
            ("proxy", 1),
            ("dialect", 3),
        ],
    )
    def test_of_a_client(self, option, value):
        with pytest.raises(ConfigurationError, match=option.removeprefix("default_")):
            AsyncOpeAI(**{"api_key": "sk-test-x", option: value})

    def test_a_secret_of_pydantic(self):
        """It is told how to become text."""

        class SecretStr:
            def get_secret_value(self):
                return KEY

        with pytest.raises(ConfigurationError, match="api_key is of type SecretStr, expected text") as caught:
            AsyncOpeAI(SecretStr())
        assert caught.value.hint == "give its get_secret_value()"

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("timeouts", "30"),
            ("timeout", {}),
            ("max_retries", "3"),
            ("extra_body", "x"),
            ("extra_headers", "x"),
            ("extra_query", "x"),
            ("extra_query", {"a": 1}),
            ("dialect", "loose"),
            ("on_truncated", 1),
            ("reasoning_tags", None),
        ],
    )
    async def test_of_a_call(self, server, option, value):
        async with server.client() as client:
            with pytest.raises(ConfigurationError, match=option):
                await client.chat.completions.create(model="m", messages=HELLO, **{option: value})
            with pytest.raises(ConfigurationError, match=option):
                client.chat.completions.stream(model="m", messages=HELLO, **{option: value})
        assert server.requests == []

    @pytest.mark.parametrize(
        ("option", "words"),
        [
            ("http_client", "the client sends over aiohttp"),
            ("organization", "OpenAI-Organization"),
            ("max_retry", "did you mean 'max_retries'"),
            ("zzz", "unexpected keyword argument 'zzz'$"),
        ],
    )
    def test_an_option_that_is_none(self, option, words):
        with pytest.raises(TypeError, match=words):
            AsyncOpeAI("sk-test-x", **{option: 1})

    def test_the_key_of_another_service(self, monkeypatch):
        """A hint says that it is there, and why it is not read."""
        monkeypatch.delenv("OPEAI_API_KEY", raising=False)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
        with pytest.raises(ConfigurationError, match="OPEAI_API_KEY is not set") as caught:
            AsyncOpeAI()
        assert "OPENAI_API_KEY is set, but not read here" in caught.value.hint
        assert "sk-of-openai" not in str(caught.value) + caught.value.hint


class TestWithOptions:
    """A client with other defaults over the same connections."""

    async def test_it_shares_the_pool(self, server):
        async with server.client(default_headers={"x-a": "1", "x-b": "1"}, default_query={"a": "1"}) as client:
            await client.chat.completions.create(model="m", messages=HELLO)
            other = client.with_options(
                timeout=5, max_retries=7, default_headers={"X-B": "2"}, default_query={"b": "2"}, dialect="strict"
            )
            await other.chat.completions.create(model="m", messages=HELLO)
            assert server.connections_total == 1
            assert (other.timeouts, other.retry.max_retries, other.dialect) == (Timeouts(total_s=5), 7, "strict")
            assert (client.timeouts, client.retry, client.dialect) == (Timeouts(), RetryPolicy(), "repair")
        first, second = server.requests
        assert (first.headers["x-b"], second.headers["x-a"], second.headers["x-b"]) == ("1", "1", "2")
        assert (first.query, second.query) == ("a=1", "a=1&b=2")

    async def test_closing_it_closes_nothing(self, server):
        async with server.client() as client:
            async with client.with_options(max_retries=0) as other:
                await other.chat.completions.create(model="m", messages=HELLO)
            await other.chat.completions.create(model="m", messages=HELLO)
        with pytest.raises(ClientClosedError):
            await other.chat.completions.create(model="m", messages=HELLO)

    async def test_another_key(self):
        async with (
            OpeAIServer(api_key=KEY) as server,
            AsyncOpeAI("sk-test-the-wrong-one", base_url=server.base_url) as client,
        ):
            await client.with_options(api_key=KEY).chat.completions.create(model="m", messages=HELLO)
            await client.with_options(api_key=lambda: KEY).chat.completions.create(model="m", messages=HELLO)
            with pytest.raises(AuthenticationError):
                await client.chat.completions.create(model="m", messages=HELLO)

    async def test_another_address(self, server):
        async with server.client(base_url="http://127.0.0.1:1/v1") as client:
            other = client.with_options(base_url=server.base_url, max_retries=None)
            await other.chat.completions.create(model="m", messages=HELLO)
            assert other.base_url == server.base_url

    @pytest.mark.parametrize("option", ["proxy", "ssl_context", "transport", "http_client"])
    async def test_what_belongs_to_the_connections(self, server, option):
        async with server.client() as client:
            with pytest.raises(TypeError, match=option):
                client.with_options(**{option: None})

    async def test_wrong_options(self, server):
        async with server.client() as client:
            with pytest.raises(ConfigurationError, match="max_retries"):
                client.with_options(max_retries="3")
