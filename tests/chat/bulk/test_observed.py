"""A bulk run speaks through the same place as calls: its begin and end, and which request a call is for."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from opeai_async import BulkRecord, InternalServerError
from opeai_async.testing import Answer, Failure, OpeAIServer, RecordedRequest, Reply
from tests.support.telemetry.listener import Listener

DEFAULTS = {"model": "m"}


def named(*names: str) -> list[dict[str, Any]]:
    return [{"custom_id": name, "messages": [{"role": "user", "content": name}]} for name in names]


async def fussy(request: RecordedRequest) -> Answer:
    return Failure(400) if request.json["messages"][0]["content"] == "bad" else Reply("fine")


@pytest.fixture
async def fussy_server() -> AsyncIterator[OpeAIServer]:
    async with OpeAIServer() as server:
        server.handle(fussy)
        yield server


async def test_a_run_and_its_calls(fussy_server: OpeAIServer, tmp_path: Path) -> None:
    """Each call bears the run's id and the name of its request; the end has the counts."""
    listener = Listener()
    async with fussy_server.client(observers=[listener]) as client:
        for done, resumed in ((2, 0), (0, 2)):
            listener.heard.clear()
            results = client.chat.completions.map(
                named("a", "bad", "b"), defaults=DEFAULTS, concurrency=2, journal=tmp_path / "run.jsonl"
            )
            async for _ in results:
                pass
            (begun,) = listener.of("bulk_started")
            assert (begun.model, begun.total) == ("m", 3)
            assert (listener.names[0], listener.names[-1]) == ("bulk_started", "bulk_ended")
            calls = [record.call for record in listener.of("call_ended")]
            assert {call.run_id for call in calls} == {begun.run_id}
            assert {call.custom_id for call in calls} == ({"a", "bad", "b"} if done else {"bad"})
            (ended,) = listener.of("bulk_ended")
            assert isinstance(ended, BulkRecord)
            assert ended.run == begun
            assert (ended.done, ended.failed, ended.resumed) == (done, 1, resumed)
            assert ended.reasons == {"BadRequestError 400": 1}
            assert ended.duration_s > 0
            assert (ended.stopped, ended.error) == (None, None)


async def test_calls_beside_a_run_are_not_of_it(fussy_server: OpeAIServer) -> None:
    """Such as those that the input makes, in the task that runs its requests."""
    listener = Listener()
    async with fussy_server.client(observers=[listener]) as client:

        async def requests() -> AsyncIterator[dict[str, Any]]:
            for request in named("a", "b"):
                await client.chat.completions.create(model="other", messages=request["messages"])
                yield request

        async for _ in client.chat.completions.map(requests(), defaults=DEFAULTS, concurrency=1):
            await client.chat.completions.create(model="other", messages=[{"role": "user", "content": "x"}])
    calls = [record.call for record in listener.of("call_ended")]
    assert {(call.model, call.custom_id) for call in calls} == {("m", "a"), ("m", "b"), ("other", None)}
    assert {call.run_id for call in calls if call.model == "other"} == {None}


async def test_a_run_that_is_left(fussy_server: OpeAIServer) -> None:
    listener = Listener()
    async with fussy_server.client() as client:
        defaults = {**DEFAULTS, "observers": [listener]}
        async with client.chat.completions.map(named("a", "b", "c"), defaults=defaults, concurrency=1) as results:
            async for _ in results:
                break
        (ended,) = listener.of("bulk_ended")
        assert ended.stopped == "left"


async def test_a_run_that_its_input_ends(fussy_server: OpeAIServer) -> None:
    listener = Listener()
    async with fussy_server.client(observers=[listener]) as client:

        def requests() -> Any:
            yield from named("a")
            raise LookupError

        with pytest.raises(LookupError):
            async for _ in client.chat.completions.map(requests(), defaults=DEFAULTS):
                pass
    (ended,) = listener.of("bulk_ended")
    assert (ended.stopped, ended.error) == ("error", "LookupError")


async def test_the_log(fussy_server: OpeAIServer, caplog: pytest.LogCaptureFixture) -> None:
    """The same on the logger, with fields; a prompt is in none of them."""
    caplog.set_level(logging.INFO, "opeai_async")
    async with fussy_server.client() as client:
        async for _ in client.chat.completions.map(named("a", "b"), defaults=DEFAULTS):
            pass
    lines = [record for record in caplog.records if record.getMessage().startswith("bulk:")]
    assert [vars(line).get("done") for line in lines] == [None, 2]
    assert "done=2 failed=0" in lines[1].getMessage()
    answers = [record for record in caplog.records if record.getMessage().startswith("completion:")]
    assert {vars(line)["custom_id"] for line in answers} == {"a", "b"}
    assert {vars(line)["run_id"] for line in answers} == {vars(lines[0])["run_id"]}


async def test_spans(fussy_server: OpeAIServer) -> None:
    """The conventions know no span of a bulk run: its calls are children of the caller's, and name their request."""
    pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")
    from opentelemetry import trace

    from tests.support.telemetry.collected import Collected

    collected = Collected()
    try:
        tracer = trace.get_tracer("test", tracer_provider=collected.tracers)
        async with fussy_server.client(observers=[collected.observer]) as client:
            with tracer.start_as_current_span("job") as job:
                async for _ in client.chat.completions.map(named("a", "b"), defaults=DEFAULTS):
                    pass
        calls = [span for span in collected.spans if span.name == "chat m"]
        assert {span.attributes["opeai.bulk.custom_id"] for span in calls} == {"a", "b"}
        assert len({span.attributes["opeai.bulk.run_id"] for span in calls}) == 1
        assert {span.parent.span_id for span in calls} == {job.get_span_context().span_id}
    finally:
        collected.close()


async def test_nobody_who_fails_ends_a_run(fussy_server: OpeAIServer) -> None:
    class Broken:
        def bulk_started(self, run: object) -> None:
            raise InternalServerError("mine", status_code=500)

    async with fussy_server.client(observers=[Broken()]) as client:
        results = client.chat.completions.map(named("a"), defaults=DEFAULTS)
        assert [result.error async for result in results] == [None]
