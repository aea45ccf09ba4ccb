"""Calls over several endpoints, on real sockets: who is asked, what is told of it, and what it leaves."""

import asyncio
import random

import pytest

from opeai_async import (
    AsyncOpeAI,
    BadRequestError,
    Capabilities,
    ConfigurationError,
    Endpoint,
    EndpointPolicy,
    Endpoints,
    InternalServerError,
    Outcome,
    PoolTimeoutError,
    RateLimitError,
    RetryPolicy,
    StreamInterruptedError,
    Timeouts,
)
from opeai_async.testing import Failure, OpeAIServer, Reply
from opeai_async.testing.transport import ScriptedTransport
from tests.support.clients import rewire
from tests.support.leaks import no_leaks

ASK = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
WORDS = "one two three four five six"
KEYS = ("sk-first-0123456789abcdef", "sk-second-0123456789abcdef")


def endpoints_of(*servers, tiers=True, policy=None, on_break=None, **options):
    return Endpoints(
        [
            Endpoint(
                base_url=server.base_url,
                api_key=server.api_key,
                name=f"s{number}",
                tier=number if tiers else 0,
                **options,
            )
            for number, server in enumerate(servers)
        ],
        policy=policy,
        on_break=on_break,
    )


def client_of(*servers, tiers=True, policy=None, on_break=None, client=None, **options):
    made = AsyncOpeAI(
        endpoints=endpoints_of(*servers, tiers=tiers, policy=policy, on_break=on_break, **options), **(client or {})
    )
    rewire(made, jitter=lambda: 0.0)
    return made


def tries(meta):
    return [(attempt.endpoint, attempt.error) for attempt in meta.attempts]


async def ask(client, **options):
    return await client.chat.completions.create(**ASK, **options)


async def test_the_first_tier_answers_while_it_can():
    """The second one hears nothing."""
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second, client_of(first, second) as client:
        for _ in range(5):
            assert tries((await ask(client)).meta) == [("s0", None)]
        assert not second.requests


@pytest.mark.parametrize("status", [401, 403, 404, 408, 409, 429, 500, 502, 503, 529])
@pytest.mark.parametrize("stream", [True, False])
async def test_what_another_could_do_better_goes_there_without_a_wait(status, stream):
    """At once, and without a retry of the first."""
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.fail(status, times=None)
        async with client_of(first, second) as client:
            if stream:
                async with client.chat.completions.stream(**ASK) as answer:
                    completion = await answer.completion()
            else:
                completion = await ask(client)
            assert [endpoint for endpoint, _ in tries(completion.meta)] == ["s0", "s1"]
            assert completion.meta.attempts[1].delay_s == 0
            assert len(first.requests) == 1


async def test_a_head_that_is_not_to_be_believed_goes_elsewhere():
    """Its attempt has left once, though its body was closed before."""
    transport = ScriptedTransport()
    answer = b'{"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}'
    made = [Endpoint(base_url=f"http://localhost:{port}/v1", api_key="sk-x", tier=port) for port in (1, 2)]
    async with AsyncOpeAI(endpoints=Endpoints(made), transport=transport) as client:
        transport.respond(b"{}", headers={"content-length": "5, 6", "content-type": "application/json"})
        transport.respond(answer, headers={"content-type": "application/json"})
        completion = await ask(client)
        assert tries(completion.meta) == [("localhost:1", "InvalidResponseError"), ("localhost:2", None)]
        assert [(r.health.in_flight, r.slots.taken) for r in client._wiring.pool.routes] == [(0, 0), (0, 0)]


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_what_is_wrong_with_the_request_is_told_at_once(status):
    """Nobody else is asked."""
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second, client_of(first, second) as client:
        first.fail(status)
        with pytest.raises(Exception, match=f"HTTP {status}") as caught:
            await ask(client)
        assert caught.value.status_code == status
        assert not second.requests


