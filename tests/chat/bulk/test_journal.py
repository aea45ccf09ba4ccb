"""The journal: what it holds, what it survives, and how large it may be."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from opeai_async import AsyncOpeAI
from opeai_async.bulk import JournalError, read_journal
from opeai_async.bulk.journal import Index, Journal, line_of
from opeai_async.bulk.request import Job, RequestReader, key_of
from opeai_async.bulk.result import BulkResult
from opeai_async.errors import BadRequestError
from opeai_async.testing import OpeAIServer
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage, Choice
from tests.chat.bulk.test_map import DEFAULTS, echo, question, questions, text_of

LINES = int(os.environ.get("OPEAI_JOURNAL_LINES", "50000"))


def job(index: int, text: str = "") -> Job:
    key = key_of(str(index), f"request {index} {text}".encode())
    return Job(index, str(index), {}, key)


def done(index: int) -> BulkResult:
    message = ChatCompletionMessage(role="assistant", content=f"answer {index}")
    completion = ChatCompletion(id="c", model="m", choices=[Choice(message=message)])
    return BulkResult(custom_id=str(index), index=index, completion=completion)


def failed(index: int) -> BulkResult:
    return BulkResult(custom_id=str(index), index=index, error=BadRequestError("no", status_code=400, code="c"))


def write(path: Path, *indexes: int) -> None:
    with Journal(path) as journal:
        for index in indexes:
            journal.add(line_of(job(index), done(index)))


def test_what_was_added_is_found(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write(path, *range(100))
    with Journal(path) as journal:
        assert journal.finished == 100
        for index in range(100):
            place, is_known = journal.find(job(index).key)
            assert is_known
            assert place is not None
            entry = journal.read(place)
            assert entry.index == index
            assert entry.completion is not None
            assert entry.completion.choices[0].message.content == f"answer {index}"
        assert journal.find(job(100).key) == (None, False)
        assert journal.find(job(5, "changed").key) == (None, True)


def test_what_failed_is_not_finished(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with Journal(path) as journal:
        journal.add(line_of(job(1), failed(1)))
    with Journal(path) as journal:
        assert journal.find(job(1).key) == (None, False)
        journal.add(line_of(job(1), done(1)))
    entries = list(read_journal(path))
    assert [entry.error is None for entry in entries] == [False, True]
    assert entries[0].error is not None
    assert (entries[0].error.type, entries[0].error.status_code) == ("BadRequestError", 400)


@pytest.mark.parametrize("cut", [1, 2, 20, 100])
def test_a_torn_last_line_is_mended(tmp_path: Path, cut: int) -> None:
    """What was cut off is gone, and what is added then is whole."""
    path = tmp_path / "run.jsonl"
    write(path, 0, 1)
    os.truncate(path, path.stat().st_size - cut)
    with Journal(path) as journal:
        assert journal.is_torn
        assert journal.find(job(0).key)[0] == 0
        assert journal.find(job(1).key) == (None, False)
        journal.add(line_of(job(1), done(1)))
    assert [entry.index for entry in read_journal(path)] == [0, 1]


def test_a_block_that_the_disk_lost(tmp_path: Path) -> None:
    """Damaged lines count as not finished; the others are kept."""
    path = tmp_path / "run.jsonl"
    write(path, 0)
    with open(path, "ab") as file:
        file.write(b"\0" * 50 + b"\n" + b'{"done":"half a li\n')
    write(path, 1)
    with Journal(path) as journal:
        assert journal.damaged == 2
        assert journal.finished == 2
    assert [entry.index for entry in read_journal(path)] == [0, 1]


def test_a_file_that_is_no_journal(tmp_path: Path) -> None:
    """Nothing is added to a file of something else."""
    path = tmp_path / "thesis.txt"
    path.write_text("Chapter 1\n")
    with pytest.raises(JournalError, match="is not a journal"):
        Journal(path)
    assert path.read_text() == "Chapter 1\n"
    assert not path.with_name("thesis.txt.lock").exists()


def test_a_place_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="No such file"):
        Journal(tmp_path / "nowhere" / "run.jsonl")
    (tmp_path / "folder").mkdir()
    with pytest.raises(JournalError, match="directory"):
        Journal(tmp_path / "folder")


def test_the_second_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    program = (
        f"from opeai_async.bulk.journal import Journal\nj = Journal({str(path)!r})\nprint('ready', flush=True)\ninput()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "ready\n"
        with pytest.raises(JournalError, match=f"in use by process {first.pid}") as caught:
            Journal(path)
        assert caught.value.pid == first.pid
        first.kill()
    with Journal(path) as journal:  # the lock went with its process
        with pytest.raises(JournalError, match="in use by this process"):
            Journal(path)
        assert journal.finished == 0


def test_a_full_disk(tmp_path: Path) -> None:
    """An error of the system is an error of the journal."""
    journal = Journal(tmp_path / "run.jsonl")
    journal.add(b"x\n")
    os.close(journal._file.fileno())
    with pytest.raises(JournalError, match="Bad file descriptor"):
        journal.commit_now()
    with pytest.raises(OSError, match="Bad file descriptor"):
        journal.close()


def test_an_index_is_not_misled_by_neighbours() -> None:
    """A name that stands in the middle of other rows is not found there."""
    index = Index()
    keys = [key_of(str(i), b"r%d" % i) for i in range(20_000)]
    for place, key in enumerate(keys):
        index.add(key, place)
    assert all(index.find(key) == (place, True) for place, key in enumerate(keys))
    index.add(keys[7], 99)
    assert index.find(keys[7]) == (99, True)
    assert index.find(key_of("nobody", b"")[:12] + keys[7][:12]) == (None, False)


def test_many_lines_open_in_bounded_memory(tmp_path: Path) -> None:
    """Less than 70 bytes a line, and 5 MB; `OPEAI_JOURNAL_LINES=1000000` for a real one."""
    path = tmp_path / "run.jsonl"
    padding = b'","completion":{"choices":[{"message":{"role":"assistant","content":"' + b"x" * 400 + b'"}}]}}\n'
    with open(path, "wb") as file:
        file.writelines(b'{"done":"' + job(index).key + padding for index in range(LINES))
    tracemalloc.start()
    with Journal(path) as journal:
        used, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert journal.finished == LINES
        assert journal.find(job(LINES - 1).key)[1]
    # An empty bytearray is 56 bytes, and there are 65,536 of them.
    assert used < 70 * LINES + 5_000_000
    assert peak - used < 4_000_000


async def test_resuming(server: OpeAIServer, client: AsyncOpeAI, tmp_path: Path) -> None:
    """What is finished is not sent again; what has changed is, with a note; what failed is, too."""
    server.handle(echo(fail="bad"))
    path = tmp_path / "run.jsonl"
    items: list[Any] = [{**question(i), "custom_id": f"c{i}"} for i in range(20)] + [question("bad")]
    how: Any = {"defaults": DEFAULTS, "journal": path, "concurrency": 4}
    assert len([r async for r in client.chat.completions.map(items, **how)]) == 21
    server.requests.clear()
    items[3] = {**question("other"), "custom_id": "c3"}
    results = client.chat.completions.map(items, **how)
    got = {r.custom_id: r async for r in results}
    assert set(got) == {"c3", "20"}
    assert "has changed" in str(got["c3"].note)
    assert got["20"].note is None
    assert len(server.requests) == 2
    assert (results.progress.resumed, results.progress.changed) == (19, 1)


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("finished", ["skip", "yield"])
async def test_resuming_in_order(
    server: OpeAIServer, client: AsyncOpeAI, tmp_path: Path, ordered: bool, finished: Any
) -> None:
    """Results of the journal take their place among the new ones."""
    server.handle(echo(0.01))
    how: Any = {"defaults": DEFAULTS, "journal": tmp_path / "run.jsonl", "concurrency": 4}
    first = [question(i) if i % 3 == 0 else question(f"old {i}") for i in range(500)]
    async with client.chat.completions.map(first, **how) as results:
        for _ in range(100):
            await anext(results)
    before = {entry.index for entry in read_journal(tmp_path / "run.jsonl")}
    got = [
        r
        async for r in client.chat.completions.map(
            questions(500), ordered=ordered, finished=finished, total=3000, **how
        )
        if r.index < 3000
    ]
    kept = {index for index in before if index % 3 == 0}
    expected = [i for i in range(500) if finished == "yield" or i not in kept]
    indexes = [r.index for r in got]
    assert (indexes if ordered else sorted(indexes)) == expected
    assert all(text_of(r) == str(r.index) for r in got)
    assert {r.index for r in got if r.is_resumed} == (kept if finished == "yield" else set())


async def test_headers_are_not_in_the_key() -> None:
    """A key of the API that comes as a header is in no digest, and other time limits are no other question."""
    reader = RequestReader({"model": "m"}, has_keys=True)
    plain = reader.read(question(1), 0).key
    assert reader.read({**question(1), "extra_headers": {"a": "b"}, "max_retries": 3}, 0).key == plain
    assert reader.read({**question(1), "temperature": 0}, 0).key != plain
    assert RequestReader({"model": "other"}, has_keys=True).read(question(1), 0).key != plain
    assert RequestReader({"model": "m"}, has_keys=True, salt=b"schema").read(question(1), 0).key != plain
    assert reader.read(dict(reversed(question(1).items())), 0).key == plain


async def test_a_journal_that_breaks_ends_the_run(
    server: OpeAIServer, client: AsyncOpeAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be kept is not run: the error is raised, and no request is begun after it."""
    server.handle(echo(0.02))

    def full(_: Journal, __: bytes) -> None:
        raise JournalError("the disk is full")

    monkeypatch.setattr(Journal, "_write", full)
    with pytest.raises(JournalError, match="the disk is full"):
        async for _ in client.chat.completions.map(
            questions(100_000), defaults=DEFAULTS, journal=tmp_path / "run.jsonl", concurrency=2
        ):
            pass
    assert len(server.requests) < 500


async def test_a_cancelled_commit_loses_nothing(tmp_path: Path) -> None:
    """Whether its thread had begun or not, each line is written once."""
    path = tmp_path / "run.jsonl"
    with Journal(path) as journal:
        for index in range(200):
            journal.add(line_of(job(index), done(index)))
            task = asyncio.create_task(journal.commit())
            for _ in range(index % 5):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
    assert [entry.index for entry in read_journal(path)] == list(range(200))


async def test_a_commit_that_nobody_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error is raised by the next one."""
    journal = Journal(tmp_path / "run.jsonl")

    def full(_: Journal, __: bytes) -> None:
        raise JournalError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "_write", full)
        journal.add(b"x\n")
        with pytest.raises(JournalError, match="full"):
            await journal.commit()
    with pytest.raises(JournalError, match="full"):
        journal.close()
