"""A thousand sockets at once."""

import asyncio
import resource

import pytest

from opeai_async.testing import OpeAIServer, Reply
from tests.relay.endpoints import answering

SOCKETS = 1_000
DESCRIPTORS_EACH = 4  # both ends of the client's socket and of the upstream's connection


@pytest.fixture
def many_files():
    """Allows this process as many open files as a thousand sockets need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = SOCKETS * DESCRIPTORS_EACH + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"the system allows {hard} open files, the test needs {wanted}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.time_limit(120)
async def test_a_thousand_sockets(serve, visit, many_files):
    """All are open at once; then a third each stops, leaves and resets, and every upstream connection is closed."""
    async with OpeAIServer() as upstream, upstream.client(max_connections=None) as client:
        upstream.answer(Reply("One two three", ending="stall", after=3), times=None)
        service = await serve(answering(client))
        visitors = [await visit(service) for _ in range(SOCKETS)]
        await asyncio.gather(*(visitor.receive_until("content") for visitor in visitors))
        assert service.open == upstream.connections_open == SOCKETS

        for visitor in visitors[0::3]:
            await visitor.say("stop")
        for visitor in visitors[1::3]:
            await visitor.close()
        for visitor in visitors[2::3]:
            visitor.abort()
        await asyncio.gather(*(visitor.receive_until("done") for visitor in visitors[0::3]))
        await service.wait_result(SOCKETS)
        await upstream.wait_disconnected()
        for visitor in visitors:
            visitor.abort()
        assert {request.outcome for request in upstream.requests} == {"client_gone"}
        reasons = [result.reason for result in service.results]
        assert reasons.count("stopped") == len(visitors[0::3])
        assert reasons.count("disconnected") == SOCKETS - len(visitors[0::3])


@pytest.mark.time_limit(120)
async def test_a_thousand_whole_answers(serve, visit, many_files):
    """Each client gets its own answer, by value."""

    async def tell_apart(request):
        return Reply(f"This is answer {request.index} and no other. " * 5)

    async with OpeAIServer() as upstream, upstream.client(max_connections=None) as client:
        upstream.handle(tell_apart)
        service = await serve(answering(client))
        visitors = [await visit(service) for _ in range(SOCKETS)]
        await asyncio.gather(*(visitor.receive_until("done") for visitor in visitors))
        await service.wait_result(SOCKETS)
        said = {visitor.text for visitor in visitors}
        assert said == {f"This is answer {index} and no other. " * 5 for index in range(SOCKETS)}
        assert {result.reason for result in service.results} == {"completed"}
