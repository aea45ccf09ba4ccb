"""A thousand sockets at once."""

import asyncio
import resource
from collections import Counter

import pytest

from opeai_async.testing import OpeAIServer, Reply
from tests.relay.servers.endpoints import conversing

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


def said(k):
    return f"This is answer {k} and no other."


async def answer(request):
    """A whole answer to every fourth question, and silence after three chunks to the others."""
    k = int(request.json["messages"][-1]["content"])
    return Reply(said(k)) if k % 4 == 0 else Reply(said(k), ending="stall", after=3)


@pytest.mark.time_limit(120)
@pytest.mark.parametrize("framework", ["aiohttp", "starlette", "websockets"], indirect=True)
async def test_a_thousand_sockets(serve, visit, many_files):
    """All are open at once. A quarter gets its own answer; the others stop, leave or reset, and close the upstream."""
    async with OpeAIServer() as upstream, upstream.client() as client:
        upstream.handle(answer)
        service = await serve(conversing(client))
        visitors = [await visit(service) for _ in range(SOCKETS)]
        for k, visitor in enumerate(visitors):
            await visitor.say(str(k))
        await asyncio.gather(*(visitor.receive_until("content") for visitor in visitors))
        assert service.open == SOCKETS
        await asyncio.gather(*(visitor.receive_until("done") for visitor in visitors[0::4]))
        assert [visitor.text for visitor in visitors[0::4]] == [said(k) for k in range(0, SOCKETS, 4)]

        for visitor in visitors[1::4]:
            await visitor.say("stop")
        for visitor in visitors[2::4]:
            await visitor.close()
        for visitor in visitors[3::4]:
            visitor.abort()
        await asyncio.gather(*(visitor.receive_until("done") for visitor in visitors[1::4]))
        for visitor in visitors:
            visitor.abort()
        await service.wait_result(SOCKETS)
        for request in upstream.requests:
            await upstream.wait_closed(request)

    counts = Counter(result.reason for (result,) in service.results)
    assert counts == {"completed": SOCKETS / 4, "stopped": SOCKETS / 4, "disconnected": SOCKETS / 2}
    assert Counter(request.outcome for request in upstream.requests) == {
        "completed": SOCKETS / 4,
        "client_gone": SOCKETS * 3 / 4,
    }
