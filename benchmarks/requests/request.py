"""What does a whole request cost? One answer of 1 KB or of 100 KB, awaited; the connection is warm.

Found (two busy cores; ratios to the limit): with 1 KB ours 1.03 to 1.05, by hand with aiohttp's own json 1.2, openai 7
(5.6 over aiohttp), groq 7, litellm 17, mistralai 34; with 100 KB ours 1.13, the others 1.2, 4.6, 5, 10 and 20. It was
1.41 to 1.46 before requests were written by hand: see ``short``. In instructions, with 1 KB, it is 477,000 to the
limit's 469,000 on asyncio, 1.02, and 430,000 to 399,000 on uvloop, 1.08. The limit's own decode is a tenth. What we add
is spread thin: parameters checked and encoded, one timer, the record of the attempt, headers as a dict.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import aiohttp
import msgspec

from benchmarks.lab.generators import KEY, MESSAGES, MODEL, whole_answer
from benchmarks.lab.lab import Contender, Lab, Question, Target, check, repeated
from opeai_async import AsyncOpeAI, ChatCompletion

SIZES = {"1 KB": 1024, "100 KB": 100 * 1024}
TIMES = {"1 KB": 200, "100 KB": 50}
# A peer takes up to 40 times as long.
PEERS_SHARE = 4

_HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
_decode = msgspec.json.Decoder(ChatCompletion).decode


async def floor(session: aiohttp.ClientSession, base_url: str, messages: Sequence[object]) -> bytes:
    """Send a request and read the body."""
    body = msgspec.json.encode({"model": MODEL, "messages": messages})
    async with session.post(f"{base_url}/chat/completions", data=body, headers=_HEADERS) as response:
        return await response.read()


async def limit(session: aiohttp.ClientSession, base_url: str, messages: Sequence[object]) -> str | None:
    """The same, decoded."""
    return _decode(await floor(session, base_url, messages)).choices[0].message.content


async def ours(client: AsyncOpeAI, messages: Sequence[object]) -> str | None:
    """``await client.chat.completions.create(...)``."""
    completion = await client.chat.completions.create(model=MODEL, messages=messages)
    return completion.choices[0].message.content


async def requesting(
    lab: Lab, content_bytes: int, messages: Sequence[object], *, times: int, group: str
) -> list[Contender]:
    """Floor, limit, ours and the peers, who send *messages* and await so much content, *times* times."""
    base_url, expected = lab.base_url("whole", content_bytes), whole_answer(content_bytes)[1]
    session, client = await lab.session(), await lab.client(base_url)
    few = max(1, times // PEERS_SHARE)
    return [
        repeated("floor", partial(floor, session, base_url, messages), times, group=group),
        _checked("limit", partial(limit, session, base_url, messages), expected, times, group),
        _checked("opeai_async", partial(ours, client, messages), expected, times, group),
        *(
            _checked(peer.name, partial(peer.create, messages), expected, few, group, is_peer=True)
            for peer in await lab.open_peers(base_url)
        ),
    ]


def _checked(
    name: str,
    request: Callable[[], Awaitable[str | None]],
    expected: str,
    times: int,
    group: str,
    *,
    is_peer: bool = False,
) -> Contender:
    async def once() -> None:
        check(await request(), expected, "the content")

    return repeated(name, once, times, group=group, is_peer=is_peer)


async def _contenders(lab: Lab) -> Sequence[Contender]:
    contenders: list[Contender] = []
    for group, size in SIZES.items():
        contenders += await requesting(lab, size, MESSAGES, times=lab.scaled(TIMES[group]), group=group)
    return contenders


QUESTION = Question(
    name="request",
    title="one request, answered with 1 KB or 100 KB of content; many in a row on a warm connection",
    unit="request",
    bases=("limit", "floor"),
    contenders=_contenders,
    targets=(Target(of="1 KB, opeai_async", to="1 KB, limit", at_most=1.10),),
)
