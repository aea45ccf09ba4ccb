"""What does a whole request cost? One answer of 1 KB, awaited; the connection is warm.

Found (two noisy cores; ratios to the limit): ours 1.5 to 1.6, the openai package 8; the limit's own decode is a
tenth. What we add is spread thin: parameters checked and encoded, clocks, the record of the attempt, headers as a
dict.
"""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from benchmarks.generators import MODEL, whole_answer
from benchmarks.lab import KEY, Contender, Lab, Question, check
from benchmarks.server import WHOLE_BYTES
from benchmarks.streaming import MESSAGES
from opeai_async import ChatCompletion

TIMES = 200

_HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
_decode = msgspec.json.Decoder(ChatCompletion).decode


async def _contenders(lab: Lab) -> Sequence[Contender]:
    base_url = lab.base_url("whole")
    session, client = await lab.session(), await lab.client("whole")
    expected = whole_answer(WHOLE_BYTES)[1]

    async def read_body() -> bytes:
        body = msgspec.json.encode({"model": MODEL, "messages": MESSAGES})
        async with session.post(f"{base_url}/chat/completions", data=body, headers=_HEADERS) as response:
            return await response.read()

    async def floor() -> None:
        await read_body()

    async def limit() -> None:
        check(_decode(await read_body()).choices[0].message.content, expected, "the content")

    async def ours() -> None:
        completion = await client.chat.completions.create(model=MODEL, messages=MESSAGES)
        check(completion.choices[0].message.content, expected, "the content")

    contenders = [_repeated("floor", floor), _repeated("limit", limit), _repeated("opeai_async, create()", ours)]
    if (peer := await lab.openai_client("whole")) is not None:

        async def openai() -> None:
            completion = await peer.chat.completions.create(model=MODEL, messages=MESSAGES)
            check(completion.choices[0].message.content, expected, "the content")

        contenders.append(_repeated("openai, create()", openai))
    return contenders


def _repeated(name: str, request: Callable[[], Awaitable[None]]) -> Contender:
    async def run() -> None:
        for _ in range(TIMES):
            await request()

    return Contender(name=name, run=run, units=TIMES)


QUESTION = Question(
    name="request",
    title="one request, answered with 1 KB of content; 200 in a row on a warm connection",
    unit="request",
    bases=("limit", "floor"),
    contenders=_contenders,
)
