"""Structs as dicts and JSON, in pydantic and FastAPI; counts by whatever name; names of other clients."""

import json

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async import (
    AsyncOpeAI,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    CompletionUsage,
    decode_chunk,
)
from opeai_async.testing import OpeAIServer

COMPLETION = {
    "id": "1",
    "object": "chat.completion",
    "created": 5,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, "x": 1}],
                "vendor": {"a": [None]},
            },
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 0, "total_tokens": 1, "cost": 0.5},
    "provider": "p",
}


class TestStoring:
    def test_a_round_trip(self):
        """Vendor fields are where they came from, on both ways."""
        completion = ChatCompletion.from_dict(COMPLETION)
        assert completion.to_dict() == COMPLETION
        assert completion.extra == {"provider": "p"}
        assert completion.choices[0].message.extra == {"vendor": {"a": [None]}}
        assert ChatCompletion.from_json(completion.to_json()) == completion
        assert json.loads(completion.to_json(indent=2)) == COMPLETION
        assert "\n  " in completion.to_json(indent=2)
        assert dict(completion) == COMPLETION

    @given(st.text(), st.none() | st.text())
    def test_a_chunk(self, content, reason):
        body = {"id": "1", "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": reason}]}
        chunk = decode_chunk(json.dumps(body))
        assert ChatCompletionChunk.from_json(chunk.to_json()) == chunk

    def test_what_is_no_completion(self):
        with pytest.raises(msgspec.ValidationError, match="choices"):
            ChatCompletion.from_dict({"choices": 3})
        with pytest.raises(msgspec.DecodeError):
            ChatCompletion.from_json("{")

    def test_a_field_of_pydantic(self):
        class Stored(pydantic.BaseModel):
            answer: ChatCompletion

        stored = Stored(answer=COMPLETION)
        assert Stored(answer=stored.answer).answer is stored.answer
        assert stored.model_dump() == {"answer": COMPLETION}
        assert Stored.model_validate_json(stored.model_dump_json()) == stored
        assert Stored.model_json_schema()["properties"]["answer"]["title"] == "ChatCompletion"
        for wrong in ({"choices": 3}, 5, "{"):
            with pytest.raises(pydantic.ValidationError, match="no ChatCompletion"):
                Stored(answer=wrong)

    def test_print(self):
        """Short, and without headers."""
        completion = ChatCompletion.from_dict(COMPLETION)
        assert str(completion) == "f({})\n[1, m, 1 tokens]"
        message = ChatCompletionMessage(role="assistant", content="**Hi**")
        said = msgspec.structs.replace(completion.choices[0], message=message)
        assert msgspec.structs.replace(completion, choices=[said, said])._repr_markdown_() == "**Hi**\n\n---\n\n**Hi**"
        assert message._repr_markdown_() == said._repr_markdown_() == "**Hi**"

    async def test_the_repr_has_no_headers(self):
        async with OpeAIServer() as server, server.client() as client:
            completion = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "a"}])
        assert "content-type" not in repr(completion)
        rich = pytest.importorskip("rich.pretty").pretty_repr(completion)
        assert "req_" in rich
        assert "content-type" not in rich
        assert completion.meta.headers["content-type"] == "application/json"


USAGES = [
    ({"prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 4}}, {"cached": 3, "cache_written": 4}),
    ({"prompt_cache_hit_tokens": 5, "prompt_cache_miss_tokens": 1}, {"cached": 5}),
    ({"cached_tokens": 0}, {"cached": 0}),
    ({"cache_read_input_tokens": 1, "cache_creation_input_tokens": 2}, {"cached": 1, "cache_written": 2}),
    ({"completion_tokens_details": {"reasoning_tokens": 7, "audio_tokens": 8}}, {"reasoning": 7, "output_audio": 8}),
    ({"reasoning_tokens": 6}, {"reasoning": 6}),
]


class TestUsage:
    @pytest.mark.parametrize(("told", "found"), USAGES)
    def test_counts(self, told, found):
        view = CompletionUsage.from_dict(told).view
        assert {name: value for name, value in msgspec.structs.asdict(view).items() if value is not None} == {
            f"{name}_tokens": value for name, value in found.items()
        }

    @pytest.mark.parametrize(
        ("told", "cost"),
        [
            ({"cost": 0.25, "is_byok": False}, 0.25),
            ({"cost": {"total_cost": 0.5}}, 0.5),
            ({"estimated_cost": 1e-6}, 1e-6),
            ({"cost_in_usd_ticks": 10**9}, 0.1),
            ({"cost": "free"}, None),
            ({"cost": True}, None),
            ({}, None),
        ],
    )
    def test_the_price(self, told, cost):
        assert CompletionUsage.from_dict(told).view.cost == cost

    def test_times(self):
        view = CompletionUsage.from_dict({"queue_time": 0.1, "prompt_time": 1, "total_time": 2.5}).view
        assert (view.queue_s, view.prompt_s, view.completion_s, view.total_s) == (0.1, 1, None, 2.5)


class TestNamesOfOtherClients:
    @pytest.mark.parametrize(
        ("name", "words"),
        [("model_dump", "to_dict"), ("model_extra", "extra"), ("content", r"choices\[0\]"), ("_request_id", "meta")],
    )
    def test_of_a_completion(self, name, words):
        completion = ChatCompletion.from_dict(COMPLETION)
        assert not hasattr(completion, name)
        with pytest.raises(AttributeError, match=words):
            getattr(completion, name)

    def test_what_a_class_has_is_left_alone(self):
        assert ChatCompletion.from_dict(COMPLETION).choices[0].message.content is None

    async def test_of_client_and_stream(self):
        client = AsyncOpeAI("sk-test-x", base_url="http://localhost:1/v1")
        for thing, name, words in (
            (client, "close", "aclose"),
            (client, "responses", "compat"),
            (client.chat, "create", "completions"),
            (client.chat.completions, "with_raw_response", "meta"),
        ):
            with pytest.raises(AttributeError, match=words):
                getattr(thing, name)
        stream = client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "a"}])
        with pytest.raises(AttributeError, match=r"completion\(\)"):
            _ = stream.get_final_completion
        with pytest.raises(TypeError, match="async for"):
            list(stream)
        with pytest.raises(TypeError, match="async with"):
            with stream:
                pass
        with pytest.raises(TypeError, match="async with"):
            with client:
                pass
        with pytest.raises(TypeError, match="not awaited"):
            await stream
        with pytest.raises(AttributeError, match="aclose"):
            client.close = 1
        await client.aclose()