async def test_a_prompt_that_is_too_long_goes_where_more_fits():
    """Only to an endpoint that is known to take more."""
    async with no_leaks(), OpeAIServer() as small, OpeAIServer() as large:
        for larger, expected in ((4096, BadRequestError), (128_000, None)):
            small.fail(400, code="context_length_exceeded", message="This model's maximum context length is 8192")
            made = [
                Endpoint(base_url=s.base_url, api_key="sk-test", tier=t, capabilities=Capabilities(context_tokens=n))
                for t, (s, n) in enumerate(((small, 8192), (large, larger)))
            ]
            async with AsyncOpeAI(endpoints=Endpoints(made)) as client:
                if expected:
                    with pytest.raises(expected):
                        await ask(client)
                else:
                    await ask(client)
        assert len(large.requests) == 1


async def test_what_an_endpoint_says_that_it_lacks_is_learnt():
    """It is not asked for that again, with that model; and for all else as before."""
    tools = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second, client_of(first, second) as client:
        first.fail(400, message="m does not support tools")
        for _ in range(2):
            await ask(client, tools=tools)
        assert (len(first.requests), len(second.requests)) == (1, 2)
        await ask(client)
        await client.chat.completions.create(**{**ASK, "model": "other"}, tools=tools)
        assert (len(first.requests), len(second.requests)) == (3, 2)


async def test_what_all_endpoints_lack_is_told():
    """Each is asked once, and again at the next call: they may have learnt it."""
    tools = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second, client_of(first, second) as client:
        for server in (first, second):
            server.fail(400, message="m does not support tools", times=None)
        for count in (1, 2):
            with pytest.raises(BadRequestError, match="does not support tools"):
                await ask(client, tools=tools)
            assert (len(first.requests), len(second.requests)) == (count, count)


async def test_how_much_fits_is_learnt():
    """Said in the refusal; an endpoint that takes more is asked, and one of which that is not known is not."""
    long = "This model's maximum context length is 8192 tokens."
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second, OpeAIServer() as third:
        made = [
            Endpoint(base_url=server.base_url, api_key="sk-test", tier=tier, name=f"s{tier}", capabilities=known)
            for tier, (server, known) in enumerate(
                [
                    (first, Capabilities()),
                    (second, Capabilities(context_tokens=8000)),
                    (third, Capabilities(context_tokens=32_000)),
                ]
            )
        ]
        first.fail(400, message=long, code="context_length_exceeded")
        async with AsyncOpeAI(endpoints=Endpoints(made)) as client:
            assert tries((await ask(client)).meta) == [("s0", "BadRequestError"), ("s2", None)]


async def test_all_are_asked_again_as_a_lone_one_would_be():
    """A round asks each once; between rounds the retry policy decides."""
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.fail(503, times=None)
        second.fail(503, times=2)
        async with client_of(first, second, policy=EndpointPolicy(failures_in_row=99)) as client:
            completion = await ask(client)
            assert [endpoint for endpoint, _ in tries(completion.meta)] == ["s0", "s1"] * 3
        async with client_of(first, second, client={"max_retries": 0}) as client:
            second.fail(503)
            with pytest.raises(InternalServerError) as caught:
                await ask(client)
            assert tries(caught.value) == [("s0", "InternalServerError"), ("s1", "InternalServerError")]


async def test_an_endpoint_that_asks_to_wait_is_not_asked_meanwhile():
    """The next calls go to the other one at once."""
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second, client_of(first, second) as client:
        first.fail(429, headers={"retry-after": "30"}, times=None)
        for _ in range(4):
            await ask(client)
        assert (len(first.requests), len(second.requests)) == (1, 4)


async def test_where_all_ask_to_wait_the_call_waits():
    """For the one that is ready first, in its line."""
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second, client_of(first, second) as client:
        first.fail(429, headers={"retry-after": "30"}, times=None)
        second.fail(429, headers={"retry-after-ms": "150"})
        completion = await ask(client)
        assert [endpoint for endpoint, _ in tries(completion.meta)] == ["s0", "s1", "s1"]
        assert completion.meta.attempts[-1].delay_s >= 0.14
        assert len(first.requests) == 1


async def test_an_endpoint_that_is_down_is_left_alone_and_probed():
    """After its row of failures nobody goes there; when its time is over one call does, and then all."""
    policy = EndpointPolicy(failures_in_row=3, eject_s=0.2)
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.fail(500, times=3)
        async with client_of(first, second, policy=policy) as client:
            for _ in range(10):
                await ask(client)
            assert (len(first.requests), len(second.requests)) == (3, 10)
            await asyncio.sleep(0.25)
            await asyncio.gather(*(ask(client) for _ in range(5)))
            assert len(first.requests) == 4
            await ask(client)
            assert len(first.requests) == 5


