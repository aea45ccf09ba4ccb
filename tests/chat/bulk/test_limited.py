"""A server that allows so many requests a second and says ``Retry-After: 1``: all are answered, at its rate."""

import os
import time

import pytest

from opeai_async.testing import Answer, Failure, OpeAIServer, RecordedRequest, Reply
from tests.chat.bulk.test_map import DEFAULTS, questions

PROMPTS = int(os.environ.get("OPEAI_PROMPTS", "2000"))
RATE = 200.0


@pytest.mark.time_limit(40 + PROMPTS / 50)
async def test_all_are_answered_at_the_rate_that_is_allowed(
    server: OpeAIServer,
) -> None:
    """`OPEAI_PROMPTS=20000` for many; few requests are sent twice. Time is not judged here: this machine has others."""
    level, at, refused, answered = RATE, time.monotonic(), 0, 0

    async def answer(_: RecordedRequest) -> Answer:
        nonlocal level, at, refused, answered
        now = time.monotonic()
        level, at = min(RATE, level + (now - at) * RATE), now
        server.requests.clear()  # or it would keep every one
        if level < 1:
            refused += 1
            return Failure(429, headers={"retry-after": "1"})
        level -= 1
        answered += 1
        return Reply("fine", delay_s=0.02)

    server.handle(answer)
    async with server.client() as client:
        results = client.chat.completions.map(questions(PROMPTS), defaults=DEFAULTS)
        errors = [result.error async for result in results if result.error is not None]
    assert errors == []
    assert answered == PROMPTS
    # Most are refused at the start, when nothing is known yet; more so where the machine is busy.
    assert refused <= 0.02 * PROMPTS + (150 if PROMPTS < 20_000 else 0)
