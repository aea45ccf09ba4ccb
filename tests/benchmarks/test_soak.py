"""The soak in short: every way a stream can go, and a judge that is not fooled. Nothing here is about speed."""

import asyncio
import re
from itertools import islice

import msgspec
import pytest

from benchmarks.soak.__main__ import (
    Options,
    Report,
    Tally,
    _kept_since,
    _objects_of_streams,
    _place,
    _strains,
    as_text,
    main,
    soak,
)
from benchmarks.soak.gauges import Lag, Sample, slope_per_minute
from benchmarks.soak.plan import WAYS, Ending, Plan, plans
from benchmarks.soak.reader import Verdict, read
from opeai_async import AsyncOpeAI
from tests.support.servers.raw_server import HEAD, Call, RawServer, chunked

DECK = sum(way.weight for way in WAYS.values())


def plan_of(way: str = "chunks", **fields) -> Plan:
    """A stream of three pieces of thinking and four of content."""
    plan = next(plan for plan in plans(1, 0.01) if plan.way == way)
    return msgspec.structs.replace(plan, **{"number": 7, "reasoning": 3, "content": 4, "at": 2, **fields})


def events_of(plan: Plan, texts: list[str] | None = None, **envelope) -> bytes:
    """The answer that *plan* expects, or one of other *texts*, thinking first."""
    texts = [plan.piece(position) for position in range(plan.pieces)] if texts is None else texts
    usage = {"prompt_tokens": 1, "completion_tokens": plan.pieces, "total_tokens": plan.pieces + 1}
    names = ["reasoning_content"] * plan.reasoning + ["content"] * plan.content
    chunks = [{"choices": [{"index": 0, "delta": {name: text}}]} for name, text in zip(names, texts, strict=False)]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {**usage, **envelope}})
    return b"".join(b"data: %b\n\n" % msgspec.json.encode(chunk) for chunk in chunks) + b"data: [DONE]\n\n"


async def verdict_on(plan: Plan, body: bytes, *, head: bytes = HEAD) -> Verdict:
    """What the judge says of a stream that gets *body*."""

    async def answer(call: Call) -> None:
        await call.send(head, chunked(body), b"0\r\n\r\n")

    async with RawServer(answer) as server, AsyncOpeAI("sk-x", base_url=server.base_url) as client:
        return await read(client, plan, lambda count: None)


@pytest.mark.time_limit(90)
async def test_every_stream_of_a_short_soak_is_accounted_for():
    """Each way is gone, each stream ends as its plan says, and nothing is left on either side."""
    report = await soak(Options(streams=60, minutes=0.05, pace_s=0.02, ramp_s=0.5, seed=1))
    assert report.problems == []
    assert report.leaks == []
    assert not report.is_broken
    assert set(report.ways) == set(WAYS)
    assert set(report.endings) == set(Ending)
    assert sum(report.endings.values()) >= DECK
    assert report.paused > 0  # backpressure was felt
    assert report.chunks > 0


def test_the_command_tells_people_and_programs(capsys):
    """``--json`` prints one report, as does the text; the exit code says that no promise was broken."""
    assert main(["--streams", "4", "--minutes", "0.005", "--pace", "0.001", "--ramp", "0", "--json"]) == 0
    report = msgspec.json.decode(capsys.readouterr().out, type=Report)
    assert sum(report.endings.values()) >= 4
    told = as_text(report)
    assert "leaks:   none" in told
    assert "not injected: nothing" in told


def test_kept_objects_of_a_stream_are_told_of():
    """By their names, beside those that others keep."""

    class BodyReader:
        """As the real one is called."""

    before = _objects_of_streams()
    assert _kept_since(before) == []
    kept = [BodyReader(), BodyReader()]
    assert _kept_since(before) == [f"{len(kept)} objects BodyReader"]


@pytest.mark.parametrize("option", ["--streams", "--minutes", "--pace"])
def test_impossible_options_are_refused(option, capsys):
    """With a word on what is possible."""
    with pytest.raises(SystemExit) as excinfo:
        main([option, "0"])
    assert excinfo.value.code == 2
    assert "above 0" in capsys.readouterr().err


def test_more_streams_than_descriptors_are_refused(capsys):
    """Before anything is started, with what to do."""
    with pytest.raises(SystemExit):
        main(["--streams", "1000000000"])
    assert "ulimit" in capsys.readouterr().err


def test_plans_are_the_same_for_the_same_seed_and_go_every_way():
    """A deck holds each way as often as it weighs."""
    dealt = list(islice(plans(5, 1.0), 2 * DECK))
    assert dealt == list(islice(plans(5, 1.0), 2 * DECK))
    assert dealt != list(islice(plans(6, 1.0), 2 * DECK))
    assert {name: sum(plan.way == name for plan in dealt) for name in WAYS} == {
        name: 2 * way.weight for name, way in WAYS.items()
    }


def test_no_two_pieces_are_alike():
    """So that mixed, doubled and lost text is seen."""
    pieces = [plan.piece(at) for plan in islice(plans(1, 1.0), 200) for at in range(plan.pieces)]
    assert len(set(pieces)) == len(pieces)


