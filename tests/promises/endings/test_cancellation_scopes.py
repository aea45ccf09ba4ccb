"""Cancelled from outside, as programs do it: by timeouts, by scopes that cancel at each await, and by task groups.

tests/promises/endings cancels at every single await, from inside. Here it is the cancelling side that differs: each
kind must see its own end and nothing else, and have nothing of it left on its task; the server must see its client go;
and the client goes on. Each is run with the loop's own tasks, and with eager ones where Python has them.
"""

import asyncio
import sys
from contextlib import aclosing

import anyio
import pytest

from opeai_async import ClientClosedError, InternalServerError, Outcome, StreamSession, sse
from opeai_async.testing import Reply
from tests.support.clients import open_responses, texts
from tests.support.leaks import eventually
from tests.support.loops.loops import chosen
from tests.support.reading.chunks import BODY

# Where the machine is busy, a call may not have begun within the first of them.
MOMENTS_S = (0.03, 0.3, 3.0)


@pytest.fixture(autouse=True, params=["own tasks", "eager tasks"])
async def tasks(request):
    """Tasks as the loop makes them, and tasks that begin at once."""
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    if request.param == "eager tasks":
        if sys.version_info < (3, 12):
            pytest.skip("eager tasks need Python 3.12")
        if chosen() == "uvloop":
            pytest.skip("uvloop 0.23 hands the factory an argument which that of CPython 3.13.0 does not take")
        loop.set_task_factory(asyncio.eager_task_factory)
    yield
    loop.set_task_factory(before)


# --- who cancels -----------------------------------------------------------------------------------------------------


class Enough(Exception):
    """What ends a task group."""


async def timeout(work, moment_s):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(moment_s):
            await work()


async def timeouts_that_end_together(work, moment_s):
    async def both():
        async with asyncio.timeout(moment_s) as outer:
            async with asyncio.timeout_at(outer.when()):
                await work()

    with pytest.raises(TimeoutError):
        await both()


async def wait_for(work, moment_s):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(work(), moment_s)


async def scope(work, moment_s):
    """anyio's, which cancels again at each await until the block is left."""
    with anyio.move_on_after(moment_s) as scope:
        try:
            await work()
        finally:
            for _ in range(3):
                with pytest.raises(asyncio.CancelledError):
                    await anyio.sleep(1)
    assert scope.cancelled_caught


async def a_scope_in_a_cancelled_scope(work, moment_s):
    with anyio.move_on_after(moment_s) as outer:
        with anyio.move_on_after(60) as inner:
            await work()
    assert (outer.cancelled_caught, inner.cancelled_caught) == (True, False)


async def many_cancels(work, moment_s):
    task = asyncio.create_task(work())
    await asyncio.sleep(moment_s)
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    assert task.cancelled()


async def task_group(work, moment_s):
    async def group_of_both():
        async with asyncio.TaskGroup() as group:
            group.create_task(work())
            await asyncio.sleep(moment_s)
            raise Enough

    with pytest.raises(ExceptionGroup) as caught:
        await group_of_both()
    assert [type(error) for error in caught.value.exceptions] == [Enough]


async def task_group_of_anyio(work, moment_s):
    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await anyio.sleep(moment_s)
        group.cancel_scope.cancel()


WAYS = (
    timeout,
    timeouts_that_end_together,
    wait_for,
    scope,
    a_scope_in_a_cancelled_scope,
    many_cancels,
    task_group,
    task_group_of_anyio,
)


# --- what is cancelled -----------------------------------------------------------------------------------------------


async def late(_):
    return Reply("late", delay_s=60)


async def silent(_):
    return Reply("one two three", ending="stall", after=3)


async def forever(_=None):
    await asyncio.Event().wait()


async def swallow(_):
    pass


async def create(client):
    await client.chat.completions.create(**BODY)


async def opening(client):
    await client.chat.completions.create(**BODY, stream=True)


async def reading(client):
    async with client.chat.completions.stream(**BODY) as stream:
        async for _ in stream:
            pass


async def reading_text(client):
    async with client.chat.completions.stream(**BODY) as stream:
        async for _ in stream.text():
            pass


async def completion(client):
    async with client.chat.completions.stream(**BODY) as stream:
        await stream.completion()


async def between_two_reads(client):
    async with client.chat.completions.stream(**BODY) as stream:
        await anext(stream)
        await forever()


