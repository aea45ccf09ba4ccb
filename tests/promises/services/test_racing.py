"""``race``: work for a client that may leave before it is done."""

import asyncio
import contextlib
import importlib.util
from typing import NoReturn

import anyio
import pytest
from aiohttp import WSMessage, WSMsgType, web

from benchmarks.relay.services import uvicorn_running
from opeai_async import ConfigurationError, race
from opeai_async.testing import OpeAIServer, Reply
from tests.support.reading.chunks import BODY

SOON_S = 0.001


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request):
    """Each loop, as far as it is installed."""
    if request.param == "uvloop" and not importlib.util.find_spec("uvloop"):
        pytest.skip("uvloop is not installed")
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture(autouse=True)
async def no_task_left():
    """Whatever happens, the watcher has ended when ``race`` returns, and the task is not left cancelled."""
    before = asyncio.all_tasks()
    yield
    assert not {task for task in asyncio.all_tasks() - before if "race" in task.get_name()}


class Work:
    """Waits until it is told to end.

    Attributes:
        state: What became of it.
    """

    def __init__(self):
        self.state = "not begun"
        self.begun = asyncio.Event()
        self.end = asyncio.Event()

    async def run(self):
        self.begun.set()
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.state = "cancelled"
            raise
        self.state = "done"
        return "result"


async def never():
    await asyncio.Event().wait()


def polls(*answers):
    """A predicate that gives *answers*, one after the other."""
    left = iter(answers)

    async def is_disconnected():
        return next(left)

    return is_disconnected


async def test_work_that_is_done():
    work = Work()
    work.end.set()
    assert await race(work.run(), polls(*[False] * 100), poll=SOON_S) == "result"
    assert asyncio.current_task().cancelling() == 0


async def test_work_that_fails():
    async def work():
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await race(work(), never)


SIGNS = {
    "a predicate": lambda: polls(False, False, True),
    "a predicate that waits for nothing": lambda: lambda: True,
    "a receive of ASGI": lambda: polls({"type": "http.request"}, {"type": "http.disconnect"}),
    "a websocket of ASGI": lambda: polls({"type": "websocket.receive", "text": "x"}, {"type": "websocket.disconnect"}),
    "a function that waits": lambda: lambda: asyncio.sleep(SOON_S),
    "a message of aiohttp": lambda: polls("text", WSMessage(WSMsgType.CLOSED, None, None)),
}


@pytest.mark.parametrize("sign", SIGNS)
async def test_a_client_that_has_gone(sign):
    """The work is cancelled, None comes back, and the task can go on."""
    work = Work()
    assert await race(work.run(), SIGNS[sign](), poll=SOON_S) is None
    assert work.state == "cancelled"
    assert asyncio.current_task().cancelling() == 0
    await asyncio.sleep(0)


@pytest.mark.parametrize("kind", ["coroutine", "future", "task"])
async def test_an_awaitable_that_ends_when_the_client_goes(kind):
    left = asyncio.Event()
    loop, work = asyncio.get_running_loop(), Work()
    if kind == "future":
        gone = loop.create_future()
        loop.call_later(SOON_S, gone.set_result, None)
    else:
        gone = left.wait() if kind == "coroutine" else asyncio.ensure_future(left.wait())
        loop.call_later(SOON_S, left.set)
    assert await race(work.run(), gone) is None
    assert work.state == "cancelled"


async def test_a_future_of_somebody_else_is_left_alone():
    """It may be raced against more than once."""
    gone = asyncio.get_running_loop().create_future()
    for _ in range(3):
        work = Work()
        work.end.set()
        assert await race(work.run(), gone) == "result"
    assert not gone.done()
    gone.set_result(None)
    assert await race(Work().run(), gone) is None


async def test_work_that_is_a_task():
    work = Work()
    task = asyncio.ensure_future(work.run())
    assert await race(task, lambda: True) is None
    assert task.cancelled()


async def test_both_at_once():
    """What is done is paid for: the result counts."""
    work, left = Work(), asyncio.Event()
    racing = asyncio.ensure_future(race(work.run(), left.wait()))
    await work.begun.wait()
    work.end.set()
    left.set()
    assert await racing == "result"


async def test_work_that_finishes_although_it_is_cancelled():
    async def stubborn():
        try:
            await never()
        except asyncio.CancelledError:
            return "result"

    assert await race(stubborn(), lambda: True) == "result"
    assert asyncio.current_task().cancelling() == 0
    await asyncio.sleep(0)


async def test_work_that_fails_when_it_is_cancelled():
    async def clumsy() -> NoReturn:
        try:
            await never()
        finally:
            raise LookupError("while closing")

    with pytest.raises(LookupError, match="while closing"):
        await race(clumsy(), lambda: True)
    assert asyncio.current_task().cancelling() == 0


# --- errors ----------------------------------------------------------------------------------------------------------


async def test_a_predicate_that_fails():
    """It is the program's mistake, and is told; the work has ended before."""

    async def gone() -> NoReturn:
        raise LookupError("a mistake")

    work = Work()
    with pytest.raises(LookupError, match="a mistake"):
        await race(work.run(), gone)
    assert work.state == "cancelled"
    assert asyncio.current_task().cancelling() == 0


async def test_a_predicate_that_fails_when_the_work_is_done():
    work = Work()
    work.end.set()

    async def gone() -> NoReturn:
        await asyncio.sleep(0)
        raise LookupError("a mistake")

    assert await race(work.run(), gone) == "result"


