"""What does making a client cost? No I/O, no TLS context, no event loop is needed; the promise is at most 1 ms.

Found: 25 to 50 us, against 38 ms for the openai package, which makes its TLS context here.
"""

from collections.abc import Sequence

from benchmarks.lab import KEY, Contender, Lab, Question, computation
from opeai_async import AsyncOpeAI


async def _contenders(lab: Lab) -> Sequence[Contender]:
    contenders = [computation("opeai_async", lambda: AsyncOpeAI(KEY), times=500)]
    try:
        from openai import AsyncOpenAI
    except ImportError:
        lab.skip("openai: not installed (dependency group bench-peers)")
    else:
        contenders.append(computation("openai", lambda: AsyncOpenAI(api_key=KEY), times=10))
    return contenders


QUESTION = Question(
    name="construct",
    title="making a client",
    unit="client",
    bases=("opeai_async",),
    turns=3,
    contenders=_contenders,
)
