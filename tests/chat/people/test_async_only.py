"""``for`` and ``with`` in place of ``async for`` and ``async with``: what is said, and that it stays a mistake."""

import pytest

from opeai_async import AsyncOpeAI, StreamSession
from opeai_async.testing import OpeAIServer

ASK = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
async def client():
    async with OpeAIServer() as server, server.client() as client:
        yield client


async def things(client: AsyncOpeAI):
    """(thing, is iterated, is entered) of each kind that lives on an event loop."""
    completions = client.chat.completions
    session = StreamSession.start(completions.stream(**ASK))
    yield client, False, True
    yield completions.stream(**ASK), True, True
    yield completions.run(**ASK, tools=[]), True, True
    yield completions.map([ASK]), True, True
    yield client.models.list(), True, False
    yield session, False, True
    yield session.subscribe(), True, True


async def test_for_and_with_are_refused_in_words(client):
    """A TypeError, as Python's own would be, that says what to write."""
    async for thing, is_iterated, is_entered in things(client):
        if is_iterated:
            with pytest.raises(TypeError, match="`async for`, not with `for`"):
                list(thing)
        if is_entered:
            with pytest.raises(TypeError, match="`async with`, not with `with`"), thing:
                pytest.fail("it was entered")


def test_an_answer_that_was_not_awaited():
    """A call for the models is made when it is awaited."""
    call = AsyncOpeAI("sk-test-x").models.list()
    with pytest.raises(AttributeError, match=r"await it first: \(await client.models.list\(\)\)\.data"):
        _ = call.data
