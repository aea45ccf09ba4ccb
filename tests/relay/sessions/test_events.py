"""A session as server-sent events: a browser that comes back says in ``Last-Event-ID`` how far it came."""

import pytest

from opeai_async import StreamSession, sse
from opeai_async.testing import OpeAIServer
from tests.support.leaks import no_leaks
from tests.support.reading.chunks import BODY
from tests.support.reading.event_streams import all_of, frames_in

TEXT = "one two three"


@pytest.mark.parametrize("last_event_id", range(len(TEXT) + 4))
async def test_a_browser_that_comes_back_gets_the_rest(last_event_id):
    """Wherever it was cut off: no character is lost, and none comes twice; and the end comes in any case."""
    async with no_leaks(), OpeAIServer() as server, server.client() as client:
        server.reply(TEXT)
        session = StreamSession.start(client.chat.completions.stream(**BODY))
        await session.completion()
        frames = frames_in(await all_of(session.subscribe(after=last_event_id)))
    text = "".join(frame.text for frame in frames if frame.__struct_config__.tag == "content")
    assert text == TEXT[max(last_event_id - 1, 0) :]  # `start` is the first position
    assert frames[-1].__struct_config__.tag == "done"


async def test_a_browser_that_leaves_ends_nothing_but_its_own_reading():
    """The answer goes on, and is whole for whoever comes next."""
    async with no_leaks(), OpeAIServer(token_delay_s=0.005) as server, server.client() as client:
        server.reply(TEXT)
        session = StreamSession.start(client.chat.completions.stream(**BODY))
        first = sse(session.subscribe())
        await anext(first)
        await first.aclose()
        assert (await session.completion()).choices[0].message.content == TEXT
