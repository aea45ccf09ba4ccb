"""What people who come from `openai` write: each name of its chat completions is here, or says what it is called."""

import inspect
import pickle

import openai
import openai.types.chat
import pytest
from openai._models import BaseModel
from openai.lib.streaming.chat import AsyncChatCompletionStream, AsyncChatCompletionStreamManager
from openai.resources.chat.completions import AsyncCompletions

import opeai_async
from opeai_async import (
    APIStatusError,
    AsyncOpeAI,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionStream,
    NotFoundError,
    OpeAI,
)
from opeai_async._names import former

CLIENT = AsyncOpeAI("sk-test-x", base_url="http://127.0.0.1:9/v1")
SYNC = OpeAI("sk-test-x", base_url="http://127.0.0.1:9/v1")
THEIRS = openai.AsyncOpenAI(api_key="sk-test-x")

# Of pydantic itself, which nobody asks an answer for.
_OF_PYDANTIC = {
    *("from_orm", "model_computed_fields", "model_parametrized_name", "model_post_init", "model_rebuild"),
    *("model_validate_strings", "parse_file", "schema_json", "update_forward_refs", "validate"),
}
# Types of stored completions, and of parts which are plain dicts or texts here.
_OF_OTHERS = {
    *("ChatCompletionContentPartImage", "ChatCompletionContentPartText", "ChatCompletionDeleted"),
    *("ChatCompletionFunctionCallOptionParam", "ChatCompletionMessageCustomToolCall", "CompletionListParams"),
    *("ChatCompletionMessageCustomToolCallParam", "ChatCompletionMessageFunctionToolCallParam"),
    *("ChatCompletionMessageToolCallUnionParam", "ChatCompletionModality", "ChatCompletionStoreMessage"),
    *("CompletionUpdateParams", "CreateChatCompletionRequestMessageParam"),
}


def public(thing):
    return {name for name in dir(thing) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("theirs", "ours", "table"),
    [
        (public(THEIRS.chat), dir(CLIENT.chat), former.CHAT),
        (public(AsyncCompletions), dir(CLIENT.chat.completions), former.COMPLETIONS),
        (public(THEIRS.models), dir(CLIENT.models), former.MODELS),
        (
            public(AsyncChatCompletionStream) | public(AsyncChatCompletionStreamManager) | public(openai.AsyncStream),
            dir(ChatCompletionStream),
            former.STREAM,
        ),
        (public(BaseModel) - _OF_PYDANTIC, dir(ChatCompletion), former.WIRE),
        ({"request", "response"} | set(openai.APIStatusError.__annotations__), dir(APIStatusError("")), former.ERRORS),
        (
            inspect.signature(openai.AsyncOpenAI).parameters.keys() - {"_enforce_credentials"},
            inspect.signature(AsyncOpeAI).parameters,
            former.OPTIONS,
        ),
        (
            {name for name in public(openai.types.chat) if name[0].isupper()} - _OF_OTHERS,
            opeai_async.__all__,
            former.MODULE,
        ),
    ],
    ids=["chat", "completions", "models", "stream", "wire", "errors", "options", "types"],
)
def test_no_name_is_missed(theirs, ours, table):
    assert set(theirs) - set(ours) - set(table) == set()


@pytest.mark.parametrize(
    ("thing", "tables"),
    [
        (CLIENT, [former.CLIENT]),
        (SYNC, [former.CLIENT]),
        (CLIENT.chat, [former.CHAT]),
        (CLIENT.chat.completions, [former.COMPLETIONS]),
        (SYNC.chat.completions, [former.COMPLETIONS]),
        (CLIENT.models, [former.MODELS]),
        (ChatCompletion(), [former.WIRE, former.COMPLETION]),
        (ChatCompletionChunk(), [former.WIRE, former.CHUNK]),
        (APIStatusError(""), [former.ERRORS]),
        (opeai_async, [former.MODULE]),
    ],
)
def test_each_says_what_it_is_called(thing, tables):
    """As an AttributeError, so that `hasattr` is False; what the thing has after all is left alone."""
    missed = [(name, hint) for table in tables for name, hint in table.items() if name not in dir(thing)]
    assert missed
    for name, hint in missed:
        if name in ("types", "version") and thing is opeai_async:
            continue  # a submodule that is loaded is an attribute
        assert not hasattr(thing, name)
        with pytest.raises(AttributeError) as caught:
            getattr(thing, name)
        assert hint in str(caught.value)
        assert name not in dir(thing)


def test_names_that_hints_speak_of_exist():
    """A hint that leads nowhere would be worse than none."""
    for name, hint in former.MODULE.items():
        if hint.startswith("it is called "):
            called = hint.removeprefix("it is called ").split(",")[0].split(":")[0].split(";")[0]
            assert called in (*opeai_async.__all__, "RateLimitError"), (name, called)


def test_items_of_an_answer():
    """As in old tutorials; and what looks like a mapping to others stays none."""
    with pytest.raises(TypeError, match=r"ChatCompletion has attributes, no items: write .choices"):
        ChatCompletion()["choices"]
    assert dict(ChatCompletion(id="a"))["id"] == "a"


def test_an_error_pickles_all_the_same():
    error = NotFoundError("no", status_code=404, body={"a": 1})
    assert pickle.loads(pickle.dumps(error)).body == {"a": 1}
    with pytest.raises(AttributeError, match="its facts are attributes: status_code, headers"):
        _ = error.response
