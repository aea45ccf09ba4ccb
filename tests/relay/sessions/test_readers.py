"""Readers at any position, that go and come back at any offset: all end with the same."""

import asyncio

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from opeai_async import MemoryStore, StreamSession
from opeai_async.types.frames import ReasoningFrame, ToolCallFrame
from tests.support.leaks import eventually, no_leaks
from tests.support.reading.streams import texts
from tests.support.servers.faucet import Faucet, all_of, said

READERS = 3


@given(st.data())
def test_all_readers_end_with_the_same(data):
    """Several choices and tool calls at once; readers that stay, come late, and come back anywhere: all have it all."""
    asyncio.run(read_in_turns(data))


async def read_in_turns(data):
    async with no_leaks():
        faucet = Faucet()
        session = StreamSession.start(faucet, store=MemoryStore())
        readers = [Reader(session) for _ in range(READERS)]
        for _ in range(data.draw(st.integers(1, 12))):
            for kind in data.draw(st.lists(st.sampled_from(["0", "1", "thought", "call"]), max_size=3)):
                pour(faucet, kind, data.draw(texts), data.draw(st.integers(0, 1)))
            await eventually(lambda: session.offset == faucet.offset)
            for k in data.draw(st.sets(st.integers(0, READERS - 1))):
                await readers[k].read()
                if data.draw(st.booleans()):
                    await readers[k].come_back(data.draw(st.integers(0, readers[k].subscription.offset)))
        faucet.finish()
        for reader in readers:
            await reader.read_all()
            assert said(reader.seen) == said(faucet.frames)


def pour(faucet, kind, text, index):
    if kind == "call":
        faucet.pour(ToolCallFrame(index=index, name="f", arguments=text))
    elif kind == "thought":
        faucet.say(text, kind=ReasoningFrame, choice=index)
    else:
        faucet.say(text, choice=int(kind))


class Reader:
    """One that remembers what it has seen."""

    def __init__(self, session):
        self.session = session
        self.subscription = session.subscribe()
        self.seen = []

    async def read(self):
        """Take what is there, if there is something."""
        if self.subscription.offset < self.session.offset:
            self.seen += await self.subscription.read()

    async def read_all(self):
        self.seen += await all_of(self.subscription)

    async def come_back(self, after):
        """Go, forget what lies beyond *after*, and go on from there."""
        await self.subscription.aclose()
        self.seen = [kept for frame in self.seen if (kept := up_to(frame, after)) is not None]
        self.subscription = self.session.subscribe(after)


def up_to(frame, offset):
    """What *frame* says as far as *offset*; None if that is nothing."""
    over = frame.offset - offset
    if over <= 0:
        return frame
    name = "arguments" if isinstance(frame, ToolCallFrame) else "text"
    whole, has_head = getattr(frame, name), getattr(frame, "name", None) is not None
    if over >= len(whole) + has_head:
        return None
    return msgspec.structs.replace(frame, **{name: whole[: len(whole) - over]}, offset=offset)
