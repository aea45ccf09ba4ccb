"""`help`, ``?`` and tab completion: what is taken by name is shown, and `dir` shows what is used."""

from __future__ import annotations

import inspect
import pydoc
from typing import Unpack
from unittest import mock

import pytest

from opeai_async import AsyncOpeAI, ChatCompletionStream, OpeAI, RelayOptions
from opeai_async._chat import spelled_out
from opeai_async._core.call.params import (
    ClientOptions,
    CreateParams,
    ListOptions,
    ParseParams,
    RunParams,
    UnformattedRunParams,
)
from opeai_async.bulk.options import BulkParams
from opeai_async.testing import OpeAIServer
from opeai_async.types.request import CompletionParams

CLIENT = AsyncOpeAI("sk-test-x", base_url="http://127.0.0.1:9/v1")
SYNC = OpeAI("sk-test-x", base_url="http://127.0.0.1:9/v1")

METHODS = [
    (CLIENT.chat.completions.create, CreateParams),
    (CLIENT.chat.completions.parse, ParseParams),
    (CLIENT.chat.completions.stream, CreateParams),
    (CLIENT.chat.completions.run, RunParams),
    (CLIENT.chat.completions.run, UnformattedRunParams),
    (CLIENT.chat.completions.map, BulkParams),
    (CLIENT.models.list, ListOptions),
    (CLIENT.with_options, ClientOptions),
    (ChatCompletionStream.relay, RelayOptions),
    (SYNC.chat.completions.create, CreateParams),
    (SYNC.chat.completions.parse, ParseParams),
    (SYNC.chat.completions.stream, CreateParams),
    (SYNC.models.list, ListOptions),
    (SYNC.with_options, ClientOptions),
]
IDS = [f"{method.__qualname__}-{keys.__name__}" for method, keys in METHODS]


@pytest.mark.parametrize(("method", "keys"), METHODS, ids=IDS)
def test_each_keyword_is_shown(method, keys):
    """In the signature, and with a line of its own in the text."""
    shown = inspect.signature(method).parameters
    assert keys.__annotations__.keys() <= shown.keys()
    text = pydoc.render_doc(method, renderer=pydoc.plaintext)
    for name in keys.__annotations__.keys() - {"response_format"}:
        assert f"\n        {name}: " in text, name


def test_the_signature_reads_well():
    """Types by the names that one would write, what must be given first, and room for what vendors take."""
    shown = inspect.signature(CLIENT.chat.completions.create)
    assert str(shown).startswith("(*, messages: Iterable[MessageParam], model: str, stream: bool | None = False,")
    assert "tool_choice: ToolChoiceParam | None = None" in str(shown)
    assert "timeouts: TimeoutsLike | None = None" in str(shown)
    assert str(shown).endswith("**params: object) -> Any")
    assert "seed" in inspect.signature(CLIENT.chat.completions.parse).parameters
    # A limit that is None is none at all, and so not what holds where nothing is given.
    assert inspect.signature(ChatCompletionStream.relay).parameters["send_timeout"].default is ...
    assert "options" not in inspect.signature(CLIENT.with_options).parameters


def test_a_method_of_the_class_has_self():
    assert list(inspect.signature(type(CLIENT.chat.completions).create).parameters)[:2] == ["self", "messages"]


def test_the_sync_client_shows_the_options_of_the_other():
    assert list(inspect.signature(OpeAI).parameters) == list(inspect.signature(AsyncOpeAI).parameters)


def test_nothing_is_made_before_somebody_looks(monkeypatch):
    made = []
    monkeypatch.setattr(spelled_out, "_signature", made.append)
    monkeypatch.setattr(spelled_out, "_described", made.append)

    @spelled_out.spelled_out
    class Taker:
        def take(self, **params: Unpack[CreateParams]) -> None:
            """Take them."""

    assert made == []
    assert "_made" not in vars(Taker.take.__signature__)
    assert Taker.take.__doc__[:5] == "Take "
    assert callable(Taker().take)


def test_a_stand_in_knows_the_keywords():
    """`create_autospec` asks for signatures: a parameter that is missing is seen by tests of applications."""
    double = mock.create_autospec(CLIENT)
    double.with_options(timeout=3)
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        double.with_options(colour=3)


def test_changes_of_a_signature():
    """What tools do with signatures works with these."""
    shown = inspect.signature(type(CLIENT.chat.completions).create)
    assert shown.replace(return_annotation=int).return_annotation is int
    assert shown.bind(None, model="m", messages=[], top_k=3).arguments["params"] == {"top_k": 3}
    with pytest.raises(TypeError, match="messages"):
        shown.bind(None, model="m")


def test_every_parameter_is_described():
    """`CompletionParams` and the like have a line for each key of theirs."""
    for keys in (CompletionParams, ListOptions, ClientOptions, BulkParams, RelayOptions):
        assert keys.__annotations__.keys() <= dict(spelled_out._entries(keys)).keys(), keys.__name__


async def test_dir_shows_what_is_used():
    """Neither names that others use for it, nor what is meant for this package alone."""
    async with OpeAIServer() as server, server.client() as client:
        ask = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
        completion = await client.chat.completions.create(**ask)
        async with client.chat.completions.stream(**ask) as stream:
            chunks = [chunk async for chunk in stream]
    for value, used in [
        (completion, {"choices", "usage", "meta", "to_dict", "to_json", "extra"}),
        (completion.choices[0], {"message", "finish", "finish_reason"}),
        (chunks[0], {"choices", "usage", "to_json"}),
        (stream, {"text", "events", "relay", "completion", "snapshot", "timing", "meta", "outcome"}),
        (client, {"chat", "models", "with_options", "aclose"}),
        (client.chat.completions, {"create", "stream", "parse", "run", "map"}),
        (SYNC, {"chat", "models", "with_options", "close"}),
    ]:
        shown = {name for name in dir(value) if not name.startswith("__")}
        assert used <= shown
        assert all(hasattr(value, name) for name in shown)
        assert not shown & {"model_dump", "beta", "acreate", "text_stream", "hold", "is_plain", "public_type"}
        assert not any(name.startswith("_") for name in shown) or value is SYNC
    assert "__aenter__" in dir(stream)
