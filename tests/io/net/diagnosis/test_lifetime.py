"""A client that nobody closes: one warning in our own words, and nothing left."""

import asyncio
import gc
import sys
import threading
import tracemalloc
import warnings

import pytest

from opeai_async import AsyncOpeAI
from opeai_async._io.net.parts import post as aiohttp_post
from tests.support.clients import KEY, transport_of
from tests.support.leaks import eventually, no_collector
from tests.support.loops.both_loops import anyio_backend, no_descriptor_left  # noqa: F401
from tests.support.reading.chunks import BODY, COMPLETION
from tests.support.servers import tls
from tests.support.servers.raw_server import HEAD, RawServer, chunked, plain


@pytest.fixture(scope="module")
def contexts(tmp_path_factory):
    return tls.contexts(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def said(monkeypatch):
    """What asyncio's exception handlers were told; aiohttp tells its internals there."""
    told = []
    handler = asyncio.BaseEventLoop.default_exception_handler
    monkeypatch.setattr(asyncio.BaseEventLoop, "default_exception_handler", lambda loop, context: told.append(context))
    assert handler
    return told


async def answer(call):
    if b'"stream":true' in call.body:
        await call.send(HEAD + chunked(b"data: {}\n\n"))
        await call.gone()
    else:
        await call.send(plain(COMPLETION, kind=b"application/json"))


def one_warning(caught):
    """The only one of *caught*, which is ours."""
    (only,) = [warning for warning in caught if issubclass(warning.category, ResourceWarning)]
    assert str(only.message).startswith("unclosed <AsyncOpeAI http")
    assert "await client.aclose()" in str(only.message)
    assert KEY not in str(only.message)
    return only


@pytest.mark.parametrize("way", ["http", "https", "session"])
async def test_a_client_that_is_dropped(contexts, monkeypatch, said, way):
    """The server sees its connection end."""
    server_context, trust = contexts
    if way == "session":
        monkeypatch.setattr(aiohttp_post, "is_known", False)
    async with RawServer(answer, tls=server_context if way == "https" else None) as server:
        client = AsyncOpeAI(KEY, base_url=server.base_url, ssl_context=trust)
        await client.chat.completions.create(**BODY)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del client
            gc.collect()
            one_warning(caught)
        await asyncio.wait_for(server.calls[0].gone(), 5)
    assert said == []


async def test_where_warnings_are_errors(said):
    """The connections are closed all the same."""
    async with RawServer(answer) as server:
        client = AsyncOpeAI(KEY, base_url=server.base_url)
        await client.chat.completions.create(**BODY)
        unraisable = []
        hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
        excepthook, sys.excepthook = sys.excepthook, lambda *args: unraisable.append(args)
        try:
            del client
            gc.collect()
        finally:
            sys.unraisablehook, sys.excepthook = hook, excepthook
        assert unraisable
        unraisable.clear()
        await asyncio.wait_for(server.calls[0].gone(), 5)
    assert said == []


async def test_a_client_that_was_closed_or_never_used():
    """Neither owns anything: filterwarnings = error would fail this."""
    async with RawServer(answer) as server:
        for use in (True, False):
            client = AsyncOpeAI(KEY, base_url=server.base_url)
            if use:
                await client.chat.completions.create(**BODY)
                await client.aclose()
            del client
            gc.collect()


async def test_a_client_that_is_dropped_in_another_thread(said):
    async with RawServer(answer) as server:
        client = [AsyncOpeAI(KEY, base_url=server.base_url)]
        await client[0].chat.completions.create(**BODY)

        def drop():
            client.clear()
            gc.collect()

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            thread = threading.Thread(target=drop)
            thread.start()
            await eventually(lambda: not thread.is_alive())
            one_warning(caught)
        await asyncio.wait_for(server.calls[0].gone(), 5)
    assert said == []


async def test_a_stream_outlives_its_client(said):
    """While it is there, its client may be forgotten; each is told of when it goes, and nothing is left."""
    async with RawServer(answer) as server:
        stream = AsyncOpeAI(KEY, base_url=server.base_url).chat.completions.stream(**BODY)
        await stream.open()
        gc.collect()
        assert not server.calls[0]._peer.gone.is_set()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del stream
            gc.collect()
            assert [str(warning.message).split()[1] for warning in caught] == ["<ChatCompletionStream"]
            caught.clear()  # which held the stream
            await eventually(lambda: gc.collect() >= 0 and len(caught) == 1)
            one_warning(caught)
        await asyncio.wait_for(server.calls[0].gone(), 5)
    assert said == []


async def test_the_place_where_it_was_made():
    """tracemalloc knows it."""
    async with RawServer(answer) as server:
        tracemalloc.start(10)
        try:
            client = AsyncOpeAI(KEY, base_url=server.base_url)
            await client.chat.completions.create(**BODY)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                del client
                gc.collect()
            trace = tracemalloc.get_object_traceback(one_warning(caught).source)
        finally:
            tracemalloc.stop()
    assert any(frame.filename == __file__ for frame in trace)


async def test_without_the_collector(said):
    """A client's parts go with it by reference counts, too, where nothing else holds them."""
    async with RawServer(answer) as server, no_collector():
        client = AsyncOpeAI(KEY, base_url=server.base_url)
        await client.chat.completions.create(**BODY)
        transport = transport_of(client)
        await client.aclose()
        assert transport._lifetime._finalizer.alive is False
    assert said == []
