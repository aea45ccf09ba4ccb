"""What is built on streams works over endpoints without a word about them; and a soak that counts each request."""

import asyncio
import json
import random
from collections import Counter

import msgspec
import pytest

from opeai_async import (
    AsyncOpeAI,
    Capabilities,
    Endpoint,
    EndpointPolicy,
    Endpoints,
    Hedge,
    OpeAIError,
    StreamInterruptedError,
    StreamSession,
    Timeouts,
    sse,
    tool,
)
from opeai_async.testing import Failure, OpeAIServer, Raw, Reply
from tests.io.endpoints.test_routed import ASK, WORDS, client_of, continuing
from tests.support.leaks import no_leaks

PREFIX = Capabilities(prefix=True)


def content_of(frames):
    """The content that *frames*, as they go to a browser, bring."""
    return "".join(frame["text"] for frame in frames if frame["type"] == "content")


@pytest.fixture
async def broken():
    """A client whose first endpoint breaks off after three words, and whose second one goes on."""
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.cut(WORDS, after=4, how="rst")
        second.handle(continuing(WORDS))
        async with client_of(first, second, capabilities=PREFIX) as client:
            yield client


async def test_relay(broken):
    """A browser sees one answer."""
    sent = []

    async def send(text):
        sent.append(json.loads(text))

    result = await broken.chat.completions.stream(**ASK).relay(send)
    assert (result.reason, content_of(sent)) == ("completed", WORDS)
    assert [frame["type"] for frame in sent].count("start") == 1


async def test_sse(broken):
    """And so does a reader of server-sent events."""
    body = b"".join([event async for event in sse(broken.chat.completions.stream(**ASK))]).decode()
    frames = [json.loads(line.removeprefix("data: ")) for line in body.split("\n") if line.startswith("data: ")]
    assert (content_of(frames), frames[-1]["type"]) == (WORDS, "done")


async def test_session(broken):
    """A session is kept and read as ever."""
    async with StreamSession.start(broken.chat.completions.stream(**ASK)) as session:
        assert (await session.completion()).choices[0].message.content == WORDS


async def test_parse(broken):
    """JSON is asked for anew, and the whole of it is checked."""

    class Answer(msgspec.Struct):
        answer: str

    async with OpeAIServer() as first, OpeAIServer() as second, client_of(first, second) as client:
        first.cut('{"answer": "forty two"}', after=2)
        second.reply('{"answer": "forty two"}', times=None)
        async with client.chat.completions.stream(**ASK, response_format=Answer) as stream:
            values = [value async for value in stream.partials()]
            assert values[-1] == {"answer": "forty two"}
            assert (await stream.completion()).choices[0].message.parsed == Answer("forty two")


async def test_run():
    """A call of a tool that was cut is begun anew, and runs once."""
    ran = []

    @tool
    def weather(city: str) -> str:
        """Tell the weather.

        Args:
            city: Where.
        """
        ran.append(city)
        return "sun"

    call = [("weather", {"city": "Paris"})]
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.cut("Let me look.", tool_calls=call, after=5, how="rst")
        second.reply("Let me look.", tool_calls=call)
        second.reply("Sunny in Paris.")
        first.fail(503, times=None)
        async with client_of(first, second) as client:
            async with client.chat.completions.run(tools=[weather], **ASK) as run:
                result = await run.result()
            assert result.completions[-1].choices[0].message.content == "Sunny in Paris."
            assert ran == ["Paris"]


async def test_map():
    """A bulk run is answered by whoever is well; each question once, and none by both."""
    questions = [{"model": "m", "messages": [{"role": "user", "content": f"question {n}"}]} for n in range(40)]

    async def echo(request):
        return Reply(request.json["messages"][-1]["content"])

    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.fail(503, times=None)
        second.handle(echo)
        async with client_of(first, second) as client:
            results = [result async for result in client.chat.completions.map(questions, concurrency=4, ordered=True)]
        assert [result.error for result in results] == [None] * 40
        told = [result.completion.choices[0].message.content for result in results]
        assert told == [f"question {n}" for n in range(40)]
        assert sorted(request.json["messages"][-1]["content"] for request in second.requests) == sorted(told)
        # It is left alone after three failures.
        assert 3 <= len(first.requests) < 10


