"""The client without an event loop of one's own."""

import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from opeai_async import ClientClosedError, OpeAI, Outcome, RateLimitError, Timeouts
from opeai_async.testing import OpeAIServer

ASK = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def server():
    with OpeAIServer() as server:
        yield server


@pytest.fixture
def client(server):
    with OpeAI(server.api_key, base_url=server.base_url, max_retries=0) as client:
        yield client


def test_whole_answers(server, client):
    server.reply("Hi")
    assert client.chat.completions.create(**ASK).choices[0].message.content == "Hi"
    server.fail(429)
    with pytest.raises(RateLimitError):
        client.chat.completions.create(**ASK)
    assert [model.id for model in client.models.list()]
    assert repr(client) == f"<OpeAI {server.base_url}>"
    other = client.with_options(timeout=5)
    assert other._client.timeouts == Timeouts(total_s=5)
    other.close()
    client.chat.completions.create(**ASK)
    assert server.connections_total <= 2


def test_streams(server, client):
    server.reply("one two three")
    with client.chat.completions.stream(**ASK) as stream:
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == "one two three"
        assert stream.completion().usage is not None
    assert (stream.outcome, stream.meta.status_code) == (Outcome.COMPLETE, 200)
    server.reply("one two")
    assert "".join(client.chat.completions.create(**ASK, stream=True).text()) == "one two"
    server.reply("one two")
    with client.chat.completions.stream(**ASK) as stream:
        assert "finish" in [event.type for event in stream.events()]


def test_leaving_a_stream(server, client):
    """Ends the upstream."""
    server.stall("one two three", after=2)
    with client.chat.completions.stream(**ASK) as stream:
        next(iter(stream))
    assert stream.outcome is Outcome.CANCELLED
    assert stream.snapshot.choices


class Answer(msgspec.Struct):
    number: int


def test_values_and_tools(server, client):
    server.reply('{"number": 3}')
    assert client.chat.completions.parse(**ASK, response_format=Answer).parsed == Answer(3)
    server.reply(tool_calls=[("double", {"x": 2})])
    server.reply("4")

    def double(x: int) -> int:
        """Double it."""
        return 2 * x

    with client.chat.completions.run(**ASK, tools=[double]) as run:
        assert "tool.finished" in [event.type for event in run]
    assert run.result().text == "4"


def test_an_interrupt_ends_the_call(server, client):
    """Ctrl-C while an answer is waited for: the server sees the client go."""
    server.stall("one", after=0)
    threading.Timer(0.3, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        client.chat.completions.create(**ASK)
    server.reply("Hi")
    assert client.chat.completions.create(**ASK).choices[0].message.content == "Hi"
    while server.requests[0].outcome is None:  # another thread sees it
        time.sleep(0.01)
    assert server.requests[0].outcome == "client_gone"


def test_a_script_that_does_not_close_its_client_ends(server):
    """As scripts do: their client is a global, and nothing is left waiting for it."""
    source = (
        "from opeai_async import OpeAI\n"
        f"client = OpeAI({server.api_key!r}, base_url={server.base_url!r})\n"
        f"stream = client.chat.completions.create(**{ASK!r}, stream=True)\n"
        "print(next(stream.text()))\n"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout.strip(), done.stderr) == ("You", "")


def test_first_calls_of_several_threads(server, client):
    """Share one loop, and one pool of connections."""
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: client.chat.completions.create(**ASK), range(16)))
    assert len({answer.id for answer in answers}) == 16
    assert [thread.name for thread in threading.enumerate()].count("opeai_async loop") == 1


def test_closing(server):
    """Leaves no thread; may be done twice, also before the first call."""
    before = threading.active_count()
    client = OpeAI(server.api_key, base_url=server.base_url)
    client.chat.completions.create(**ASK)
    client.close()
    client.close()
    assert threading.active_count() == before
    with pytest.raises(ClientClosedError):
        client.chat.completions.create(**ASK)
    OpeAI("sk-test-x").close()
