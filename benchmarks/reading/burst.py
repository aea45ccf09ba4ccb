"""What does a chunk of a fast stream cost? 20,000 chunks of about 300 bytes, one HTTP chunk per event.

Found (two busy cores, CPython 3.11, aiohttp 3.14.5; ratios to the limit): the floor is 0.59, chunks 0.64, batches()
0.61 (0.76 and 0.75 before ``_core/decode/template.py``, see ``frames``), a loop over lines and json.loads 4.2, openai
59 (49 over aiohttp), groq 56, mistralai 213, litellm 215.

Where it goes, on a quieter day: of the limit more than half is aiohttp's, 0.4 us to note each HTTP chunk and 0.7 us to
take it out again, for it looks at each by itself, resumes reading and enters its parser. ``_io/net/parts/body.py``
notes a chunk by one ``append`` and takes all out by one ``join``: 1.05 -> 0.88 of the limit. It holds 64 KiB, which is
decoded while it is in the cache; with 128 KiB and more the gain is lost. Of ours without a template, decoding is 0.65
us, taking events apart 0.3 (the limit's split: 0.4), accumulating 0.18 since what few streams carry is not looked for
(0.37 before), ``__anext__`` 0.15, freeing a batch 0.13. Clocks, limits and outcome are per read and do not show.

Tried and left: an asynchronous generator in place of ``__anext__`` wins 0.05 us on 3.11 and loses 0.15 on 3.13;
``decode_lines`` over a joined buffer costs as much as ``decode`` per payload; ``bytes.replace`` and ``split`` at
blank lines need a proof that nothing else was in the read, which costs what they win over the regular expression.
"""

from collections.abc import Sequence

from benchmarks.lab.generators import text_answer
from benchmarks.lab.lab import Contender, Lab, Question, Target
from benchmarks.lab.streaming import reading

CHUNKS = 20_000


async def contenders(lab: Lab, response: str) -> Sequence[Contender]:
    """Those who read that response, which says what ``text_answer`` says."""
    chunks = lab.scaled(CHUNKS, least=10)
    return await reading(lab, response, chunks, characters=lambda count: len(text_answer(count).content))


async def _contenders(lab: Lab) -> Sequence[Contender]:
    return await contenders(lab, "burst")


QUESTION = Question(
    name="burst",
    title="20,000 chunks of about 300 bytes, one HTTP chunk per event",
    unit="chunk",
    bases=("limit", "floor"),
    turns=2,
    contenders=_contenders,
    targets=(Target(of="opeai_async, chunks", at_most=1.00), Target(of="opeai_async, batches()", at_most=1.00)),
)
