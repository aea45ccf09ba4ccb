"""`kill -9` at any moment: nothing that was committed is sent again, nothing is lost; by the server's own count."""

import asyncio
import os
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from opeai_async.bulk import read_journal
from opeai_async.testing import Answer, OpeAIServer, RecordedRequest, Reply

KILLS = int(os.environ.get("OPEAI_KILLS", "4"))
PER_RUN = 20
RUNS = [min(PER_RUN, KILLS - before) for before in range(0, KILLS, PER_RUN)]
ROOT = Path(__file__).parents[3]
PER_KILL = 150


async def begin(server: OpeAIServer, path: Path, number: int) -> asyncio.subprocess.Process:
    program = (sys.executable, "-m", "tests.chat.bulk.killed")
    arguments = (server.base_url, str(server.api_key), str(path), str(number))
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return await asyncio.create_subprocess_exec(*program, *arguments, cwd=path.parent, env=env)


def committed(path: Path) -> set[int]:
    return {entry.index for entry in read_journal(path)} if path.exists() else set()


@pytest.mark.time_limit(60 + 6 * PER_RUN)
@pytest.mark.parametrize(("run", "kills"), list(enumerate(RUNS)))
async def test_kills(server: OpeAIServer, tmp_path: Path, run: int, kills: int) -> None:
    """`OPEAI_KILLS=300` for many: runs of so many kills each, whose journals grow from kill to kill."""
    chance, path, number = random.Random(run), tmp_path / "run.jsonl", 3 * PER_KILL * (kills + 1)
    asked: list[int] = []
    target, reached = 0, asyncio.Event()

    async def answer(request: RecordedRequest) -> Answer:
        asked.append(int(request.json["messages"][0]["content"]))
        if len(asked) >= target:
            reached.set()
        return Reply("fine", delay_s=chance.random() * 0.02)

    server.handle(answer)
    times: Counter[int] = Counter()
    for _ in range(kills):
        before, asked[:] = committed(path), []
        process = await begin(server, path, number)
        # Any moment: before it has begun, within a commit, or between two.
        target = chance.randint(1, PER_KILL)
        reached.clear()
        await reached.wait()
        await asyncio.sleep(chance.random() * 0.3)
        if process.returncode is None:
            process.kill()
        await process.wait()
        assert not before & set(asked), "what was committed was asked again"
        assert len(asked) == len(set(asked))
        times.update(asked)
        server.requests.clear()
    before, asked[:] = committed(path), []
    process = await begin(server, path, number)
    assert await process.wait() == 0
    assert not before & set(asked)
    times.update(asked)
    assert set(times) == set(range(number)), "what was never asked is lost"
    assert committed(path) == set(range(number))
    # Again was asked only what was in flight, or not committed, when the process was killed.
    assert max(times.values()) <= kills + 1
