"""``doctor`` against models that do not stop: one limit of tokens tells a slow server from a dead one."""

import re
from typing import Any

import pytest

from opeai_async._cli.doctor.probes import A_THOUGHT, A_WORD, PROBES, SOME_LINES
from opeai_async._cli.doctor.watch import Seen
from opeai_async._core.call.http import ResponseHead
from opeai_async.testing import Answer, Failure, Handler, OpeAIServer, RecordedRequest, Reply
from tests.cli.doctor import Doctor, advised, model, rows, verdicts

LATE = ("--timeout", "1")
OUT_OF_TIME = "no end within 1 s"
HEAD_ALONE = f"{OUT_OF_TIME}, after the head alone"
MOST = f"with {SOME_LINES} tokens at most: "
LIMITED = {"plain completion", "stream", "usage in stream", "tools", "tools, streamed", "reasoning", "early close"}
"""The probes that set no limit of their own to all they ask."""


@pytest.fixture
def doctor(server: OpeAIServer, capsys: pytest.CaptureFixture[str]) -> Doctor:
    return Doctor(server, capsys)


def limit_of(request: RecordedRequest, field: str = "max_tokens") -> int | None:
    limit: int | None = request.json.get(field)
    return limit


def limits(report: dict[str, Any]) -> dict[str, int | None]:
    return {check["probe"]: check["max_tokens"] for check in report["checks"]}


def named(report: dict[str, Any], verdict: str) -> set[str]:
    return {name for name, found in verdicts(report).items() if found == verdict}


async def answer_of_model(request: RecordedRequest) -> Answer:
    answer = await model()(request)
    assert answer is not None
    return answer


def never_ending(*, above: int = 0, field: str = "max_tokens") -> Handler:
    """A model that stops only at a limit, in *field*; if *above* is given, only at one that is not greater."""

    async def answer(request: RecordedRequest) -> Answer:
        limit = limit_of(request, field)
        if limit is None or 0 < above < limit:
            return Reply("on and on", ending="stall")
        return await answer_of_model(request)

    return answer


def test_a_model_that_never_stops_is_not_dead(doctor: Doctor) -> None:
    """What ran out of time is asked again with a limit, and said to be; all after it have the limit from the start."""
    code, report = doctor.examine(never_ending(), *LATE)
    assert code == 0
    assert named(report, "yes") == {probe.name for probe in PROBES}
    seen = rows(report)
    assert re.match(f'{OUT_OF_TIME}, after \\d+ bytes; {MOST}"Hello there', seen["plain completion"])
    assert seen["stream"].startswith(f"{MOST}first byte")
    assert limits(report) == {probe.name: probe.max_tokens if probe.name in LIMITED else None for probe in PROBES}
    assert limits(report)["reasoning"] == A_THOUGHT
    assert [limit_of(request) for request in doctor.server.requests].count(None) == 1
    assert advised(report) == {'stream_options={"include_usage": True}', "max_tokens="}


def test_the_table_says_it_too(doctor: Doctor) -> None:
    """In the rows, and in what to set."""
    doctor.server.handle(never_ending())
    _, out = doctor.say(*LATE)
    assert f"\nplain completion  yes      {OUT_OF_TIME}, after " in out
    assert f"\nusage in stream   yes      {MOST}prompt " in out
    assert "\n  max_tokens=: an answer without a limit had not ended after 1 s\n" in out


def test_without_need_nothing_is_limited(doctor: Doctor) -> None:
    """In the report, null is the limit of each probe."""
    _, report = doctor.examine(model())
    assert set(limits(report).values()) == {None}


def test_a_server_of_the_newer_field(doctor: Doctor) -> None:
    """Where ``max_tokens`` is refused, the limit has the name that is not."""

    async def modern(request: RecordedRequest) -> Answer | None:
        if "max_tokens" in request.json:
            return Failure(400, param="max_tokens")
        return await never_ending(field="max_completion_tokens")(request)

    code, report = doctor.examine(modern, *LATE)
    assert code == 0
    assert (named(report, "odd"), named(report, "failed")) == ({"reachable"}, set())
    assert limits(report)["stream"] == SOME_LINES
    assert sum("max_tokens" in request.json for request in doctor.server.requests) == 1
    told = [advice["why"] for advice in report["settings"] if advice["set"] == "max_completion_tokens="]
    assert told == ["max_tokens is refused", "an answer without a limit had not ended after 1 s"]