async def test_a_predicate_that_was_called():
    """``race(..., request.is_disconnected())``: the error says what is meant."""
    with pytest.raises(ConfigurationError, match="gave False") as caught:
        await race(Work().run(), polls(False)())
    assert "without calling it" in caught.value.hint


async def test_a_predicate_that_was_called_and_never_asked():
    """No warning that it was never awaited."""

    async def work():
        return 1

    assert await race(work(), polls(False)()) == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (lambda: ("text", never), "work is a str, expected something to await"),
        (lambda: (Work().run(), True), "gone is a bool, expected a function or an awaitable"),
        (lambda: (Work().run(), never, 0), "poll is 0, expected more than 0 seconds"),
        (lambda: (Work().run(), never(), -1), "poll is -1"),
    ],
)
async def test_arguments_that_cannot_be_used(arguments, complaint):
    """Nothing has begun then, and no coroutine is left that was never awaited."""
    work, gone, *poll = arguments()
    with pytest.raises(ConfigurationError, match=complaint):
        await race(work, gone, **({"poll": poll[0]} if poll else {}))


# --- cancellation ----------------------------------------------------------------------------------------------------


async def test_the_callers_cancellation_reaches_the_work():
    work = Work()
    racing = asyncio.ensure_future(race(work.run(), never))
    await work.begun.wait()
    racing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await racing
    assert work.state == "cancelled"


async def test_cancelled_twice_while_the_watcher_ends():
    """It waits for the watcher, and is cancelled all the same."""
    is_closing, may_close = asyncio.Event(), asyncio.Event()

    async def gone():
        try:
            await never()
        finally:
            is_closing.set()
            with contextlib.suppress(asyncio.CancelledError):
                await may_close.wait()

    work = Work()
    racing = asyncio.ensure_future(race(work.run(), gone))
    await work.begun.wait()
    await asyncio.sleep(0)
    racing.cancel()
    await is_closing.wait()
    racing.cancel()
    racing.cancel()
    await asyncio.sleep(0)
    assert not racing.done()
    may_close.set()
    with pytest.raises(asyncio.CancelledError):
        await racing


async def test_gone_and_cancelled_at_once():
    """A cancellation from outside is never taken for the client's leaving."""
    work, left = Work(), asyncio.get_running_loop().create_future()
    racing = asyncio.ensure_future(race(work.run(), left))
    await work.begun.wait()
    await asyncio.sleep(0)
    left.set_result(None)
    racing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await racing


async def test_deadlines():
    """Of asyncio and anyio, around it and inside of it."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON_S):
            await race(never(), never)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(race(never(), never), SOON_S)
    with anyio.move_on_after(SOON_S) as scope:
        await race(never(), never)
    assert scope.cancelled_caught

    async def work():
        with anyio.move_on_after(SOON_S):
            await never()
        return "late"

    assert await race(work(), never) == "late"
    with anyio.CancelScope() as scope:
        assert await race(never(), lambda: True) is None
    assert not scope.cancelled_caught
    assert asyncio.current_task().cancelling() == 0


async def test_within_a_task_group():
    """A sibling's failure cancels the work; the client's leaving does not cancel the siblings."""
    work = Work()

    async def fail():
        await asyncio.sleep(SOON_S)
        raise LookupError

    with pytest.raises(ExceptionGroup):  # noqa: PT012 - a group is a block
        async with asyncio.TaskGroup() as group:
            group.create_task(race(work.run(), never))
            group.create_task(fail())
    assert work.state == "cancelled"
    async with asyncio.TaskGroup() as group:
        sibling = group.create_task(asyncio.sleep(2 * SOON_S, "here"))
        assert await race(never(), lambda: True) is None
    assert sibling.result() == "here"


# --- real services ---------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def aiohttp_service(answer, gone):
    async def handle(request):
        return web.json_response(await answer(gone(request)))

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def starlette_service(answer, gone):
    pytest.importorskip("uvicorn")
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def handle(request):
        await request.json()
        return JSONResponse(await answer(gone(request)))

    async with uvicorn_running(Starlette(routes=[Route("/", handle, methods=["POST"])])) as port:
        yield port


SERVICES = {
    "aiohttp": (aiohttp_service, lambda request: lambda: request.transport is None),
    "starlette": (starlette_service, lambda request: request.receive),
    "starlette, polled": (starlette_service, lambda request: request.is_disconnected),
}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("leaves", [False, True])
async def test_a_handler_that_only_awaits_create(service, leaves):
    """Its client leaves: the upstream's connection is closed at once, and the model does not go on for nobody."""
    serve, gone = SERVICES[service]
    results, is_over = [], asyncio.Event()
    with OpeAIServer() as upstream:  # in a loop of its own
        upstream.answer(Reply("Too late" if leaves else "In time", delay_s=60 if leaves else 0))
        async with upstream.client() as client:

            async def answer(gone):
                results.append(await race(client.chat.completions.create(**BODY), gone, poll=0.01))
                is_over.set()
                return results[-1] and results[-1].choices[0].message.content

            async with serve(answer, gone) as port:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
                writer.write(head.encode())
                request = await upstream.wait_received()
                if leaves:
                    writer.close()
                    assert (await upstream.wait_closed(request)).outcome == "client_gone"
                    await is_over.wait()
                    assert results == [None]
                else:
                    assert await reader.readuntil(b"In time")
                    assert upstream.requests[0].outcome == "completed"
                    writer.close()
                await writer.wait_closed()
