"""`ChatBatches`: columns in, columns out, errors as rows, checkpoints; and on a local Ray, where there is one."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opeai_async import AsyncOpeAI, ConfigurationError
from opeai_async.ray import ChatBatches
from opeai_async.testing import Answer, Failure, OpeAIServer, RecordedRequest, Reply

ROOT = Path(__file__).parents[3]
DEFAULTS = {"model": "m"}


class Crowd:
    """Answers, and counts how many requests are open at once."""

    def __init__(self) -> None:
        self.most = self.open = 0

    async def __call__(self, request: RecordedRequest) -> Answer:
        text = request.json["messages"][-1]["content"]
        return Failure(400) if "bad" in text else Reply(f"re: {text}", delay_s=0.05)


@pytest.fixture
def remote() -> Iterator[OpeAIServer]:
    """A server in a thread of its own: batches are answered by a call that blocks."""
    with OpeAIServer() as server:
        server.handle(Crowd())
        yield server


def batches(server: OpeAIServer, **options: Any) -> ChatBatches:
    make_client = functools.partial(AsyncOpeAI, str(server.api_key), base_url=server.base_url)
    return ChatBatches(**{"prompt": "{text}", "defaults": DEFAULTS, "make_client": make_client, **options})


def test_columns(remote: OpeAIServer) -> None:
    """All columns come back, with the answers beside them; an error is a row."""
    answer = batches(remote, concurrency=8)
    got = answer({"text": ["one", "bad", "three"], "n": [1, 2, 3]})
    assert got["n"] == [1, 2, 3]
    assert got["answer"] == ["re: one", None, "re: three"]
    assert got["finish_reason"] == ["stop", None, "stop"]
    assert got["prompt_tokens"][0] > 0
    assert got["attempts"] == [1, 1, 1]
    assert [error is None for error in got["error"]] == [True, False, True]
    assert got["error"][1].startswith("BadRequestError: ")
    again = answer({"text": ["four"]})  # the same object, as an actor does it
    assert again["answer"] == ["re: four"]
    answer.close()
    answer.close()


def test_messages(remote: OpeAIServer) -> None:
    with_messages = batches(remote, prompt=None)
    (got,) = with_messages.batches([{"messages": [[{"role": "user", "content": "hi"}]]}])
    assert got["answer"] == ["re: hi"]


def test_rows_that_cannot_be_asked(remote: OpeAIServer) -> None:
    (got,) = batches(remote).batches([{"other": ["x"]}])
    assert "has no field 'text'" in got["error"][0]
    (got,) = batches(remote, prompt=None).batches([{"other": ["x"]}])
    assert "no column 'messages'" in got["error"][0]
    assert not remote.requests


def test_an_empty_batch(remote: OpeAIServer) -> None:
    (got,) = batches(remote).batches([{"text": []}])
    assert got["answer"] == []


def test_a_checkpoint(remote: OpeAIServer, tmp_path: Path) -> None:
    """What one object has done, another one does not do again; what failed is done again."""
    column = {"text": ["one", "bad", "three"], "id": ["a", "b", "c"]}
    for sent in (3, 1):
        remote.requests.clear()
        (got,) = batches(remote, checkpoint=tmp_path, row_id="id").batches([column])
        assert got["answer"] == ["re: one", None, "re: three"]
        assert len(remote.requests) == sent
    assert len(list(tmp_path.glob("part-*.jsonl"))) == 2
    assert not list(tmp_path.glob("*.lock"))


def test_limits_are_split_over_actors(remote: OpeAIServer) -> None:
    """A bound that is hit is the error of the rows that were not run."""
    (got,) = batches(remote, max_total_tokens=2000, actors=100).batches([{"text": ["a"] * 50}])
    assert any(error == "not run: max_total_tokens" for error in got["error"])


@pytest.mark.parametrize("options", [{"actors": 0}, {"journal": "x"}, {"ordered": True}])
def test_options_that_cannot_be(remote: OpeAIServer, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        batches(remote, **options)


def test_frames(remote: OpeAIServer) -> None:
    """Frames come back as frames, with their index; a stand-in for those of pandas, which is no dependency."""

    class Column(list[Any]):
        def tolist(self) -> list[Any]:
            return list(self)

    class Frame:
        def __init__(self, columns: dict[str, Any]) -> None:
            self.columns = list(columns)
            self.index: Any = None
            self._data = {name: Column(values) for name, values in columns.items()}

        def __getitem__(self, name: str) -> Column:
            return self._data[name]

    frame = Frame({"text": ["one", "two"]})
    frame.index = [7, 8]
    (got,) = batches(remote).frames([frame])
    assert got["answer"] == ["re: one", "re: two"]
    assert got.index == [7, 8]


def test_no_thread_is_left(remote: OpeAIServer) -> None:
    before = threading.active_count()
    answer = batches(remote)
    answer({"text": ["one"]})
    del answer
    assert threading.active_count() <= before


def test_on_a_local_ray(remote: OpeAIServer, tmp_path: Path) -> None:
    """Two actors answer a dataset; the requests of a batch are open at once."""
    python = os.environ.get("OPEAI_RAY_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import ray"], capture_output=True, check=False).returncode:
        pytest.skip("ray is not installed: python -m nox -s ray")
    env = os.environ | {
        "OPEAI_API_KEY": str(remote.api_key),
        "OPEAI_BASE_URL": remote.base_url,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(
        [python, str(ROOT / "examples" / "bulk_on_ray.py")], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    assert counts["rows"] == counts["answered"] == 200
    assert len(remote.requests) == 200