def test_a_server_that_takes_no_limit(doctor: Doctor) -> None:
    """Where both fields are refused, none is sent, and nothing is asked twice for want of one."""

    async def stubborn(request: RecordedRequest) -> Answer:
        for field in ("max_tokens", "max_completion_tokens"):
            if field in request.json:
                return Failure(400, param=field)
        return Reply("Hello", ending="stall" if request.json.get("tools") else "finish")

    code, report = doctor.examine(stubborn, *LATE)
    assert code == 0
    assert named(report, "failed") == {"tools", "tools, streamed"}
    assert limits(report)["tools"] is None
    assert sum("tools" in request.json for request in doctor.server.requests) == 2
    assert {setting for setting in advised(report) if "=" in setting} == {'stream_options={"include_usage": True}'}


def test_another_refusal_is_not_one_of_the_limit(doctor: Doctor) -> None:
    """Only an error that names the field counts."""
    doctor.server.fail(400, times=1)
    _, report = doctor.examine(model())
    assert verdicts(report)["reachable"] == "odd"
    assert limit_of(doctor.server.requests[-1]) == A_WORD


def test_a_failure_of_the_newer_field_is_no_refusal(doctor: Doctor) -> None:
    """It fails its probe, and the field stays the one to use."""

    async def brittle(request: RecordedRequest) -> Answer:
        if "max_tokens" in request.json:
            return Failure(400, param="max_tokens")
        return Failure(503) if request.index == 1 else await answer_of_model(request)

    _, report = doctor.examine(brittle)
    assert named(report, "failed") == {"reachable"}
    assert limit_of(doctor.server.requests[-1], "max_completion_tokens") == A_WORD


def test_a_thought_may_take_too_long(doctor: Doctor) -> None:
    """The limits with room to think are lowered in their turn."""
    _, report = doctor.examine(never_ending(above=SOME_LINES), *LATE)
    assert limits(report)["reasoning"] == SOME_LINES
    tries = f"with {A_THOUGHT} tokens at most: {OUT_OF_TIME}, after \\d+ bytes; {MOST}\\d+ characters"
    assert re.match(tries, rows(report)["reasoning"])
    # The reader that leaves early gets its first chunk of whatever length, so it needs no second try.
    assert limits(report)["early close"] == A_THOUGHT


def test_a_limit_that_does_not_help(doctor: Doctor) -> None:
    """What does not end with it is asked a last time, as the others end, and nothing is advised."""

    async def silent(request: RecordedRequest) -> Answer:
        return Reply("Hello", ending="stall" if request.json.get("stream") else "finish", after=0)

    code, report = doctor.examine(silent, *LATE)
    assert code == 1
    seen = rows(report)
    assert seen["stream"] == f"{HEAD_ALONE}; {MOST}{HEAD_ALONE}"
    assert seen["reasoning"] == f"{MOST}{HEAD_ALONE}"
    assert seen["n=2, streamed"] == HEAD_ALONE
    assert "max_tokens=" not in advised(report)
    of_streams = [limit_of(request) for request in doctor.server.requests if request.json.get("stream")]
    assert of_streams == [None, *4 * [SOME_LINES], A_WORD, *2 * [SOME_LINES]]


def test_a_server_that_goes_on_after_the_reader_has_left(doctor: Doctor) -> None:
    """What had to wait for an abandoned answer is asked again when that may be over."""
    asked_with_limit: list[int] = []

    async def busy(request: RecordedRequest) -> Answer:
        if limit_of(request) is None:
            return Reply("on and on", ending="stall")
        if limit_of(request) == SOME_LINES:
            asked_with_limit.append(request.index)
            if len(asked_with_limit) == 1:
                return Reply("Hello", delay_s=60)
        return await answer_of_model(request)

    code, report = doctor.examine(busy, *LATE)
    assert code == 0
    assert named(report, "yes") == {probe.name for probe in PROBES}
    tries = rows(report)["plain completion"].split("; ")
    assert tries[0].startswith(f"{OUT_OF_TIME}, after ")
    assert tries[1] == f"{MOST}{OUT_OF_TIME}, nothing came"
    assert tries[2].startswith(f'asked again at the end, {MOST}"Hello there')
    assert "max_tokens=" in advised(report)


