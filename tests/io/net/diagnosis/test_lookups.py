"""Names that cannot be looked up: for want of descriptors, or of a thread."""

import asyncio
import contextlib
import os
import resource
import socket
import threading

import aiohttp
import pytest

from opeai_async import APITimeoutError, AsyncOpeAI, ConfigurationError, LocalResourceError, OpeAIError, Timeouts
from opeai_async._io.net.diagnosis import lookups as aiohttp_lookups
from tests.support.clients import KEY
from tests.support.loops.both_loops import anyio_backend, no_descriptor_left  # noqa: F401
from tests.support.reading.chunks import BODY


@pytest.fixture(params=["threads", "aiodns"], autouse=True)
def resolver(request, monkeypatch):
    """Both of aiohttp's ways to look a name up."""
    if request.param == "threads":
        monkeypatch.setattr(aiohttp, "DefaultResolver", aiohttp.ThreadedResolver)
    else:
        pytest.importorskip("aiodns")
        monkeypatch.setattr(aiohttp, "DefaultResolver", aiohttp.AsyncResolver)
    return request.param


@contextlib.contextmanager
def no_descriptors(spare):
    """All but *spare* descriptors of this process are taken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 40, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        for _ in range(spare):
            os.close(taken.pop())
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def error_of(base_url, **options):
    async with AsyncOpeAI(KEY, base_url=base_url, **options) as client:
        with pytest.raises(OpeAIError) as caught:
            await client.chat.completions.create(**BODY)
    return caught.value


@pytest.mark.parametrize("spare", [0, 1])
async def test_out_of_descriptors(spare):
    """While a name is looked up that needs a question to a server: said as it is, and not tried again."""
    await error_of("http://127.0.0.1:1/v1", max_retries=0)  # all is imported
    with no_descriptors(spare):
        error = await error_of("https://some.name.invalid/v1", max_retries=2)
    assert isinstance(error, LocalResourceError)
    assert "Too many open files" in str(error)
    assert len(error.attempts) == 1


async def test_a_name_that_is_not_there():
    """With descriptors to spare, that is what it is."""
    error = await error_of("https://some.name.invalid/v1", max_retries=0)
    assert not isinstance(error, LocalResourceError)
    assert "no connection to some.name.invalid:443" in str(error)


async def test_an_executor_that_is_full(resolver):
    """The lookup has not begun when the limit for connections ends; uvloop and aiodns need no thread of it."""
    is_asyncio = isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop)
    release = threading.Event()
    loop = asyncio.get_running_loop()
    blockers = [loop.run_in_executor(None, release.wait) for _ in range(64)]
    try:
        error = await error_of("http://localhost:1/v1", max_retries=0, timeouts=Timeouts(connect_s=0.2))
    finally:
        release.set()
        await asyncio.gather(*blockers)
    if is_asyncio and resolver == "threads":
        assert isinstance(error, APITimeoutError)
        assert "has not begun" in str(error)
        assert "asyncio.to_thread" in error.hint
    else:
        assert "executor" not in str(error)
    await loop.shutdown_default_executor()


async def test_a_lookup_that_hangs(monkeypatch):
    async def hang(*_, **__):
        await asyncio.sleep(60)

    monkeypatch.setattr(aiohttp_lookups.Lookups, "resolve", hang)
    error = await error_of("http://localhost:1/v1", max_retries=0, timeouts=Timeouts(connect_s=0.1))
    assert isinstance(error, APITimeoutError)
    assert "the lookup of its name has not ended" in str(error)
    assert "DNS" in error.hint


async def test_a_resolver_that_cannot_run(monkeypatch):
    """Threads do it then."""

    def refuse():
        raise RuntimeError("not on this loop")

    monkeypatch.setattr(aiohttp, "DefaultResolver", refuse)
    assert "no connection to localhost:1" in str(await error_of("http://localhost:1/v1", max_retries=0))


@pytest.mark.parametrize("error", [NotImplementedError(), AttributeError("create_connection")])
async def test_a_loop_without_tls(monkeypatch, error):
    """It is named, and what to do."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        async def lacking(*args, **kwargs):
            if isinstance(error, AttributeError):
                _ = loop.no_such_method
            raise error

        if not isinstance(loop, asyncio.BaseEventLoop):
            pytest.skip("a class of C takes no method")
        monkeypatch.setattr(loop, "create_connection", lacking)
        found = await error_of(f"https://127.0.0.1:{listener.getsockname()[1]}/v1")
    assert isinstance(found, ConfigurationError)
    assert f"{type(loop).__module__}.{type(loop).__qualname__}" in str(found)
    assert "uvloop" in found.hint
