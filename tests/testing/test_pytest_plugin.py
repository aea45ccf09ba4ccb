"""The fixtures, used as a user's project does: in a pytest run of its own, under each plugin that runs async tests."""

import subprocess
import sys

import pytest

from opeai_async import AsyncOpeAI
from opeai_async.testing import OpeAIServer

pytest_plugins = ["pytester"]

USER_TEST = """
import asyncio
import threading
import pytest
from opeai_async import AsyncOpeAI

{mark}
async def test_stream(opeai_server, opeai_client):
    opeai_server.reply("Hello there")
    assert isinstance(opeai_client, AsyncOpeAI)
    stream = await opeai_client.chat.completions.create(
        model="m", messages=[{{"role": "user", "content": "Hi"}}], stream=True
    )
    completion = await stream.completion()
    assert completion.choices[0].message.content == "Hello there"
    assert opeai_server.requests[0].json["stream"] is True

{mark}
async def test_each_test_has_its_own_server_and_loop(opeai_client, opeai_server):
    assert opeai_server.requests == []
    opeai_server.stall("one")
    stream = await opeai_client.chat.completions.create(
        model="m", messages=[{{"role": "user", "content": "Hi"}}], stream=True
    )
    await stream.aclose()
    record = await opeai_server.wait_closed()
    assert record.outcome == "client_gone"

def test_without_async(opeai_server):
    assert opeai_server.base_url.startswith("http://127.0.0.1:")
    assert len(threading.enumerate()) > 1

def test_nothing_is_left():
    assert [thread.name for thread in threading.enumerate()] == ["MainThread"]
"""


CONFTEST = 'pytest_plugins = ["opeai_async.testing.pytest"]'


def run(
    pytester: pytest.Pytester, mark: str, *options: str, ini: str = "", conftest: str = CONFTEST
) -> pytest.RunResult:
    """Run the tests of a user who opted in, with every warning an error."""
    pytester.makeconftest(conftest)
    pytester.makeini(f"[pytest]\nfilterwarnings = error\n{ini}")
    pytester.makepyfile(USER_TEST.format(mark=mark))
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)


def test_under_anyio(pytester: pytest.Pytester) -> None:
    """anyio's plugin comes with the package: a marker is all that is needed."""
    mark = '@pytest.mark.anyio\n@pytest.mark.parametrize("anyio_backend", ["asyncio"])'
    run(pytester, mark, "-p", "no:asyncio").assert_outcomes(passed=4)


def test_under_anyio_on_uvloop(pytester: pytest.Pytester) -> None:
    """As services run that come with uvicorn[standard]."""
    pytest.importorskip("uvloop")
    mark = '@pytest.mark.anyio\n@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})])'
    run(pytester, mark, "-p", "no:asyncio").assert_outcomes(passed=4)


def test_under_anyio_without_a_marker(pytester: pytest.Pytester) -> None:
    """In its auto mode not even that."""
    mark = '@pytest.mark.parametrize("anyio_backend", ["asyncio"])'
    run(pytester, mark, "-p", "no:asyncio", ini="anyio_mode = auto").assert_outcomes(passed=4)


@pytest.mark.parametrize("mode", ["strict", "auto"])
@pytest.mark.parametrize("scope", ["function", "session"])
def test_under_pytest_asyncio(pytester: pytest.Pytester, mode: str, scope: str) -> None:
    """The same tests under pytest-asyncio, which runs only fixtures of its own making in strict mode."""
    pytest.importorskip("pytest_asyncio")
    ini = (
        f"asyncio_mode = {mode}\n"
        f"asyncio_default_fixture_loop_scope = {scope}\n"
        f"asyncio_default_test_loop_scope = {scope}\n"
    )
    run(pytester, "@pytest.mark.asyncio" if mode == "strict" else "", ini=ini).assert_outcomes(passed=4)


UVLOOP_OF_PYTEST_ASYNCIO = """
import pytest, uvloop
pytest_plugins = ["opeai_async.testing.pytest"]

def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}
"""


def test_under_pytest_asyncio_on_uvloop(pytester: pytest.Pytester) -> None:
    """In the way it names the loop; the client is closed on the loop that used it."""
    pytest_asyncio = pytest.importorskip("pytest_asyncio", minversion="1.4")
    pytest.importorskip("uvloop")
    assert pytest_asyncio
    ini = "asyncio_mode = auto\nasyncio_default_fixture_loop_scope = function"
    run(pytester, "", ini=ini, conftest=UVLOOP_OF_PYTEST_ASYNCIO).assert_outcomes(passed=4)


def test_under_anyio_beside_pytest_asyncio(pytester: pytest.Pytester) -> None:
    """Both installed: the marker decides."""
    pytest.importorskip("pytest_asyncio")
    mark = '@pytest.mark.anyio\n@pytest.mark.parametrize("anyio_backend", ["asyncio"])'
    run(pytester, mark, ini="asyncio_default_fixture_loop_scope = function").assert_outcomes(passed=4)


def test_a_client_for_a_test_that_is_not_async(pytester: pytest.Pytester) -> None:
    """Without anybody to run its loop the client says what is needed."""
    pytester.makeconftest('pytest_plugins = ["opeai_async.testing.pytest"]')
    pytester.makepyfile("def test_plain(opeai_client): pass")
    result = pytester.runpytest_subprocess("-p", "no:asyncio", "-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*opeai_client needs an async test: mark it with pytest.mark.anyio, or install*"])


def test_loading_the_plugin_does_not_load_aiohttp() -> None:
    """Who opts in pays when a fixture is used."""
    code = "import sys, opeai_async.testing.pytest; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_package_lists_what_it_has() -> None:
    """`dir` and `from ... import` see the lazy names, and an unknown one is an AttributeError."""
    import opeai_async.testing as testing

    assert dir(testing) == sorted(testing.__all__)
    assert all(getattr(testing, name) is not None for name in testing.__all__)
    with pytest.raises(AttributeError, match=r"'opeai_async\.testing' has no attribute 'Nothing'"):
        _ = testing.Nothing


async def test_a_client_bound_to_the_server() -> None:
    """`server.client` knows address and key; options go to the client, and may replace both."""
    async with OpeAIServer(api_key="sk-own") as server, server.client(max_retries=0) as client:
        assert isinstance(client, AsyncOpeAI)
        server.reply("Hello there", reasoning="Think", tool_calls=[("f", {"a": 1})])
        completion = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
        message = completion.choices[0].message
        assert (message.content, message.reasoning_content) == ("Hello there", "Think")
        assert message.tool_calls
        assert message.tool_calls[0].function.arguments == '{"a":1}'
        assert completion.meta.request_id == server.requests[0].request_id
        assert server.requests[0].headers["authorization"] == "Bearer sk-own"


def test_the_options_of_the_server_can_be_overridden(pytester: pytest.Pytester) -> None:
    """By a fixture, where a project wants them."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def opeai_server_options():
            return {"validate": False, "api_key": "sk-other"}

        def test_it(opeai_server):
            assert (opeai_server.validate, opeai_server.api_key) == (False, "sk-other")
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
