"""What does making a client cost? No I/O, no TLS context, no event loop is needed; the promise is at most 1 ms.

Found (two busy cores): 25 to 50 us, against 46 ms for openai (35 over aiohttp), 31 for groq and 93 for mistralai, which
make their TLS contexts here. litellm has no client.
"""

from collections.abc import Sequence
from functools import partial

from benchmarks.lab.lab import KEY, Contender, Lab, Question, Target, computation
from benchmarks.lab.peers import CONSTRUCT, installed
from opeai_async import AsyncOpeAI

TIMES = 500
PEERS_TIMES = 5
MOST_US = 1000


async def _contenders(lab: Lab) -> Sequence[Contender]:
    base_url = lab.base_url("whole", 1)
    return [
        computation("opeai_async", lambda: AsyncOpeAI(KEY), times=lab.scaled(TIMES)),
        *(
            computation(peer.name, partial(peer, base_url), times=PEERS_TIMES, is_peer=True)
            for peer in installed(lab.peers, lab.note, CONSTRUCT)
        ),
    ]


QUESTION = Question(
    name="construct",
    title="making a client",
    unit="client",
    bases=("opeai_async",),
    turns=3,
    contenders=_contenders,
    targets=(Target(of="opeai_async", to="", at_most=MOST_US),),
    needs_loop=False,
)
