"""Any run, however its answers are cut, its tools take their time and its options are: what holds for all of them."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from opeai_async import Frame, RunResult
from opeai_async._core.frames.algebra import width
from opeai_async.testing import Pause
from opeai_async.types.events import RunEvent, ToolFinishedEvent, ToolStartedEvent
from opeai_async.types.frames import ContentFrame, ToolFinishedFrame, ToolStartedFrame
from tests.support.clients import scripted
from tests.support.instant_time import instant_time
from tests.support.leaks import no_leaks
from tests.support.reading.chunks import BODY
from tests.support.reading.reassembled import by_frames
from tests.support.reading.streams import body_of, cuts, delta_chunk, deltas_of, pieces

# What a call asks for: after how many seconds it ends, and whether well.
asked = st.fixed_dictionaries({"after": st.sampled_from([0, 1, 2, 5]), "well": st.booleans()})


@st.composite
def deltas_in_turn(draw: st.DrawFn, message: dict[str, Any]) -> list[dict[str, Any]]:
    """Deltas that add up to *message*, whose calls come one after the other, as most servers send them."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": message["content"]}]
    for index, call in enumerate(message.get("tool_calls", ())):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        deltas.append({"tool_calls": [{**call, "index": index, "function": {"name": name, "arguments": ""}}]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in draw(pieces(arguments))
        ]
    return deltas


@st.composite
def answers(draw: st.DrawFn, *, calls: int) -> tuple[list[dict[str, Any]], list[Any]]:
    """What each call of an answer asks for, and the answer's body as the network brings it."""
    wanted = draw(st.lists(asked, min_size=min(calls, 1), max_size=calls))
    message: dict[str, Any] = {"role": "assistant", "content": "text"}
    if wanted:
        message["tool_calls"] = [
            {
                "id": f"call_{i}",
                "type": "function",
                "function": {"name": "work", "arguments": msgspec.json.encode(one).decode()},
            }
            for i, one in enumerate(wanted)
        ]
    deltas = draw(deltas_of(message)) if draw(st.booleans()) else draw(deltas_in_turn(message))
    finish = delta_chunk(finish="tool_calls" if wanted else "stop", usage={"total_tokens": 1})
    steps: list[Any] = []
    for read in draw(cuts(body_of([*map(delta_chunk, deltas), finish]))):
        steps += [read, *draw(st.sampled_from([(), (), (Pause(1),)]))]
    return wanted, steps


runs = st.tuples(st.lists(answers(calls=3), max_size=3), answers(calls=0)).map(lambda parts: [*parts[0], parts[1]])
options = st.fixed_dictionaries({"parallel": st.integers(1, 3), "eager": st.booleans()})


class Shop:
    """The tool, and how many of it run."""

    def __init__(self, parallel: int) -> None:
        self.running = 0
        self.parallel = parallel

    async def work(self, after: int, well: bool) -> int:
        """Work."""
        self.running += 1
        assert self.running <= self.parallel
        await asyncio.sleep(after)
        self.running -= 1
        if not well:
            raise LookupError
        return after


async def as_events(run: Any) -> tuple[list[RunEvent], RunResult]:
    async with run:
        events = [event async for event in run]
        return events, await run.result()


async def as_frames(run: Any) -> tuple[list[Frame], RunResult]:
    frames = [frame async for frame in run.frames()]
    return frames, await run.result()


def played(read: Any, script: list[Any], options: dict[str, Any]) -> tuple[list[Any], RunResult, list[Any]]:
    """What *read* makes of a run, its result, and the messages of each request."""

    async def main() -> tuple[list[Any], RunResult, list[Any]]:
        client, transport, _ = scripted()
        for _, steps in script:
            transport.respond(*steps)
        with instant_time():
            async with no_leaks():
                run = client.chat.completions.run(tools=[Shop(options["parallel"]).work], **options, **BODY)
                told, result = await read(run)
        return told, result, [msgspec.json.decode(request.body)["messages"] for request in transport.requests]

    return asyncio.run(main())


def content_of(one: dict[str, Any]) -> str:
    return str(one["after"]) if one["well"] else '{"error":"The tool failed with LookupError."}'


@settings(max_examples=40)
@given(runs, options)
def test_every_call_runs_once_and_its_result_is_sent_in_its_place(script: list[Any], options: dict[str, Any]) -> None:
    """Whatever ends first, and whenever it began."""
    events, result, requests = played(as_events, script, options)
    assert (result.reason, result.text, len(result.completions)) == ("completed", "text", len(script))
    assert result.usage is not None
    assert result.usage.total_tokens == len(script)
    sent = [[message["content"] for message in messages if message["role"] == "tool"] for messages in requests]
    wanted = [[content_of(one) for one in calls] for calls, _ in script]
    assert sent == [[content for round_ in wanted[:k] for content in round_] for k in range(len(script))]
    starts = [(event.round, event.index) for event in events if isinstance(event, ToolStartedEvent)]
    ends = [(event.round, event.index) for event in events if isinstance(event, ToolFinishedEvent)]
    places = [(number, index) for number, (calls, _) in enumerate(script, 1) for index in range(len(calls))]
    assert sorted(starts) == sorted(ends) == places
    if not options["eager"]:
        assert starts == places
    rounds = [(event.type, event.round) for event in events if event.type in ("round.started", "round.finished")]
    assert rounds == [(kind, k) for k in range(1, len(script) + 1) for kind in ("round.started", "round.finished")]


@settings(max_examples=40)
@given(runs, options)
def test_the_frames_of_any_run_are_one_answer(script: list[Any], options: dict[str, Any]) -> None:
    """Offsets have no gap, calls are counted through, and a tool is told of after its call and before its end."""
    frames, _, _ = played(as_frames, script, options)
    offset = 0
    for frame in frames:
        offset += width(frame)
        assert frame.offset == offset
    said = by_frames(frames)[0]
    wanted = [one for calls, _ in script for one in calls]
    calls = said.get("calls", {})
    assert [msgspec.json.decode(calls[index]["arguments"]) for index in range(len(wanted))] == wanted
    assert said["content"] == "text" * len(script)
    assert sum(isinstance(frame, ContentFrame) for frame in frames) >= len(script)
    for index in range(len(wanted)):
        mine = [type(frame).__name__ for frame in frames if getattr(frame, "index", None) == index]
        assert mine[-2:] == [ToolStartedFrame.__name__, ToolFinishedFrame.__name__] or options["eager"]
        assert mine[0] == "ToolCallFrame"
        assert mine.index("ToolStartedFrame") < mine.index("ToolFinishedFrame")
