"""What observers are told of calls over endpoints: every try, at whichever of them, with its call."""

import asyncio

import pytest

from opeai_async import AsyncOpeAI, Capabilities, Endpoint, Endpoints, Hedge, InternalServerError
from opeai_async.testing import OpeAIServer
from tests.io.endpoints.test_routed import ASK, WORDS, continuing
from tests.support.leaks import no_leaks
from tests.support.telemetry.conventions import strays
from tests.support.telemetry.listener import Listener

ALWAYS = Hedge(after=0.05, budget=1.0)


def watched(*servers, observers, hedge=None, **options):
    endpoints = [
        Endpoint(
            base_url=server.base_url,
            api_key=server.api_key,
            name=f"s{number}",
            model={"chat": f"own-{number}"},
            tier=number,
            capabilities=Capabilities(prefix=True),
        )
        for number, server in enumerate(servers)
    ]
    return AsyncOpeAI(endpoints=Endpoints(endpoints, hedge=hedge), observers=observers, **options)


CHAT = {**ASK, "model": "chat"}


def told(listener):
    """Each try as (event, number, endpoint), in order; all of them, and all else, are of one call."""
    (call,) = listener.of("call_started")
    heard = []
    for name, record in listener.heard[1:]:
        assert record.call == call
        if name == "attempt_started":
            heard.append(("began", record.number, record.endpoint))
        elif name == "attempt_ended":
            heard.append((record.attempt.error or "ended", record.attempt.number, record.attempt.endpoint))
    assert listener.names[-1] == "call_ended"
    return heard


def headers_of(*servers):
    """The try and the call that each request names."""
    found = [request.headers for server in servers for request in server.requests]
    return [(int(headers["x-opeai-attempt"]), headers["idempotency-key"]) for headers in found]


async def test_a_call_that_goes_elsewhere():
    """Both tries, by the caller's name of the model; the record says who answered."""
    listener = Listener()
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.fail(503)
        async with watched(first, second, observers=[listener]) as client:
            await client.chat.completions.create(**CHAT)
        assert told(listener) == [
            ("began", 1, "s0"),
            ("InternalServerError", 1, "s0"),
            ("began", 2, "s1"),
            ("ended", 2, "s1"),
        ]
        (retry,) = listener.of("retry_scheduled")
        assert (retry.number, retry.delay_s, retry.error) == (2, 0.0, "InternalServerError")
        record = listener.record
        assert (record.call.model, record.call.url) == ("chat", f"{first.base_url}/chat/completions")
        assert (record.endpoint, record.url) == ("s1", f"{second.base_url}/chat/completions")
        assert headers_of(first, second) == [(1, record.call_id), (2, record.call_id)]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_hedge_that_wins(stream):
    """The second try has a number of its own; the first is told as cancelled; the times add up to the call's."""
    listener = Listener()
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.stall("no", after=0, times=None) if stream else first.fault("head_stall", times=None)
        second.reply("yes", times=None)
        async with watched(first, second, observers=[listener], hedge=ALWAYS) as client:
            if stream:
                async with client.chat.completions.stream(**CHAT) as answer:
                    await answer.completion()
            else:
                await client.chat.completions.create(**CHAT)
        events = told(listener)
        assert [event for event in events if event[0] == "began"] == [("began", 1, "s0"), ("began", 2, "s1")]
        assert {event[1:] for event in events if event[0] != "began"} == {(1, "s0"), (2, "s1")}
        record = listener.record
        assert [(a.number, a.endpoint, a.error) for a in record.attempts] == [
            (1, "s0", "CancelledError"),
            (2, "s1", None),
        ]
        assert (record.outcome, record.endpoint, record.url) == (
            "complete",
            "s1",
            f"{second.base_url}/chat/completions",
        )
        assert headers_of(first, second) == [(1, record.call_id), (2, record.call_id)]
        waits = record.waits
        parts = (waits.slot_s, waits.retry_s, waits.head_s, waits.first_content_s, waits.server_s, waits.consumer_s)
        assert waits.retry_s >= 0.04  # the hedge waited for the first one
        assert sum(parts) <= record.duration_s + 0.001


async def test_a_hedge_that_loses():
    """Its try is told too, and is no part of the call's time."""
    listener = Listener()
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.reply("first one", delay_s=0.2)
        second.stall("no", after=0, times=None)
        async with watched(first, second, observers=[listener], hedge=ALWAYS) as client:
            completion = await client.chat.completions.create(**CHAT)
        assert completion.choices[0].message.content == "first one"
        assert {event[1:] for event in told(listener)} == {(1, "s0"), (2, "s1")}
        record = listener.record
        assert [(a.number, a.error) for a in record.attempts] == [(2, "CancelledError"), (1, None)]
        assert (record.endpoint, record.waits.retry_s) == ("s0", 0.0)


async def test_numbers_are_never_given_twice():
    """The first one fails and goes elsewhere while the hedge is under way."""
    listener = Listener()
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second, OpeAIServer() as third:
        first.fail(503, delay_s=0.15)
        second.stall("no", after=0, times=None)
        third.reply("yes", delay_s=0.1)
        async with watched(first, second, third, observers=[listener], hedge=ALWAYS) as client:
            await client.chat.completions.create(**CHAT)
        began = [(number, endpoint) for event, number, endpoint in told(listener) if event == "began"]
        assert began == [(1, "s0"), (2, "s1"), (3, "s2")]
        assert sorted(number for number, _ in headers_of(first, second, third)) == [1, 2, 3]