async def test_each_endpoint_gets_its_own_model_key_and_headers():
    """And the caller's words are the same; a key may be a function, asked each time."""
    asked = []

    def key():
        asked.append(1)
        return KEYS[1]

    async with no_leaks(), OpeAIServer(api_key=KEYS[0]) as first, OpeAIServer(api_key=KEYS[1]) as second:
        first.fail(500, times=None)
        made = [
            Endpoint(base_url=first.base_url, api_key=KEYS[0], model={"chat": "big"}),
            Endpoint(base_url=second.base_url, api_key=key, model="other", tier=1, headers={"X-Own": "1"}),
        ]
        async with AsyncOpeAI(endpoints=Endpoints(made)) as client:
            for _ in range(2):
                await client.chat.completions.create(**{**ASK, "model": "chat"})
        assert first.requests[0].json["model"] == "big"
        assert second.requests[0].json["model"] == "other"
        assert (first.requests[0].headers.get("x-own"), second.requests[0].headers.get("x-own")) == (None, "1")
        assert len(asked) == 2
        for secret in KEYS:
            assert secret not in repr((made, client, Endpoints(made)))


async def test_a_key_that_has_ended_is_asked_for_again():
    """At the same endpoint, once, by a coroutine function too; nobody else is asked."""
    keys = iter(["sk-old-0123456789abcdef", KEYS[1], KEYS[1]])

    async def key():
        await asyncio.sleep(0)
        return next(keys)

    async with no_leaks(), OpeAIServer(api_key=KEYS[1]) as first, OpeAIServer() as second:
        made = [
            Endpoint(base_url=first.base_url, api_key=key, name="first"),
            Endpoint(base_url=second.base_url, api_key="sk-test", name="second", tier=1),
        ]
        async with AsyncOpeAI(endpoints=Endpoints(made)) as client:
            for errors in (["AuthenticationError", None], [None]):
                completion = await ask(client)
                assert tries(completion.meta) == [("first", error) for error in errors]


@pytest.mark.parametrize("fails_at", [1, 2])
async def test_where_there_is_no_key_another_endpoint_answers(fails_at):
    """Whether the function fails at first, or when it is asked again after a 401; its error is shown to nobody."""
    asked = []

    def key():
        asked.append(1)
        if len(asked) == fails_at:
            raise OSError("no vault")
        return "sk-old-0123456789abcdef"

    async with no_leaks(), OpeAIServer(api_key=KEYS[1]) as first, OpeAIServer() as second:
        made = [
            Endpoint(base_url=first.base_url, api_key=key, name="first"),
            Endpoint(base_url=second.base_url, api_key="sk-test", name="second", tier=1),
        ]
        async with AsyncOpeAI(endpoints=Endpoints(made)) as client:
            completion = await ask(client)
        error = {1: "ConfigurationError", 2: "AuthenticationError"}[fails_at]
        assert tries(completion.meta) == [("first", error), ("second", None)]
        assert len(asked) == fails_at


async def test_what_with_options_makes_sees_the_same_servers():
    """An endpoint that is ejected is so for all; bounds are shared; closing one of them closes nothing."""
    policy = EndpointPolicy(failures_in_row=1, eject_s=60)
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.fail(503, times=None)
        async with client_of(first, second, policy=policy) as client:
            await ask(client)
            other = client.with_options(max_retries=0, default_headers={"X-Team": "b"})
            async with other:
                completion = await ask(other)
            assert tries(completion.meta) == [("s1", None)]
            assert second.requests[-1].headers["x-team"] == "b"
            assert tries((await ask(client)).meta) == [("s1", None)]
        assert len(first.requests) == 1


