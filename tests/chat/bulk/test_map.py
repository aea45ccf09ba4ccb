"""`client.chat.completions.map` against a real server: what it brings, in which order, and how it ends."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from opeai_async import AsyncOpeAI, BadRequestError, ClientClosedError, ConfigurationError, RequestValidationError
from opeai_async.bulk import Adaptive, BulkProgress, BulkResult, per_million, read_journal
from opeai_async.testing import Answer, Failure, OpeAIServer, RecordedRequest, Reply

DEFAULTS = {"model": "m"}


def question(text: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": str(text)}]}


def questions(number: int) -> Iterator[dict[str, Any]]:
    return (question(i) for i in range(number))


def echo(delay_s: float = 0.0, fail: str = "") -> Any:
    """A handler that repeats the question, and refuses those that hold *fail*."""

    async def answer(request: RecordedRequest) -> Answer:
        text = request.json["messages"][-1]["content"]
        if fail and fail in text:
            return Failure(400)
        return Reply(text, delay_s=delay_s)

    return answer


def text_of(result: BulkResult) -> str | None:
    assert result.completion is not None
    return result.completion.choices[0].message.content


async def test_each_request_is_answered_once(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Each result belongs to its request, whatever order they come in."""
    server.handle(echo())
    seen = {}
    async for result in client.chat.completions.map(questions(100), defaults=DEFAULTS, concurrency=16):
        assert text_of(result) == result.custom_id == str(result.index)
        assert result.error is None
        assert result.usage is not None
        assert len(result.attempts) == 1
        assert result.timing.total_s > 0
        seen[result.index] = result
    assert sorted(seen) == list(range(100))
    assert len(server.requests) == 100