async def test_where_a_hedged_call_is_cancelled():
    """Both tries are told before the call's end is."""
    listener = Listener()
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        for server in (first, second):
            server.fault("head_stall", times=None)
        async with watched(first, second, observers=[listener], hedge=ALWAYS) as client:
            task = asyncio.create_task(client.chat.completions.create(**CHAT))
            await asyncio.gather(first.wait_received(), second.wait_received())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert sorted(told(listener)) == [
            ("CancelledError", 1, "s0"),
            ("CancelledError", 2, "s1"),
            ("began", 1, "s0"),
            ("began", 2, "s1"),
        ]
        assert listener.record.outcome == "cancelled"


async def test_an_answer_that_is_gone_on_with():
    """One call, one first content, two tries; the record says where it broke off."""
    listener = Listener()
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.cut(WORDS, after=4, how="rst")
        second.handle(continuing(WORDS))
        async with (
            watched(first, second, observers=[listener]) as client,
            client.chat.completions.stream(**CHAT) as stream,
        ):
            assert (await stream.completion()).choices[0].message.content == WORDS
        assert told(listener) == [("began", 1, "s0"), ("ended", 1, "s0"), ("began", 2, "s1"), ("ended", 2, "s1")]
        assert len(listener.of("first_content")) == 1
        record = listener.record
        assert (record.outcome, record.endpoint, record.continued) == ("complete", "s1", stream.continued)
        assert [attempt.error for attempt in record.attempts] == ["StreamInterruptedError", None]


async def test_one_endpoint_is_told_as_a_base_url_is():
    """Nothing of endpoints."""
    listener = Listener()
    async with OpeAIServer() as server, watched(server, observers=[listener]) as client:
        await client.chat.completions.create(**CHAT)
    record = listener.record
    assert (record.endpoint, record.url, record.continued) == (None, None, ())
    assert told(listener) == [("began", 1, None), ("ended", 1, None)]


async def test_opentelemetry():
    """One span per call, below it an event per try; requests bear the same trace; labels name who answered."""
    collected = pytest.importorskip("tests.support.telemetry.collected").Collected()
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.cut(WORDS, after=4, how="rst")
        second.handle(continuing(WORDS))
        async with watched(first, second, observers=[collected.observer]) as client:
            async with client.chat.completions.stream(**CHAT) as stream:
                await stream.completion()
            span, attributes = collected.span, collected.attributes
            assert (span.name, attributes["opeai.endpoint"], attributes["opeai.continued"]) == ("chat chat", "s1", 1)
            assert attributes["server.port"] == int(second.base_url.rpartition(":")[2].partition("/")[0])
            assert [event.attributes["opeai.endpoint"] for event in span.events] == ["s0", "s1"]
            assert not strays(attributes)
            traces = {request.headers["traceparent"] for request in (*first.requests, *second.requests)}
            assert len(traces) == 1
            told_of = {(labels["opeai.endpoint"], count) for labels, count in collected.points("opeai.client.attempts")}
            assert told_of == {("s0", 1), ("s1", 1)}
        assert collected.observer.open_spans == 0
    async with OpeAIServer() as first, OpeAIServer() as second:
        first.fault("head_stall", times=None)
        async with watched(first, second, observers=[collected.observer], hedge=ALWAYS) as client:
            await client.chat.completions.create(**CHAT)
        events = collected.spans[-1].events
        assert {(event.attributes["opeai.endpoint"], event.attributes.get("error.type")) for event in events} == {
            ("s0", "CancelledError"),
            ("s1", None),
        }
    collected.close()


async def test_prometheus():
    """A try counts for its endpoint, a call for the one that answered."""
    prometheus = pytest.importorskip("prometheus_client")
    from opeai_async.telemetry import PrometheusObserver

    registry = prometheus.CollectorRegistry()

    def value(name, **labels):
        return registry.get_sample_value(name, {"model": "chat", **labels})

    async with OpeAIServer() as first, OpeAIServer() as second:
        first.fail(503, times=None)
        async with watched(first, second, observers=[PrometheusObserver(registry)]) as client:
            await client.chat.completions.create(**CHAT)
            second.fail(500, times=None)
            with pytest.raises(InternalServerError):
                await client.with_options(max_retries=0).chat.completions.create(**CHAT)
    assert value("opeai_attempts_total", endpoint="s0", status="503", error_type="InternalServerError") == 2
    assert value("opeai_attempts_total", endpoint="s1", status="200", error_type="") == 1
    assert value("opeai_calls_total", endpoint="s1", outcome="complete", error_type="") == 1


async def test_the_log(caplog):
    """Its lines name the endpoint that was asked."""
    caplog.set_level("INFO", logger="opeai_async")
    async with OpeAIServer() as first, OpeAIServer() as second:
        first.fail(503)
        async with watched(first, second, observers=()) as client:
            await client.chat.completions.create(**CHAT)
    lines = [record for record in caplog.records if record.getMessage().startswith(("attempt:", "completion:"))]
    assert [record.endpoint for record in lines] == ["s0", "s1", "s1"]
    assert ["host=s0" in lines[0].getMessage(), "host=s1" in lines[-1].getMessage()] == [True, True]
