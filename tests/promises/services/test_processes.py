"""Forks, loops and threads, with an upstream behind TLS: a client serves whatever uses it next, on each loop."""

import asyncio
import importlib.util
import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from opeai_async import AsyncOpeAI, ConfigurationError
from tests.support.reading.chunks import BODY
from tests.support.servers.tls_server import TLSServer, trust


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    """``asyncio.run``, on each loop."""
    if request.param == "uvloop":
        return pytest.importorskip("uvloop").run
    return asyncio.run


@pytest.fixture
def server():
    with TLSServer() as server:
        yield server


@pytest.fixture
def client(server):
    return AsyncOpeAI("sk-test", base_url=server.base_url, ssl_context=trust(), max_retries=0)


async def ask(client):
    """One awaited answer and one streamed one; returns how many characters they have."""
    completion = await client.chat.completions.create(**BODY)
    async with client.chat.completions.stream(**BODY) as stream:
        text = "".join([text async for text in stream.text()])
    return len(completion.choices[0].message.content), len(text)


async def once(client):
    answer = await ask(client)
    await client.aclose()
    return answer


def test_one_client_over_several_loops(run, server, client):
    """Each gets connections of its own."""
    answers = {run(ask(client)) for _ in range(3)}
    assert len(answers) == 1
    assert server.connections_total == 3
    run(client.aclose())


def test_threads_with_a_client_each(run, server):
    def work(_):
        with_key = AsyncOpeAI("sk-test", base_url=server.base_url, ssl_context=trust(), max_retries=0)
        return run(once(with_key))

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(work, range(8)))) == 1


def test_one_client_in_two_threads_at_once(run, server, client):
    """The second one is told so; the first does not notice."""
    server.reply("one two three", token_delay_s=0.01)
    used, may_end = threading.Event(), threading.Event()

    async def first():
        stream = client.chat.completions.stream(**BODY)
        await anext(stream)
        used.set()
        await asyncio.to_thread(may_end.wait)
        text = (await stream.completion()).choices[0].message.content
        await client.aclose()
        return text

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(run, first())
        used.wait(10)
        with pytest.raises(ConfigurationError, match="in use by another event loop"):
            run(ask(client))
        may_end.set()
        assert reading.result() == "one two three"


def in_a_child(run, client, results):
    results.put(run(ask(client)))


# The server's thread is not in the child, and nothing of it is used there.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_client_that_was_used_before_a_fork(run, server, client):
    """No connection is shared: each child makes its own, and the parent's works on."""
    before = run(ask(client))
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    children = [context.Process(target=in_a_child, args=(run, client, results)) for _ in range(2)]
    for child in children:
        child.start()
    assert {results.get(timeout=20) for _ in children} == {before}
    for child in children:
        child.join(20)
        assert child.exitcode == 0
    assert run(once(client)) == before
    results.close()
    assert server.connections_total == 4


@pytest.mark.skipif(not importlib.util.find_spec("nest_asyncio"), reason="nest_asyncio is not installed")
def test_nest_asyncio(server):
    """A loop that runs within itself, as in notebooks; in a process of its own, because it changes asyncio."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    child = context.Process(target=nested, args=(server.base_url, results))
    child.start()
    assert results.get(timeout=30) == "fine"
    child.join(20)
    results.close()


def nested(base_url, results):
    import nest_asyncio

    nest_asyncio.apply()

    async def main():
        async with AsyncOpeAI("sk-test", base_url=base_url, ssl_context=trust()) as client:
            outer = await ask(client)
            inner = asyncio.get_running_loop().run_until_complete(ask(client))
            assert outer == inner

    asyncio.run(main())
    results.put("fine")