async def test_an_answer_as_planned_has_no_problems():
    """The judge's other cases differ from this one in one thing each."""
    verdict = await verdict_on(plan_of(), events_of(plan_of()))
    assert (verdict.ending, verdict.problems) == (Ending.DELIVERED, [])


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (["<7.0>", "<7.1>", "<7.2>", "<7.3>", "<7.4>", "<7.5>", "<8.6>"], "no beginning"),
        (["<7.0>", "<7.1>", "<7.2>", "<7.3>", "<7.3>", "<7.4>", "<7.5>"], "no beginning"),
        (["<7.0>", "<7.2>", "<7.3>", "<7.4>", "<7.5>", "<7.6>"], "no beginning"),
        (["<7.0>", "<7.1>", "<7.2>", "<7.3>"], r"delivered 20 characters of 35"),
    ],
    ids=["mixed", "doubled", "lost", "short"],
)
async def test_text_that_is_not_the_streams_own_is_found(texts, problem):
    """Another stream's, the same twice, a hole, too little."""
    verdict = await verdict_on(plan_of(), events_of(plan_of(), texts))
    assert [found for found in verdict.problems if re.search(problem, found)]


async def test_thinking_in_the_content_is_found():
    """All text there, in its order, but a piece on the wrong side."""
    sent = events_of(plan_of(reasoning=2, content=5))
    verdict = await verdict_on(plan_of(), sent)
    assert [found for found in verdict.problems if "no beginning" in found]


async def test_the_usage_of_another_is_found():
    """The count of tokens is the stream's own."""
    verdict = await verdict_on(plan_of(), events_of(plan_of(), completion_tokens=99))
    assert verdict.problems == ["usage of 99 tokens, expected 7"]


async def test_the_head_of_another_is_found():
    """The request id is the stream's own."""
    head = HEAD.replace(b"\r\n\r\n", b"\r\nX-Request-Id: req_soak_8\r\n\r\n")
    verdict = await verdict_on(plan_of(), events_of(plan_of()), head=head)
    assert verdict.problems == ["the answer to req_soak_8"]


async def test_a_cut_that_nobody_injected_is_found():
    """A truncated body is no way of a stream that was to be delivered."""
    verdict = await verdict_on(
        plan_of(), events_of(plan_of()).partition(b'data: {"choices":[{"index":0,"delta":{},')[0]
    )
    assert verdict.ending is Ending.CUT
    assert "expected delivered" in verdict.problems[0]


async def test_another_error_than_the_injected_is_found():
    """A reset was injected, and a truncated body came."""
    plan = plan_of("reset")
    body = events_of(plan, [plan.piece(0)]).partition(b'data: {"choices":[{"index":0,"delta":{},')[0]
    verdict = await verdict_on(plan, body)
    assert verdict.ending is Ending.CUT
    assert "expected StreamInterruptedError" in verdict.problems[0]


async def test_a_partial_that_lost_what_was_sent_is_found():
    """Two pieces were sent before the end, and one is in the partial."""
    plan = plan_of("truncated")
    body = events_of(plan, [plan.piece(0)]).partition(b'data: {"choices":[{"index":0,"delta":{},')[0]
    verdict = await verdict_on(plan, body)
    assert verdict.problems == ["the partial has 5 characters, 10 were sent"]


async def test_an_attempt_that_nobody_injected_is_found():
    """A stream is delivered, but not at once."""
    body, calls = events_of(plan_of()), []

    async def answer(call: Call) -> None:
        calls.append(call)
        if len(calls) == 1:
            call.hang_up()
            return
        await call.send(HEAD, chunked(body), b"0\r\n\r\n")

    async with RawServer(answer) as server, AsyncOpeAI("sk-x", base_url=server.base_url) as client:
        verdict = await read(client, plan_of(), lambda count: None)
    assert [found for found in verdict.problems if found.startswith("2 attempts")]


def test_a_tally_counts_what_was_begun_and_what_has_ended():
    """A stream without an end stays open, and only the first problems are kept in words."""
    tally = Tally()
    tally.begun = 31
    for _ in range(30):
        tally.add(Verdict(plan_of(), Ending.DELIVERED, ["wrong"]))
    assert (tally.ended, tally.open) == (30, 1)
    assert tally.endings() == {"delivered": 30}
    assert tally.problem_count == 30
    assert 0 < len(tally.problems) < 30


def test_the_trend_of_memory_is_per_minute():
    """Two MiB in each 30 seconds are four a minute; two samples say nothing."""
    samples = [Sample(at, 100 + at / 15, 0, 0, 0, 0, 0, 0.0) for at in (0.0, 30.0, 60.0)]
    assert slope_per_minute(samples) == pytest.approx(4.0)
    assert slope_per_minute(samples[:2]) == 0.0


def test_only_a_long_run_is_judged_by_memory_and_lag():
    """While the first streams are young, all of them grow."""
    assert Options(minutes=3.0, pace_s=2.0).is_judged
    assert not Options(minutes=2.0, pace_s=2.0).is_judged
    lag = Lag(1.0, 2.0, 3.0, own_p50_ms=1.0, own_p99_ms=2.0, own_max_ms=3.0)
    assert _strains(1.0, 100.0, lag) == []
    assert _strains(9.0, 100.0, lag) == ["memory grows by 9.0 MiB a minute, from 100 MiB"]
    assert "late by its own work" in _strains(0.0, 100.0, msgspec.structs.replace(lag, own_p99_ms=900.0))[0]


async def test_a_stream_that_raises_anything_else_is_told_of():
    """What the SDK lets through is a problem, and the stream is not lost from the count."""

    class Broken:
        """A client with a bug."""

        @property
        def chat(self):
            raise ZeroDivisionError("a bug")

    tally = Tally()
    async with asyncio.timeout(5):
        await _place(0.0, asyncio.get_running_loop().time() + 0.01, Broken(), plans(1, 1.0), tally)
    assert tally.problem_count == tally.begun == tally.ended > 0
    assert "a bug" in tally.problems[0]