async def test_auto(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """The level grows from its start while the server does more for it."""
    server.handle(echo(0.02))
    results = client.chat.completions.map(questions(600), defaults=DEFAULTS)
    count = 0
    most = 0
    async for _ in results:
        count += 1
        most = max(most, results.progress.limit)
    assert count == 600
    assert most > 8


async def test_ordered(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """In order, although the first answers come last."""

    async def answer(request: RecordedRequest) -> Answer:
        text = request.json["messages"][-1]["content"]
        return Reply(text, delay_s=0.2 if text in ("0", "5") else 0.0)

    server.handle(answer)
    got = [
        result.index
        async for result in client.chat.completions.map(questions(60), defaults=DEFAULTS, concurrency=8, ordered=True)
    ]
    assert got == list(range(60))


async def test_an_async_input(server: OpeAIServer, client: AsyncOpeAI) -> None:
    server.handle(echo())

    async def slow() -> AsyncIterator[dict[str, Any]]:
        for i in range(20):
            await asyncio.sleep(0)
            yield question(i)

    got = sorted([r.index async for r in client.chat.completions.map(slow(), defaults=DEFAULTS, concurrency=4)])
    assert got == list(range(20))


async def test_the_input_is_read_lazily(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Where nobody reads results, no more than a bounded number of requests is taken."""
    server.handle(echo())
    taken = 0

    def endless() -> Iterator[dict[str, Any]]:
        nonlocal taken
        while True:
            taken += 1
            yield question(taken)

    async with client.chat.completions.map(endless(), defaults=DEFAULTS, concurrency=4) as results:
        await anext(results)
        await asyncio.sleep(0.5)
        assert taken <= 256 + 4 + 1
        before = taken
        for _ in range(250):
            await anext(results)
        await asyncio.sleep(0.1)
        assert taken > before
    assert results.stopped == "left"


@pytest.mark.parametrize("ordered", [False, True])
async def test_bad_requests_do_not_stop_it(server: OpeAIServer, client: AsyncOpeAI, ordered: bool) -> None:
    """What cannot be sent, and what the server refuses, is a result with an error."""
    server.handle(echo(fail="bad"))
    items: list[Any] = [question(0), "no dict", question("bad"), {"messages": []}, question(4) | {"stream": True}]
    items += [{**question(5), "custom_id": 1.5}, {1: 2}, {**question(7), "custom_id": "seven"}, question(b"x" * 10)]
    items += [{"messages": [{"role": "user", "content": object()}]}, {**question(1), "temprature": 1}]
    results = [r async for r in client.chat.completions.map(items, defaults=DEFAULTS, concurrency=3, ordered=ordered)]
    by_index = {r.index: r for r in results}
    assert len(results) == len(by_index) == len(items)
    assert {i for i, r in by_index.items() if r.error is None} == {0, 7, 8}
    assert isinstance(by_index[2].error, BadRequestError)
    assert all(isinstance(by_index[i].error, RequestValidationError) for i in (1, 3, 4, 5, 6, 9, 10))
    assert by_index[7].custom_id == "seven"


async def test_raise(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """The first error ends the run; nothing new is begun."""
    server.handle(echo(0.01, fail="10"))
    results = client.chat.completions.map(questions(5000), defaults=DEFAULTS, concurrency=2, on_error="raise")
    with pytest.raises(BadRequestError):
        async for _ in results:
            pass
    assert results.stopped == "error"
    assert len(server.requests) < 400


async def test_an_input_that_breaks(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """What was begun is brought; then the error of the input is raised."""
    server.handle(echo(0.05))

    def broken() -> Iterator[dict[str, Any]]:
        yield from questions(5)
        raise OSError("the disk is gone")

    results = client.chat.completions.map(broken(), defaults=DEFAULTS, concurrency=8)
    assert sorted([(await anext(results)).index for _ in range(5)]) == list(range(5))
    with pytest.raises(OSError, match="the disk is gone"):
        await anext(results)


async def test_leaving_the_loop_ends_what_runs(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """A loop that is left by `break` ends the open requests soon, also without a context manager."""
    server.handle(echo(0.3))
    async for _ in client.chat.completions.map(questions(1000), defaults=DEFAULTS, concurrency=8):
        break
    gc.collect()
    for _ in range(100):
        if client.open_answers == 0 and not bulk_tasks():
            break
        await asyncio.sleep(0.02)
    assert not bulk_tasks()
    assert len(server.requests) <= 17


def bulk_tasks() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("opeai_async bulk")]


async def test_cancelling(server: OpeAIServer, client: AsyncOpeAI, tmp_path: Path) -> None:
    """A cancelled reader that holds the context leaves no task; the journal is whole, and another run may open it."""
    server.handle(echo(0.02))
    path = tmp_path / "run.jsonl"
    got: list[int] = []
    enough = asyncio.Event()

    async def read() -> None:
        async with client.chat.completions.map(
            questions(1000), defaults=DEFAULTS, concurrency=4, journal=path
        ) as results:
            async for result in results:
                got.append(result.index)
                if len(got) == 20:
                    enough.set()

    task = asyncio.create_task(read())
    await enough.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not bulk_tasks()
    assert {entry.index for entry in read_journal(path)} >= set(got)
    assert not path.with_name("run.jsonl.lock").exists()


async def test_draining(server: OpeAIServer, client: AsyncOpeAI, tmp_path: Path) -> None:
    """With drain_s, what is open when the loop is left goes on, and into the journal."""
    server.handle(echo(0.2))
    path = tmp_path / "run.jsonl"
    async with client.chat.completions.map(
        questions(1000), defaults=DEFAULTS, concurrency=8, journal=path, drain_s=5
    ) as results:
        await anext(results)
        await asyncio.sleep(0.05)
    assert len(server.requests) == sum(1 for _ in read_journal(path))


async def test_deadline(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """After the deadline nothing is begun; what runs comes to its end."""
    server.handle(echo(0.1))
    results = client.chat.completions.map(questions(10_000), defaults=DEFAULTS, concurrency=4, deadline_s=0.35)
    got = [result async for result in results]
    assert results.stopped == "deadline"
    assert 4 <= len(got) == len(server.requests) < 40
    assert all(result.error is None for result in got)


async def test_deadline_with_an_input_that_never_says_anything(client: AsyncOpeAI) -> None:
    async def silent() -> AsyncIterator[dict[str, Any]]:
        await asyncio.sleep(3600)
        yield {}

    results = client.chat.completions.map(silent(), defaults=DEFAULTS, deadline_s=0.1)
    assert [r async for r in results] == []
    assert results.stopped == "deadline"


async def test_deadline_and_drain(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """What is still open drain_s after the deadline is ended."""
    server.handle(echo(20))
    results = client.chat.completions.map(questions(10), defaults=DEFAULTS, concurrency=4, deadline_s=0.1, drain_s=0.1)
    assert [r async for r in results] == []
    assert results.stopped == "deadline"


async def test_max_total_tokens(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Nothing is begun that might break the bound."""
    server.handle(echo())
    results = client.chat.completions.map(questions(5000), defaults=DEFAULTS, concurrency=4, max_total_tokens=3000)
    got = [result async for result in results]
    assert results.stopped == "max_total_tokens"
    used = sum(r.usage.total_tokens for r in got if r.usage)
    assert 1000 < used <= 3000
    assert results.progress.prompt_tokens + results.progress.completion_tokens == used


async def test_max_cost(server: OpeAIServer, client: AsyncOpeAI) -> None:
    server.handle(echo())
    results = client.chat.completions.map(
        questions(5000), defaults=DEFAULTS, concurrency=4, price=lambda _: 0.25, max_cost=10
    )
    got = [result async for result in results]
    assert results.stopped == "max_cost"
    assert 36 <= len(got) <= 44
    assert results.progress.cost == pytest.approx(0.25 * len(got))


async def test_requests_per_minute(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """1200 a minute: a burst of 60, then 19 a second."""
    server.handle(echo())
    results = client.chat.completions.map(questions(80), defaults=DEFAULTS, concurrency=32, requests_per_minute=1200)
    begun = [result.timing.began_s async for result in results]
    assert len(begun) == 80
    assert max(begun) >= 20 / 20


async def test_tokens_per_minute(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Requests wait until the tokens of those before them are paid, or are known to be fewer."""
    server.handle(echo(0.3))
    results = client.chat.completions.map(questions(4), defaults=DEFAULTS, concurrency=32, tokens_per_minute=6000)
    begun = [result.timing.began_s async for result in results]
    assert len(begun) == 4
    assert max(begun) > 0.2


async def test_cache(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Equal requests in flight are one; each has its result, and tokens count once."""
    server.handle(echo(0.2))
    same = [{**question("same"), "custom_id": f"c{i}"} for i in range(10)]
    results = client.chat.completions.map(same, defaults=DEFAULTS, concurrency=10, cache=True)
    got = [result async for result in results]
    assert len(server.requests) == 1
    assert sorted(r.custom_id for r in got) == sorted(r["custom_id"] for r in same)
    assert sum(r.is_shared for r in got) == 9
    assert results.progress.done == 10
    assert results.progress.shared == 9
    assert results.progress.prompt_tokens == got[0].usage.prompt_tokens


async def test_parsed(server: OpeAIServer, client: AsyncOpeAI, tmp_path: Path) -> None:
    """With a type, each result has its value, also from a journal; an answer that is not valid is an error."""

    class City(msgspec.Struct):
        name: str

    async def answer(request: RecordedRequest) -> Answer:
        text = request.json["messages"][-1]["content"]
        return Reply('{"name": 7}' if text == "3" else f'{{"name": "city {text}"}}')

    server.handle(answer)
    path = tmp_path / "run.jsonl"
    how: Any = {"defaults": DEFAULTS, "response_format": City, "journal": path, "concurrency": 2}
    got = {r.index: r async for r in client.chat.completions.map(questions(5), **how)}
    assert [got[i].parsed for i in (0, 1, 2, 4)] == [City(f"city {i}") for i in (0, 1, 2, 4)]
    assert type(got[3].error).__name__ == "InvalidOutputError"
    again = {r.index: r async for r in client.chat.completions.map(questions(3), finished="yield", **how)}
    assert all(r.is_resumed for r in again.values())
    assert [again[i].parsed for i in range(3)] == [City(f"city {i}") for i in range(3)]
    assert len(server.requests) == 5


async def test_a_format_in_the_apis_own_form(server: OpeAIServer, client: AsyncOpeAI) -> None:
    server.handle(echo())
    form = {"type": "json_object"}
    got = [r async for r in client.chat.completions.map(questions(1), defaults=DEFAULTS, response_format=form)]
    assert got[0].parsed is None
    assert server.requests[0].json["response_format"] == form


async def test_batch_lines(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Lines of the Batch format are requests; those for another endpoint are refused."""
    server.handle(echo())
    lines = [
        {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "x", **question(1)}},
        {"custom_id": "b", "method": "POST", "url": "/v1/embeddings", "body": {"input": "x"}},
        {"custom_id": "c", "body": 5},
        {"custom_id": "d", "body": question(4), "temperature": 1},
    ]
    got = {r.custom_id: r async for r in client.chat.completions.map(lines, defaults=DEFAULTS)}
    assert got["a"].error is None
    assert server.requests[0].json["model"] == "x"
    assert all(isinstance(got[name].error, RequestValidationError) for name in "bcd")


async def test_retries_are_the_clients(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """A refusal is tried again inside the call; there is no second loop."""
    server.fail(429, headers={"retry-after-ms": "1"})
    server.reply("fine")
    results = client.chat.completions.map(questions(1), defaults=DEFAULTS, concurrency=1)
    (result,) = [r async for r in results]
    assert [a.status_code for a in result.attempts] == [429, 200]
    assert results.progress.retries == 1
    assert result.timing.waited_s > 0


async def test_max_retries(server: OpeAIServer, client: AsyncOpeAI) -> None:
    async def answer(_: RecordedRequest) -> Answer:
        return Failure(500, headers={"retry-after-ms": "1"})

    server.handle(answer)
    results = client.chat.completions.map(questions(1), defaults=DEFAULTS, concurrency=1, max_retries=1)
    (result,) = [r async for r in results]
    assert len(result.attempts) == 2
    assert results.progress.reasons == {"InternalServerError 500": 1}


async def test_progress(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """A function is told how it goes, each half second and at the end."""
    server.handle(echo(0.05))
    told: list[BulkProgress] = []
    results = client.chat.completions.map(
        list(questions(60)),
        defaults=DEFAULTS,
        concurrency=4,
        progress=told.append,
        price=per_million(1, 2),
    )
    got = [r async for r in results]
    assert len(got) == 60
    assert len(told) >= 2
    assert told[0].eta_s is not None
    last = told[-1]
    assert (last.total, last.done, last.failed, last.running) == (60, 60, 0, 0)
    assert last.cost > 0
    assert last.p50_s == pytest.approx(0.05, rel=1.5)
    assert last.requests_per_s > 0
    assert last == results.progress or last.elapsed_s <= results.progress.elapsed_s


async def test_a_progress_function_that_fails(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Its error is not swallowed."""
    server.handle(echo(0.3))

    def broken(_: BulkProgress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async for _ in client.chat.completions.map(questions(100), defaults=DEFAULTS, concurrency=2, progress=broken):
            pass


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"concurrency": "many"},
        {"concurrency": True},
        {"concurrency": Adaptive(least=5, start=2)},
        {"on_error": "ignore"},
        {"finished": "forget"},
        {"deadline_s": 0},
        {"drain_s": -1},
        {"max_cost": 5},
        {"requests_per_minute": float("nan")},
        {"colour": "red"},
    ],
)
async def test_options_that_cannot_be(client: AsyncOpeAI, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        await anext(client.chat.completions.map(questions(1), defaults=DEFAULTS, **options))


@pytest.mark.parametrize("requests", ["text", {"messages": []}, 5])
async def test_an_input_that_is_none(client: AsyncOpeAI, requests: Any) -> None:
    with pytest.raises(RequestValidationError, match="expected an iterable"):
        await anext(client.chat.completions.map(requests))


async def test_closed_before_it_began(client: AsyncOpeAI) -> None:
    results = client.chat.completions.map(questions(1))
    assert "not begun" in repr(results)
    assert results.progress.done == 0
    assert results.stopped is None
    await results.aclose()
    with pytest.raises(ClientClosedError):
        await anext(results)


async def test_after_the_end(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """It stays at its end."""
    server.handle(echo())
    results = client.chat.completions.map(questions(2), defaults=DEFAULTS)
    assert len([r async for r in results]) == 2
    assert [r async for r in results] == []
    assert results.stopped is None
    assert repr(results) == "<BulkResults done=2 failed=0 stopped=None>"
    await results.aclose()


async def test_no_prompt_in_a_repr(server: OpeAIServer, client: AsyncOpeAI) -> None:
    server.handle(echo(fail="secret"))
    results = client.chat.completions.map([question("secret")], defaults=DEFAULTS)
    (result,) = [r async for r in results]
    assert "secret" not in repr(result)
    assert "secret" not in repr(results)
