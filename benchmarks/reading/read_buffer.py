"""How large should aiohttp's read buffer be? The bare loop over burst with ``read_bufsize`` of 16, 64 and 256 KiB.

256 KiB is aiohttp's default, and what the limit has in all other questions.

Found (ratios to 256 KiB, two runs): in burst 64 KiB 0.84 to 0.87 and 16 KiB 0.82 to 0.91. A smaller buffer has a
lower low-water mark, and beneath that mark aiohttp resumes reading, and so enters its HTTP parser, at each HTTP chunk
that is taken out: 1,726 times in 20,000 chunks with 16 KiB, 5,593 with 64, 20,026 with 256. In frames no difference
beyond noise.
"""

from collections.abc import Sequence
from functools import partial

from benchmarks.lab.lab import Contender, Lab, Question
from benchmarks.lab.streaming import checked, limit

CHUNKS = 20_000
SIZES_KIB = (16, 64, 256)


async def _contenders(lab: Lab) -> Sequence[Contender]:
    contenders: list[Contender] = []
    chunks = lab.scaled(CHUNKS)
    for response in ("burst", "frames"):
        for kib in SIZES_KIB:
            session = await lab.session(read_bufsize=kib * 1024)
            read = partial(limit, session, lab.base_url(response, chunks))
            contenders.append(checked(f"{kib} KiB", read, chunks, chunks, group=response))
    return contenders


QUESTION = Question(
    name="read_buffer",
    title="the bare loop with read buffers of several sizes",
    unit="chunk",
    bases=("256 KiB",),
    turns=3,
    contenders=_contenders,
)