async def aclose_in_a_block_that_is_left(client):
    stream = await client.chat.completions.create(**BODY, stream=True)
    try:
        await forever()
    finally:
        await stream.aclose()


async def events(client):
    async with aclosing(sse(client.chat.completions.stream(**BODY))) as data:
        async for _ in data:
            pass


async def events_that_nobody_closes(client):
    async for _ in sse(client.chat.completions.stream(**BODY)):
        pass


async def relay(client):
    await client.chat.completions.stream(**BODY).relay(send=swallow)


async def relay_of_a_client_that_is_heard(client):
    await client.chat.completions.stream(**BODY).relay(send=swallow, receive=forever)


async def relay_to_a_client_that_takes_nothing(client):
    await client.chat.completions.stream(**BODY).relay(send=forever)


async def run(client):
    async with client.chat.completions.run(tools=[], **BODY) as run:
        await run.result()


async def session(client):
    session = StreamSession.start(client.chat.completions.stream(**BODY))
    async with session, session.subscribe() as reader:
        while await reader.read():
            pass


USES = {
    create: late,
    opening: late,
    reading: silent,
    reading_text: silent,
    completion: silent,
    between_two_reads: silent,
    aclose_in_a_block_that_is_left: silent,
    events: silent,
    events_that_nobody_closes: silent,
    relay: silent,
    relay_of_a_client_that_is_heard: silent,
    relay_to_a_client_that_takes_nothing: silent,
    run: silent,
    session: silent,
}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
async def test_cancelled_from_outside(way, use, server, client):
    """The way ends as it always does, the upstream is closed, and the next call is answered."""
    await create(client)
    server.handle(USES[use])
    for moment_s in MOMENTS_S:
        await way(lambda: use(client), moment_s)
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0.02)  # what was sent may not have been read yet
        if len(server.requests) > 1:
            break
    assert (await server.wait_closed(1)).outcome == "client_gone"
    server.handle(None)
    await eventually(lambda: open_responses(client) == 0)
    assert (await client.chat.completions.create(**BODY)).choices


@pytest.mark.parametrize("way", [timeout, wait_for, scope, a_scope_in_a_cancelled_scope], ids=lambda way: way.__name__)
async def test_a_read_that_is_cancelled_again_and_again_loses_nothing(way, server, client):
    """Each read has a limit that is shorter than the answer's pauses; in the end all of it is there, once."""
    server.reply("one two three four five", token_delay_s=1.7 * MOMENTS_S[0])
    stream, words = client.chat.completions.stream(**BODY), []

    async def read():
        while stream.outcome is Outcome.OPEN:
            words.extend(texts(await anext(stream.batches(), [])))
        await forever()

    while stream.outcome is Outcome.OPEN:
        await way(read, MOMENTS_S[0])
    assert "".join(words) == "one two three four five"
    assert stream.outcome is Outcome.COMPLETE
    assert len(server.requests) == 1


@pytest.mark.parametrize("what", ["stream", "client"])
async def test_closing_in_a_scope_that_is_cancelled_already(what, server):
    """It closes: a reader in another task wakes, and the server sees its client go."""
    server.handle(silent)
    client = server.client()
    stream = client.chat.completions.stream(**BODY)
    await anext(stream)
    reader = asyncio.create_task(stream.completion())
    await asyncio.sleep(0)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await (stream if what == "stream" else client).aclose()
    with pytest.raises(Exception, match="closed") as caught:
        await reader
    assert isinstance(caught.value, ClientClosedError) == (what == "stream")
    assert (await server.wait_closed()).outcome == "client_gone"
    await client.aclose()
    await server.wait_disconnected()


async def test_a_group_whose_calls_all_succeed(server, client):
    """Forty at once; each gets its own answer."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(client.chat.completions.create(**BODY)) for _ in range(40)]
    assert all(task.result().choices for task in tasks)
    assert len(server.requests) == 40


async def test_a_group_in_which_one_call_fails(server, client):
    """Its siblings are cancelled, their upstreams are closed, and the group holds that one error."""

    async def six():
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(completion(client))
            await server.wait_received(5)
            server.fail(500)
            group.create_task(client.chat.completions.create(**BODY, max_retries=0))

    server.handle(silent)
    with pytest.raises(ExceptionGroup) as caught:
        await six()
    assert [type(error) for error in caught.value.exceptions] == [InternalServerError]
    for k in range(5):
        assert (await server.wait_closed(k)).outcome == "client_gone"