def test_a_server_that_fails_at_last(doctor: Doctor) -> None:
    """An error is a verdict too, but no proof that the limit helped."""
    streams: list[int] = []

    async def weary(request: RecordedRequest) -> Answer:
        if not request.json.get("stream") or "stream_options" in request.json or "tools" in request.json:
            return Reply("Hello")
        streams.append(request.index)
        return Failure(500) if len(streams) > 2 else Reply("Hello", ending="stall")

    code, report = doctor.examine(weary, *LATE)
    assert code == 1
    assert f"; asked again at the end, {MOST}InternalServerError: " in rows(report)["stream"]
    assert "max_tokens=" not in advised(report)


def test_a_server_that_answers_nobody_is_not_asked_again(doctor: Doctor) -> None:
    """One question is asked twice, the others once."""

    async def dead(_: RecordedRequest) -> Answer:
        return Reply(delay_s=60)

    with OpeAIServer(validate=False, api_key=doctor.server.api_key) as server:
        server.handle(dead)
        code, report = doctor.report("--base-url", server.base_url, "--timeout", "0.3")
    assert code == 1
    assert named(report, "failed") == {probe.name for probe in PROBES}
    but_the_request_id = len(PROBES) - 1
    assert len(server.requests) == but_the_request_id + 1


def test_a_server_that_says_nothing_at_all(doctor: Doctor) -> None:
    """Not even a head came, which tells a queue or a wrong address from a slow model."""

    async def mute(request: RecordedRequest) -> Answer:
        return Reply("Hello", delay_s=60 if request.json.get("n") else 0)

    _, report = doctor.examine(mute, *LATE)
    assert rows(report)["n=2"] == rows(report)["n=2, streamed"] == f"{OUT_OF_TIME}, nothing came"


def test_an_error_with_the_limit_is_the_verdict(doctor: Doctor) -> None:
    """A limit that is answered by an error is no cure, so it is not advised."""

    async def brittle(request: RecordedRequest) -> Answer:
        if limit_of(request) == SOME_LINES:
            return Failure(500)
        return Reply("Hello", ending="finish" if limit_of(request) else "stall")

    code, report = doctor.examine(brittle, *LATE)
    assert code == 1
    assert verdicts(report)["stream"] == "failed"
    assert f"; {MOST}InternalServerError: " in rows(report)["plain completion"]
    assert "max_tokens=" not in advised(report)


def test_an_answer_that_was_cut_may_have_come_to_a_call(doctor: Doctor) -> None:
    """It is not the no that it would be after an answer that has its end."""

    async def wordy(request: RecordedRequest) -> Answer:
        return Reply("Let me see", finish_reason="length" if request.json.get("tools") else "stop")

    _, report = doctor.examine(wordy)
    assert verdicts(report)["tools"] == verdicts(report)["tools, streamed"] == "odd"
    assert "no call came" in rows(report)["tools"]


def test_thoughts_that_no_content_follows(doctor: Doctor) -> None:
    """A model that came to no answer is told from one that did."""

    async def thinker(_: RecordedRequest) -> Answer:
        return Reply("", reasoning="Well", finish_reason="length")

    _, report = doctor.examine(thinker)
    assert verdicts(report)["reasoning"] == "yes"
    assert rows(report)["reasoning"] == "4 characters, sent as reasoning_content, and no content after them"


def test_a_quirk_of_both_tries_is_met_once(doctor: Doctor) -> None:
    """By one probe, however often that asked."""

    async def commenting(request: RecordedRequest) -> Answer:
        is_endless = request.json.get("stream") and not limit_of(request)
        return Reply("Hello", quirks=["comments"], ending="stall" if is_endless else "finish")

    _, report = doctor.examine(commenting, *LATE)
    (comments,) = (quirk["probes"] for quirk in report["quirks"] if quirk["name"] == "comments")
    assert comments.count("stream") == 1


def test_all_bytes_are_counted_but_not_all_are_kept() -> None:
    """What is kept ends with the read that reaches 4 MiB."""
    seen = Seen(ResponseHead(200, {}), wants_stream=True)
    for _ in range(6):
        seen.add(bytes(1024 * 1024), 0.0)
    assert (seen.size, len(seen.body)) == (6 * 1024 * 1024, 4 * 1024 * 1024)
