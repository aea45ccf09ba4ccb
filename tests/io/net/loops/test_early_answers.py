"""Whose an answer is, on each loop: one that came before the request is nobody's, one that came early is its own."""

import asyncio
import gc
import sys
import types

import pytest

from opeai_async import APIStatusError, AsyncOpeAI, InternalServerError, InvalidResponseError
from opeai_async._io.net.parts import leftovers
from opeai_async._io.net.parts.leftovers import write_at_once
from opeai_async._io.net.parts.post import BIG_BODY_BYTES
from tests.support.clients import KEY
from tests.support.loops.event_loops import LOOPS, run_on
from tests.support.reading.chunks import COMPLETION
from tests.support.servers.raw_server import plain
from tests.support.servers.thread_server import ThreadServer, tls_contexts

JSON = b"application/json"
TOO_LARGE = plain(b'{"error": {"message": "too large"}}', status=b"413 Content Too Large", kind=JSON)


@pytest.fixture(scope="module")
def contexts(tmp_path_factory):
    """Of the server and of the client."""
    return tls_contexts(tmp_path_factory.mktemp("tls"))


async def ask(server, trusts=None, size=2):
    async with AsyncOpeAI(KEY, base_url=server.base_url, ssl_context=trusts, max_retries=0) as client:
        messages = [{"role": "user", "content": "x" * size}]
        return await client.chat.completions.create(model="m", messages=messages)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("size", [2, 2 * BIG_BODY_BYTES], ids=["by hand", "by the session"])
@pytest.mark.parametrize(
    ("status", "error"), [(b"200 OK", InvalidResponseError), (b"503 Full", InternalServerError)], ids=["200", "503"]
)
def test_a_server_that_speaks_first(loop, size, status, error):
    """It speaks before a byte of the request has come; an answer is refused, an error may be meant for anybody.

    It is on the client's loop, as there it speaks in the very turn in which the client has connected.
    """

    class Greeter(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            transport.write(plain(COMPLETION, status=status, kind=JSON))

    async def be_greeted():
        greeting = await asyncio.get_running_loop().create_server(Greeter, "127.0.0.1", 0)
        at = types.SimpleNamespace(base_url=f"http://127.0.0.1:{greeting.sockets[0].getsockname()[1]}/v1")
        for _ in range(3):
            with pytest.raises(error):
                await ask(at, size=size)
        greeting.close()

    run_on(loop, be_greeted())


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("size", [2 * BIG_BODY_BYTES // 3, 6 * BIG_BODY_BYTES], ids=["by hand", "by the session"])
def test_a_body_that_is_refused_before_it_was_read(loop, contexts, tls, size):
    """The server answers what begins, and hangs up, so that writing fails: its answer has come, and is read."""

    def refuse(line):
        line.read_some()
        line.send(TOO_LARGE)
        line.wait_until_received()
        line.sock.close()  # with bytes unread: that is a RST

    async def be_refused(server):
        for _ in range(6):
            with pytest.raises(APIStatusError) as caught:
                await ask(server, contexts[1] if tls else None, size)
            assert caught.value.status_code == 413

    with ThreadServer(refuse, tls=contexts[0] if tls else None, reads_requests=False) as server:
        run_on(loop, be_refused(server))


def _connected_handlers():
    return [it for it in gc.get_objects() if type(it).__name__ == "Handler" and it.connected]


@pytest.mark.parametrize("loop", LOOPS)
def test_no_descriptor_is_kept_for_an_answer_that_was_read(loop, contexts):
    """Neither by a long answer to a big body, nor by an idle connection that has brought an error."""
    handlers = []
    others = _connected_handlers()  # of tests before this one

    def answer(line):
        is_error = len(line.requests) == 1
        line.send(TOO_LARGE if is_error else plain(COMPLETION, kind=JSON))

    async def ask_twice(server):
        async with AsyncOpeAI(KEY, base_url=server.base_url, ssl_context=contexts[1], max_retries=0) as client:
            messages = [{"role": "user", "content": "x" * 200_000}]
            with pytest.raises(APIStatusError):
                await client.chat.completions.create(model="m", messages=messages)
            handlers.extend(it for it in _connected_handlers() if all(it is not other for other in others))
            assert [handler._kept for handler in handlers] == [None]
            stream = client.chat.completions.stream(model="m", messages=messages)
            await stream.open()
            assert handlers[0]._kept is None
            stream.cancel()

    with ThreadServer(answer, tls=contexts[0]) as server:
        run_on(loop, ask_twice(server))


def test_no_descriptor_left_to_keep_one():
    """Then nothing is kept, and nothing fails."""
    closed = types.SimpleNamespace(fileno=lambda: -1, family=2, type=1)
    assert leftovers.keep_socket(types.SimpleNamespace(get_extra_info=lambda name: closed)) is None


# --- loops that hold writes back -------------------------------------------------------------------------------------


class Below:
    """A connection of uvloop, as far as it matters here."""

    def __init__(self):
        self.limits = []

    def set_write_buffer_limits(self, high=None, low=None):
        self.limits.append(high)

    def write_eof(self):
        pass


class Tls:
    """uvloop's SSLProtocol: it names the connection below to nobody."""

    def __init__(self, below):
        self._hidden = below


def transport_of(module, tls=None):
    kind = type("Transport", (Below,), {"__module__": module, "get_extra_info": lambda self, name: tls})
    return kind()


@pytest.fixture
def version(monkeypatch):
    """Sets the version of uvloop."""

    def set_it(text):
        monkeypatch.setitem(sys.modules, "uvloop", types.SimpleNamespace(__version__=text))
        leftovers._writes_at_once.cache_clear()

    yield set_it
    leftovers._writes_at_once.cache_clear()


def test_an_old_uvloop_is_made_to_write_at_once(version):
    """Or what the server says before the end of the loop's turn would be taken for the answer."""
    version("0.22.1")
    plain_one, below = transport_of("uvloop.loop"), Below()
    write_at_once(plain_one)
    assert plain_one.limits == [0]
    secured = transport_of("uvloop.loop", Tls(below))
    write_at_once(secured)
    assert below.limits == [0]
    assert secured.limits == []


@pytest.mark.parametrize(
    ("module", "number"), [("uvloop.loop", "0.23.0"), ("uvloop.loop", "1.0"), ("asyncio", "0.22.1")]
)
def test_a_loop_that_writes_at_once_is_left_alone(version, module, number):
    version(number)
    transport = transport_of(module)
    write_at_once(transport)
    assert transport.limits == []
