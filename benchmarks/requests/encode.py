"""What does encoding a request cost? Conversations of 1, 100 and 1,000 messages of about 200 characters.

The limit is one ``msgspec.json.encode`` of the same dict, unchecked. The promise: 1,000 messages in well under 1 ms.
*sent* is the whole request, answered with a few bytes: the peers have no way to encode without sending.

Found (two busy cores): 0.57 ms for 1,000 messages (235 KB) against 0.24 ms for the bare encode, and json.dumps takes
1.5 ms. The difference is to look at each message in Python, and to search the body for the name of the field that holds
vendor fields. Sent, ratios to the limit: ours 1.84, by hand with json 4.8, openai 480 (390 over aiohttp), groq 440,
litellm 560, mistralai 630: a quarter to a third of a second in which the event loop does nothing else.
"""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from benchmarks.lab.generators import MODEL, conversation
from benchmarks.lab.lab import Contender, Lab, Question, Target, computation
from benchmarks.requests.request import requesting
from opeai_async._core.call.encode import encode_request

SIZES = (1, 100, 1000)
SENT = 1000
SENT_TIMES = 20
ANSWER_BYTES = 100
_TIMES = {1: 2000, 100: 200, 1000: 20}


async def _contenders(lab: Lab) -> Sequence[Contender]:
    contenders: list[Contender] = []
    for size in SIZES:
        params: dict[str, Any] = {"model": MODEL, "messages": conversation(size), "temperature": 0.5}
        bare = partial(msgspec.json.encode, params)
        checked = partial(encode_request, params, stream=True, include_usage=True)
        group, times = f"{size:,} messages" if size > 1 else "1 message", lab.scaled(_TIMES[size])
        contenders += [
            computation("limit", bare, times=times, group=group),
            computation("json.dumps", partial(json.dumps, params), times=times, group=group),
            computation("opeai_async", checked, times=times, group=group),
        ]
    messages, group = conversation(SENT), f"{SENT:,} messages, sent"
    return [
        *contenders,
        *await requesting(lab, ANSWER_BYTES, messages, times=lab.scaled(SENT_TIMES), group=group),
    ]


QUESTION = Question(
    name="encode",
    title="a request of 1, 100 and 1,000 messages, checked and encoded",
    unit="request",
    bases=("limit",),
    turns=5,
    contenders=_contenders,
    targets=(Target(of="1,000 messages, opeai_async", to="", at_most=1000),),
)