async def test_an_answer_of_images_alone():
    """It is an answer, though it has no text: nobody else is asked."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}, "index": 0}

    def event(delta, finish=None):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"

    async def draw(_):
        return Raw((event({"role": "assistant", "images": [image]}) + event({}, "stop") + b"data: [DONE]\n\n",))

    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.handle(draw)
        second.reply("nothing to see")
        async with client_of(first, second) as client:
            completion = await client.chat.completions.stream(**ASK).completion()
        assert completion.choices[0].message.extra["images"] == [image]
        assert not second.requests


async def test_a_soak():
    """Endpoints that die, break, slow down and come back: each call ends, and each request is accounted for."""
    chance, calls = random.Random(7), 400

    def fate(text):
        async def handler(request):
            last = request.json["messages"][-1]
            rest = text[len(last["content"]) :] if last["role"] == "assistant" else text
            draw = chance.random()
            if draw < 0.05:
                return Failure(chance.choice([429, 500, 503]))
            if draw < 0.12:
                return Reply(rest, ending=chance.choice(["rst", "fin", "clean"]), after=chance.randrange(1, 5))
            return Reply(rest, delay_s=0.1 if draw < 0.15 else 0)

        return handler

    async with no_leaks(), OpeAIServer() as a, OpeAIServer() as b, OpeAIServer() as c:
        for server in (a, b, c):
            server.handle(fate(WORDS))
        made = [
            Endpoint(base_url=server.base_url, api_key="sk-test", name=str(number), capabilities=PREFIX)
            for number, server in enumerate((a, b, c))
        ]
        endpoints = Endpoints(made, policy=EndpointPolicy(eject_s=0.05, max_eject_s=0.2), hedge=Hedge(after=0.05))
        ends, attempts = Counter(), []
        async with AsyncOpeAI(endpoints=endpoints, timeouts=Timeouts(total_s=10)) as client:

            async def one():
                stream = client.chat.completions.stream(**ASK)
                try:
                    got = "".join([piece async for piece in stream.text()])
                    assert got == WORDS
                    attempts.extend(stream.meta.attempts)
                    ends["well"] += 1
                except OpeAIError as exc:
                    attempts.extend(exc.attempts)
                    ends["failed"] += 1
                finally:
                    await stream.aclose()

            async def some():
                for _ in range(calls // 8):
                    await one()

            await asyncio.gather(*(some() for _ in range(8)))
            pool = client._wiring.pool
            assert all(route.health.in_flight == 0 for route in pool.routes)
        assert ends.total() == calls
        assert ends["well"] >= 0.99 * calls
        sent = Counter(attempt.endpoint for attempt in attempts)
        # A hedge that is given up before it has a connection is never seen.
        unsent = Counter(a.endpoint for a in attempts if a.error == "CancelledError" and a.status_code is None)
        for number, server in enumerate((a, b, c)):
            assert sent[str(number)] - unsent[str(number)] <= len(server.requests) <= sent[str(number)]


async def test_events(broken):
    """They say where and by whom the answer is gone on with, between what was handed out and what follows."""
    async with broken.chat.completions.stream(**ASK) as stream:
        events = [event async for event in stream.events()]
    kinds = [event.type for event in events if event.type in ("content.delta", "stream.continued", "content.done")]
    assert kinds == ["content.delta"] * 3 + ["stream.continued"] + ["content.delta"] * 3 + ["content.done"]
    told = next(event for event in events if event.type == "stream.continued")
    assert (told.after_chars, told.endpoint, told.way) == (13, "s1", "prefix")


CALLS = [("weather", {"city": "Paris in spring"}), ("time", {"city": "Rome"})]


async def test_a_call_that_was_cut_is_begun_anew_and_said_so():
    """No arguments were handed out, so none have to be taken back; an event names all that had begun."""
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.cut("Let me look.", tool_calls=CALLS, after=14, how="rst")

        async def goes_on(request):
            said = request.json["messages"][-1]["content"]
            return Reply("Let me look."[len(said) :] or None, tool_calls=CALLS[:1])

        second.handle(goes_on)
        async with client_of(first, second, capabilities=PREFIX) as client:
            async with client.chat.completions.stream(**ASK) as stream:
                events = [event async for event in stream.events()]
                (call,) = (await stream.completion()).choices[0].message.tool_calls
        assert (call.function.name, json.loads(call.function.arguments)) == CALLS[0]
        deltas = [event.delta for event in events if event.type == "tool_calls.function.arguments.delta"]
        assert json.loads("".join(deltas)) == CALLS[0][1]
        (told,) = [event for event in events if event.type == "stream.continued"]
        assert told.calls_anew == ("weather", "time")
        assert [record.calls_anew for record in stream.continued] == [("weather", "time")]


async def test_calls_come_piece_by_piece_where_nobody_goes_on():
    """And what came of one that was cut is in the partial answer."""
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.cut("Let me look.", tool_calls=CALLS, after=14, how="rst")
        async with (
            client_of(first, second, on_break="raise") as client,
            client.chat.completions.stream(**ASK) as stream,
        ):
            with pytest.raises(StreamInterruptedError) as caught:
                await stream.completion()
        assert caught.value.partial.choices[0].message.tool_calls[0].function.name == "weather"
        assert not second.requests