async def test_no_error_shows_the_key_of_any_endpoint():
    """Whoever echoes it: a shared gateway may know both."""
    async with no_leaks(), OpeAIServer(api_key=KEYS[0]) as first, OpeAIServer(api_key=KEYS[1]) as second:
        first.fail(500, message=f"{KEYS[0]} {KEYS[1]}", times=None)
        second.fail(500, message=f"{KEYS[0]} {KEYS[1]}", times=None)
        made = [
            Endpoint(base_url=server.base_url, api_key=key, tier=tier)
            for tier, (server, key) in enumerate(zip((first, second), KEYS, strict=True))
        ]
        async with AsyncOpeAI(endpoints=Endpoints(made), max_retries=0) as client:
            with pytest.raises(InternalServerError) as caught:
                await ask(client)
        for secret in KEYS:
            assert secret not in f"{caught.value!r} {caught.value.__notes__} {vars(caught.value)}"


async def test_an_iterator_of_messages_is_read_once():
    """Though two endpoints get them."""
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second, client_of(first, second) as client:
        first.fail(500)
        await client.chat.completions.create(model="m", messages=iter(ASK["messages"]))
        assert first.requests[0].json["messages"] == second.requests[0].json["messages"] == ASK["messages"]


async def test_calls_of_a_user_stay_together():
    """Prompt caches live on servers."""
    async with no_leaks(), OpeAIServer() as a, OpeAIServer() as b, OpeAIServer() as c:
        async with client_of(a, b, c, tiers=False) as client:
            for user in range(12):
                for _ in range(3):
                    await ask(client, user=f"user-{user}")
            for server in (a, b, c):
                users = [request.json["user"] for request in server.requests]
                assert len(users) == 3 * len(set(users))


async def test_one_endpoint_costs_what_a_base_url_costs():
    """There is no pool."""
    async with OpeAIServer() as server, client_of(server) as client:
        completion = await ask(client)
        assert client._wiring.pool is None
        assert completion.meta.attempts[0].endpoint is None


@pytest.mark.parametrize("options", [{"base_url": "http://localhost/v1"}, {"api_key": "sk-x"}])
def test_endpoints_stand_for_base_url_and_key(options):
    """Both at once mean nothing."""
    with pytest.raises(ConfigurationError, match="endpoints="):
        AsyncOpeAI(endpoints=Endpoints([Endpoint(base_url="http://localhost/v1", api_key="k")]), **options)


