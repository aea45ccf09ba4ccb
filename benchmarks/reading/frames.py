"""What does a chunk cost where a proxy has joined the stream to frames of 16 KiB? The same 20,000 chunks.

Found (two busy cores; ratios to the limit): the floor is 0.2, chunks 1.00 to 1.20, batches() 0.87 to 1.17, a loop over
lines and json.loads 12, openai 99 to 139, groq 95, mistralai and litellm 490 to 500. On the line: the higher figures
are from a machine under a load of eight.

It was 1.40 and 1.34 while each event was decoded by itself, for there is hardly any HTTP framing to win on. Of 300
bytes, a chunk repeats all but its text, so ``_core/decode/template.py`` decodes the texts alone. Away from the network,
per event: taking events apart and decoding them 0.89 us, the bare loop 1.08; with a template 0.17 for taking out the
texts (``findall`` of a pattern that jumps over what is known; with possessive quantifiers 0.15), 0.03 to prove by
``join`` and ``==`` that there was nothing else, 0.05 for one decode of all texts, 0.29 for three Structs and a list.
Strings are shared, so a batch of 220 chunks takes less memory, too.

Tried and left: ``split`` at what is between two texts, 0.73 us, because CPython prepares its search anew for each piece
of a long separator; a loop of ``find`` from known offsets, 0.30; ``split`` at blank lines and slices, 0.42; copies of
Structs and assignments in place of calls, 0.41; Structs decoded from short JSON that is written for it, 0.39 to 0.54.
"""

from collections.abc import Sequence

from benchmarks.lab.lab import Contender, Lab, Question, Target
from benchmarks.reading import burst


async def _contenders(lab: Lab) -> Sequence[Contender]:
    return await burst.contenders(lab, "frames")


QUESTION = Question(
    name="frames",
    title="the same 20,000 chunks in frames of 16 KiB",
    unit="chunk",
    bases=("limit", "floor"),
    turns=2,
    contenders=_contenders,
    targets=(Target(of="opeai_async, chunks", at_most=1.10), Target(of="opeai_async, batches()", at_most=1.00)),
)
