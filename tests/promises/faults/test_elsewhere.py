"""Every fault as the fate of the first of two endpoints: what a user of the client sees of it, and what not."""

from __future__ import annotations

import json
import ssl
import sys
from typing import Any

import pytest

import opeai_async
from opeai_async import AsyncOpeAI, Capabilities, Endpoints, OpeAIError, Timeouts
from opeai_async.testing import FAULTS, Endpoint, Fault, OpeAIServer, RecordedRequest, Reply
from tests.promises.faults.matrix import AT_STAGE, CLOCK_S, MAX_EVENT_BYTES, WITH_REQUEST, ids
from tests.support.clients import rewire
from tests.support.leaks import no_leaks

pytestmark = pytest.mark.time_limit(20)

CONTENT = "one two three four five six"
REASONING = "first of all let me think"
ARGUMENTS = {"city": "Paris", "unit": "celsius"}
KINDS = ("text", "reasoning", "tools")
ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
WHOLE: dict[str, dict[str, Any]] = {
    "text": {"content": CONTENT},
    "reasoning": {"content": CONTENT, "reasoning": REASONING},
    "tools": {"content": None, "tool_calls": [("get_weather", ARGUMENTS)]},
}

# What the caller has done, or does not allow, such as an answer without end: nobody else could do better.
OWN = {"status_400", "error_stall", "status_413", "status_422", "trickle_for_ever", "flood"}


async def goes_on(request: RecordedRequest, kind: str) -> Reply:
    """An endpoint with the same model that knows ``prefix``."""
    last = request.json["messages"][-1]
    if last["role"] == "assistant":
        assert last["prefix"] is True
        return Reply(CONTENT[len(last["content"]) :])
    return Reply(**WHOLE[kind])


async def told(
    first_url: str, second: OpeAIServer, *, clock_s: float = CLOCK_S, ssl_context: ssl.SSLContext | None = None
) -> tuple[Any, ...]:
    """What a user sees: content, reasoning, calls, as events and as a message, and the error."""
    endpoints = Endpoints(
        [
            opeai_async.Endpoint(base_url=first_url, api_key="sk-test", name="first"),
            opeai_async.Endpoint(
                base_url=second.base_url,
                api_key="sk-test",
                name="second",
                tier=1,
                capabilities=Capabilities(prefix=True),
            ),
        ]
    )
    clocks = dict.fromkeys(("connect_s", "response_headers_s", "first_content_s", "idle_content_s"), clock_s)
    timeouts = Timeouts(**clocks, idle_bytes_s=clock_s, finish_grace_s=CLOCK_S, total_s=4)
    options: dict[str, Any] = {"timeouts": timeouts, "max_event_bytes": MAX_EVENT_BYTES, "ssl_context": ssl_context}
    async with AsyncOpeAI(endpoints=endpoints, **options) as client:
        rewire(client, jitter=lambda: 0.0)
        content = reasoning = arguments = ""
        error = None
        stream = client.chat.completions.stream(**ASK)
        try:
            async for event in stream.events():
                if event.type == "content.delta" and not event.choice:
                    content += event.delta
                elif event.type == "reasoning.delta":
                    reasoning += event.delta
                elif event.type == "tool_calls.function.arguments.delta":
                    arguments += event.delta
        except OpeAIError as exc:
            error = exc
        finally:
            await stream.aclose()
        for route in client._wiring.pool.routes:  # whatever became of it, each attempt has left, once
            assert (route.health.in_flight, route.slots.taken) == (0, 0)
        message = stream.snapshot.choices[0].message if stream.snapshot.choices else None
        if message is not None:  # what was handed out is what is remembered
            assert (message.content or "", message.reasoning_content or "") == (content, reasoning)
        return content, reasoning, arguments, error, stream


def is_whole(kind: str, content: str, reasoning: str, arguments: str) -> bool:
    if kind == "tools":
        return content == "" and json.loads(arguments or "0") == ARGUMENTS  # twice the same is no JSON
    return (content, reasoning) == (CONTENT, REASONING if kind == "reasoning" else "")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("after", [1, 4], ids=["before content", "after three words"])
@pytest.mark.parametrize("fault", WITH_REQUEST, ids=ids(WITH_REQUEST))
async def test_a_fault_of_the_first_is_not_seen(fault: Fault, after: int, kind: str) -> None:
    """The whole answer, each character once; or, where nobody could do better, the error with what had come."""
    is_patient = fault.stream.is_delivered or fault.name in OWN  # no clock but the last one shall end it
    clock_s = 3.0 if is_patient else CLOCK_S
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.fault(fault.name, after=after, gap_s=0.01, times=None, **WHOLE[kind])
        second.handle(lambda request: goes_on(request, kind))
        content, reasoning, arguments, error, stream = await told(first.base_url, second, clock_s=clock_s)
        if fault.name in OWN:
            assert error is not None
            return
        assert error is None, repr(error)
        assert is_whole(kind, content, reasoning, arguments), (content, reasoning, arguments)
        assert stream.outcome is opeai_async.Outcome.COMPLETE
        assert (len(second.requests) == 0) is fault.stream.is_delivered
        assert [attempt.endpoint for attempt in stream.meta.attempts][-1] == (
            "first" if fault.stream.is_delivered else "second"
        )


@pytest.mark.parametrize("fault", AT_STAGE["connect"], ids=ids(AT_STAGE["connect"]))
async def test_an_endpoint_that_cannot_be_reached_is_not_missed(fault: Fault) -> None:
    """Refused, silent, or not to be trusted: the other one answers."""
    if fault.name == "connect_stall" and sys.platform != "linux":
        pytest.skip("other systems refuse where Linux waits")
    async with no_leaks(), Endpoint(fault.name) as first, OpeAIServer() as second:
        second.reply(CONTENT)
        content, _, _, error, stream = await told(first.base_url, second, ssl_context=first.ssl_context())
        assert (content, error) == (CONTENT, None)
        assert [attempt.endpoint for attempt in stream.meta.attempts] == ["first", "second"]


def test_all_faults_are_in_the_table() -> None:
    """120 of them."""
    assert len(WITH_REQUEST) + len(AT_STAGE["connect"]) == len(FAULTS) == 120
