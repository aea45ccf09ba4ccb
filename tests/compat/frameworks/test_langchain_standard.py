"""LangChain's standard suites for chat models, on ChatOpeAI over real sockets to a server that fills in schemas."""

import asyncio
import functools
import json
import operator
import threading

import pytest

pytest.importorskip("langchain_tests", reason="langchain-tests is not installed; `nox -s frameworks` has it")

import httpx
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from opeai_async.langchain import ChatOpeAI
from opeai_async.testing import OpeAIServer, Reply

# LangChain itself makes a name up then.
pytestmark = pytest.mark.filterwarnings("ignore:OpenAI may require a filename")

SAMPLES = {"integer": 3, "number": 3.0, "boolean": True, "array": [], "null": None}


def filled(schema, top, text):
    """Return a value that *schema* allows, with *text* for each text in it."""
    if "$ref" in schema:
        schema = top["$defs"][schema["$ref"].rsplit("/")[-1]]
    if "anyOf" in schema:
        schema = schema["anyOf"][0]
    if "enum" in schema:
        return schema["enum"][0]
    if "properties" in schema or schema.get("type") == "object":
        return {name: filled(inner, top, text) for name, inner in schema.get("properties", {}).items()}
    return SAMPLES.get(schema.get("type"), text)


async def answer(record):
    """Call the tool that is asked for, or the first; or answer in the form that is asked for."""
    asked, choice = record.json, record.json.get("tool_choice")
    is_named = isinstance(choice, dict)
    text = str(asked["messages"][-1]["content"])
    if asked.get("tools") and choice != "none" and (asked["messages"][-1]["role"] != "tool" or is_named):
        functions = {tool["function"]["name"]: tool["function"] for tool in asked["tools"]}
        name = choice["function"]["name"] if is_named else next(iter(functions))
        schema = functions[name].get("parameters", {})
        return Reply(None, tool_calls=[(name, filled(schema, schema, text))])
    form = asked.get("response_format", {})
    if form.get("type") == "json_schema":
        schema = form["json_schema"]["schema"]
        return Reply(json.dumps(filled(schema, schema, text)))
    if form.get("type") == "json_object":
        return Reply('{"setup": "a", "punchline": "b"}')
    return Reply("Hello there, how are you? hat", reasoning="They greet me.")


@pytest.fixture(scope="module")
def live():
    """A server in a thread of its own, as half of the suite is not async."""
    server, ready, stop = OpeAIServer(), threading.Event(), []

    async def serve():
        stop.append((asyncio.get_running_loop(), ended := asyncio.Event()))
        async with server:
            server.handle(answer)
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    yield server
    loop, ended = stop[0]
    loop.call_soon_threadsafe(ended.set)
    thread.join()


class TestUnit(ChatModelUnitTests):
    """Making, binding, storing."""

    chat_model_class = ChatOpeAI
    chat_model_params = {"model": "m", "api_key": "test", "base_url": "https://localhost/v1"}
    init_from_env_params = (
        {"OPEAI_API_KEY": "test", "OPEAI_BASE_URL": "https://localhost/v1"},
        {"model": "m"},
        {"api_key": "test", "base_url": "https://localhost/v1"},
    )


class TestIntegration(ChatModelIntegrationTests):
    """Answers, streams, tools, values, usage."""

    chat_model_class = ChatOpeAI
    chat_model_params = {"model": "m"}
    model_override_value = "m2"
    supports_image_inputs = True
    supports_image_urls = True
    supports_image_tool_message = True
    supports_pdf_inputs = True
    supports_pdf_tool_message = True
    supports_anthropic_inputs = True
    supports_audio_inputs = True
    supports_json_mode = True
    supported_usage_metadata_details = {"invoke": ["reasoning_output"], "stream": ["reasoning_output"]}

    @pytest.fixture(autouse=True)
    def _over_the_live_server(self, live, monkeypatch):
        monkeypatch.setenv("OPEAI_API_KEY", live.api_key)
        monkeypatch.setenv("OPEAI_BASE_URL", live.base_url)
        # The suite fetches its pictures, recordings and documents from the web; what is in them does not matter here.
        monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(200, content=b"some bytes"))
        monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "opeai_async")

    def invoke_with_reasoning_output(self, *, stream=False):
        model = ChatOpeAI(**self.chat_model_params)
        if not stream:
            return model.invoke("hello")
        chunks = list(model.stream("hello"))
        return functools.reduce(operator.add, chunks)
