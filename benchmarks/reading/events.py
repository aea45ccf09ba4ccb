"""What do typed events cost, over bare chunks? The 20,000 chunks of burst; each says one thing, so two events each.

Found (two busy cores; ratios to bare chunks): 1.51. Making the two Structs and their list is 0.6 us, and ``__anext__``
runs twice. Nothing is kept: the ``done`` events are read off the message that is put together anyway.
"""

from collections.abc import Sequence
from functools import partial

from benchmarks.lab.generators import MESSAGES, MODEL, text_answer
from benchmarks.lab.lab import Contender, Lab, Question, Target
from benchmarks.lab.streaming import checked, iterate
from opeai_async import AsyncOpeAI, ContentDeltaEvent

CHUNKS = 20_000
BARE = "opeai_async, chunks"


async def events(client: AsyncOpeAI) -> int:
    """``async for event in stream.events()``; returns the length of all content."""
    characters = 0
    async with client.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        async for event in stream.events():
            if type(event) is ContentDeltaEvent:
                characters += len(event.delta)
    return characters


async def _contenders(lab: Lab) -> Sequence[Contender]:
    chunks = lab.scaled(CHUNKS, least=10)
    client = await lab.client(lab.base_url("burst", chunks))
    return [
        checked(BARE, partial(iterate, client), chunks, chunks),
        checked("opeai_async, events()", partial(events, client), len(text_answer(chunks).content), chunks),
    ]


QUESTION = Question(
    name="events",
    title="the typed events of 20,000 chunks",
    unit="chunk",
    bases=(BARE,),
    turns=2,
    contenders=_contenders,
    targets=(Target(of="opeai_async, events()", to=BARE, at_most=2.0),),
)