def test_one_client_has_one_proxy(monkeypatch):
    """Where the environment names it for some endpoints only, none of them is passed by in silence."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "near.example")
    near, far, farther = (
        Endpoint(base_url=f"https://{name}.example/v1", api_key="sk-x") for name in ("near", "far", "farther")
    )
    AsyncOpeAI(endpoints=Endpoints([far, farther]), proxy="env")
    with pytest.raises(ConfigurationError, match="for some of the endpoints"):
        AsyncOpeAI(endpoints=Endpoints([near, far]), proxy="env")


NEAR = Endpoints([Endpoint(base_url="http://localhost/v1", api_key="sk-x")])
FAR = Endpoints([*NEAR.endpoints, Endpoint(base_url="http://far.example/v1", api_key="sk-x", tier=1)])


def test_http_to_another_machine_is_allowed_by_name():
    """For one endpoint, or for the whole client."""
    AsyncOpeAI(endpoints=FAR, allow_insecure_http=True)
    far = Endpoint(base_url="http://far.example/v1", api_key="sk-x", tier=1, allow_insecure_http=True)
    for made in ([*NEAR.endpoints, far], [far, *NEAR.endpoints]):
        assert AsyncOpeAI(endpoints=Endpoints(made)).with_options(max_retries=0).base_url == made[0].base_url


def test_what_cannot_be_meant_is_refused():
    """With what was expected."""
    for make in (
        lambda: Endpoints([]),
        lambda: Endpoints([Endpoint(base_url="http://localhost")], on_break="perhaps"),
        lambda: Endpoint(base_url="http://localhost", weight=0),
        lambda: Endpoint(base_url="http://localhost", max_concurrency=0),
        lambda: Endpoint(base_url="http://localhost", max_concurrency="automatic"),
        lambda: AsyncOpeAI(endpoints=FAR),
        lambda: AsyncOpeAI(endpoints=NEAR).with_options(base_url="http://localhost/v1"),
    ):
        with pytest.raises(ConfigurationError):
            make()


async def test_an_endpoint_that_says_that_its_limit_is_used_up_is_asked_after_others():
    """Though it has just answered well; when the limit is renewed, it is asked again."""
    used_up = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0"}
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second, client_of(first, second) as client:
        first.reply("one", headers={**used_up, "x-ratelimit-reset-requests": "300ms"})
        for _ in range(3):
            await ask(client)
        assert (len(first.requests), len(second.requests)) == (1, 2)
        await asyncio.sleep(0.35)
        await ask(client)
        assert len(first.requests) == 2


async def test_a_bound_that_is_learnt():
    """A server that refuses what is beyond four at once: soon it is asked for little more, and answers all."""
    at_work = refused = 0

    async def handler(request):
        nonlocal at_work, refused
        if at_work >= 4:
            refused += 1
            return Failure(503)
        at_work += 1
        try:
            await asyncio.sleep(0.01)
        finally:
            at_work -= 1
        return Reply(WORDS)

    async with no_leaks(), OpeAIServer() as server:
        server.handle(handler)
        async with client_of(server, max_concurrency="auto", client={"retry": RetryPolicy(max_retries=20)}) as client:
            slots = client._wiring.pool.routes[0].slots
            seen = []

            async def some():
                for _ in range(15):
                    completion = await ask(client)
                    assert completion.choices[0].message.content == WORDS
                    seen.append(len(completion.meta.attempts))

            await asyncio.gather(*(some() for _ in range(20)))
            assert slots.bound < 8  # where it began
            assert not slots.is_full
        assert len(server.requests) == 300 + refused
        assert sum(seen[:100]) > sum(seen[-100:])


async def test_a_bound_of_open_answers_makes_calls_wait_in_order():
    """And who waits too long is told the place in line."""
    async with no_leaks(), OpeAIServer() as server:
        server.reply("slow", delay_s=0.1, times=None)
        async with client_of(server, max_concurrency=1) as client:
            ends = []

            async def call(number):
                await ask(client)
                ends.append(number)

            await asyncio.gather(*(call(number) for number in range(4)))
            assert ends == [0, 1, 2, 3]
            late = asyncio.gather(
                *(ask(client, timeouts=Timeouts(pool_s=0.05)) for _ in range(3)), return_exceptions=True
            )
            results = await late
            assert [type(result).__name__ for result in results[1:]] == ["PoolTimeoutError"] * 2
            assert "number 1 in line" in str(results[1])
            assert isinstance(results[2], PoolTimeoutError)


# --- after content was handed out ------------------------------------------------------------------------------------


def continuing(text, flag="prefix"):
    async def handler(request):
        last = request.json["messages"][-1]
        if last["role"] != "assistant":
            return Reply(text)
        assert flag in {**last, **request.json} or flag == "assistant_last"
        return Reply(text[len(last["content"]) :])

    return handler


WAYS = {
    "prefix": Capabilities(prefix=True),
    "continue_final_message": Capabilities(continue_final_message=True),
    "assistant_last": Capabilities(assistant_last=True),
    "anew": Capabilities(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", ["fin", "rst", "clean"])
async def test_an_answer_goes_on_at_every_cut(way, how):
    """Wherever it breaks, by whichever way it goes on: each character once."""
    chance = random.Random(f"{way}{how}")
    text = "".join(chance.choice("abc \n\u00e9\U0001f600") for _ in range(60)).strip() + "."
    words = 1 + len(text.split(" "))
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        second.handle(continuing(text, way))
        policy = EndpointPolicy(failures_in_row=10**6, failure_share=2)
        async with client_of(first, second, capabilities=WAYS[way], policy=policy) as client:
            for after in range(2, words + 1):
                first.cut(text, after=after, how=how)
                async with client.chat.completions.stream(**ASK) as stream:
                    got = "".join([piece async for piece in stream.text()])
                assert got == stream.snapshot.choices[0].message.content == text
                assert stream.outcome is Outcome.COMPLETE
                if stream.continued:
                    assert stream.continued[0].endpoint == "s1"
                    assert stream.continued[0].way in (way, "anew")


async def test_a_break_is_gone_on_with_again():
    """By the third where the second breaks, too."""
    async with no_leaks(), OpeAIServer() as a, OpeAIServer() as b, OpeAIServer() as c:
        a.cut(WORDS, after=2)

        async def once_more(request):
            return Reply(WORDS[len(request.json["messages"][-1]["content"]) :], ending="rst", after=3)

        b.handle(once_more)
        c.handle(continuing(WORDS))
        async with client_of(a, b, c, capabilities=Capabilities(prefix=True)) as client:
            async with client.chat.completions.stream(**ASK) as stream:
                got = "".join([piece async for piece in stream.text()])
            assert got == WORDS
            assert [(record.endpoint, record.way) for record in stream.continued] == [
                ("s1", "prefix"),
                ("s2", "prefix"),
            ]


async def test_a_server_that_begins_anew_instead_is_found_out():
    """It is asked anew then, and what comes begins with what was handed out."""
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.cut(WORDS, after=4)
        second.reply(WORDS, times=None)
        async with client_of(first, second, capabilities=Capabilities(prefix=True)) as client:
            async with client.chat.completions.stream(**ASK) as stream:
                got = "".join([piece async for piece in stream.text()])
            assert (got, stream.continued[-1].way) == (WORDS, "anew")
            assert len(second.requests) == 2


async def test_a_server_that_refuses_the_way_is_asked_anew():
    """And not by that way again."""
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:

        async def refuses(request):
            return Failure(400) if request.json["messages"][-1]["role"] == "assistant" else Reply(WORDS)

        second.handle(refuses)
        async with client_of(first, second, capabilities=Capabilities(prefix=True)) as client:
            for _ in range(2):
                first.cut(WORDS, after=4)
                async with client.chat.completions.stream(**ASK) as stream:
                    assert (await stream.completion()).choices[0].message.content == WORDS
            assert len(second.requests) == 3


async def test_what_cannot_be_joined_raises_with_the_partial():
    """The error of the break, with what was handed out, and a note of what was tried."""
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.cut(WORDS, after=4)
        second.reply("something else", times=None)
        async with client_of(first, second) as client:
            stream = client.chat.completions.stream(**ASK)
            got = []

            async def read():
                async for piece in stream.text():
                    got.append(piece)  # noqa: PERF401 - what came before the error is wanted

            with pytest.raises(StreamInterruptedError) as caught:
                await read()
            assert "".join(got) == caught.value.partial.choices[0].message.content == "one two three"
            assert stream.outcome is Outcome.FAILED
            assert [attempt.endpoint for attempt in caught.value.attempts][:2] == ["s0", "s1"]


async def test_on_break_raise_is_as_with_one_endpoint():
    """After content; before it, the other one is asked all the same."""
    async with (
        no_leaks(),
        OpeAIServer() as first,
        OpeAIServer() as second,
        client_of(first, second, on_break="raise") as client,
    ):
        first.cut(WORDS, after=4)
        with pytest.raises(StreamInterruptedError):
            async with client.chat.completions.stream(**ASK) as stream:
                await stream.completion()
        first.cut(WORDS, after=1)
        async with client.chat.completions.stream(**ASK) as stream:
            await stream.completion()
        assert len(second.requests) == 1


@pytest.mark.parametrize("on_break", ["continue", "restart"])
async def test_an_answer_that_is_read_whole_is_begun_anew(on_break):
    """Nobody has seen the beginning, so another answer does as well; where it goes on, it does."""
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.cut([WORDS, WORDS], after=6)
        second.reply(["other one", "other two"], times=None)
        async with client_of(first, second, on_break=on_break) as client:
            async with client.chat.completions.stream(**ASK, n=2) as stream:
                completion = await stream.completion()
            contents = [choice.message.content for choice in completion.choices]
            assert contents == ["other one", "other two"]


async def test_own_limits_are_kept():
    """Two a second: the third and fourth call go elsewhere, and where all are used up, calls wait."""
    from opeai_async import RateLimit

    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        limit = RateLimit(requests_per_minute=240, burst_s=0.5)
        async with client_of(first, second, limit=limit) as client:
            begun = asyncio.get_running_loop().time()
            await asyncio.gather(*(ask(client) for _ in range(8)))
            took = asyncio.get_running_loop().time() - begun
            assert took >= 0.4
            assert min(len(first.requests), len(second.requests)) >= 2
            with pytest.raises(RateLimitError, match="its limit allows"):
                await asyncio.gather(*(ask(client, timeouts=Timeouts(total_s=0.3)) for _ in range(20)))
