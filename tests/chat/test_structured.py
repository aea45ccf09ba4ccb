"""Values of Python types from a real server: awaited, asked for again, and streamed."""

import copy
import dataclasses
import json
import pickle
from collections.abc import AsyncIterator
from typing import Literal

import msgspec
import pytest

from opeai_async import (
    ChatCompletionMessage,
    InvalidOutputError,
    OutputTruncatedError,
    ParsedChatCompletionStream,
    StreamTruncatedError,
)
from opeai_async._core.call.encode import encode_request
from opeai_async._core.schema.output_format import OutputFormat
from opeai_async.errors import BadRequestError, ConfigurationError, RequestValidationError
from opeai_async.testing import OpeAIServer, Reply
from opeai_async.types.common import CompletionUsage
from opeai_async.types.parsed import ParsedChatCompletionMessage
from tests.support.secrets import chain_of

HELLO = {"role": "user", "content": "hello"}
BODY = {"model": "m", "messages": [HELLO]}
GOOD, BAD = '{"name":"Oulu","size":2}', '{"name":"Oulu","size":"2"}'
MODES = ["json_schema", "json_object", "tool"]


class City(msgspec.Struct):
    """A town."""

    name: str
    size: int


@dataclasses.dataclass
class Span:
    days: int


OULU = City("Oulu", 2)


@pytest.fixture
async def server() -> AsyncIterator[OpeAIServer]:
    async with OpeAIServer() as server:
        yield server


@pytest.fixture
async def completions(server):
    async with server.client() as client:
        yield client.chat.completions


def reply(server, text, mode="json_schema", **options):
    """Answer with *text* as content, or as the arguments of the tool."""
    if mode == "tool":
        server.reply(tool_calls=[("City", text)], **options)
    else:
        server.reply(text, **options)


async def ask(completions, how, **params):
    """The parsed completion, awaited or streamed."""
    if how == "awaited":
        return await completions.parse(**{**BODY, **params})
    async with completions.stream(**{**BODY, **params}) as stream:
        return await stream.completion()


@pytest.mark.parametrize("how", ["awaited", "streamed"])
class TestBothWays:
    """What holds whether the answer is streamed or not."""

    @pytest.mark.parametrize("mode", MODES)
    async def test_a_value_in_each_mode(self, server, completions, how, mode):
        """The request asks for it in that mode, and the answer is one."""
        reply(server, GOOD, mode)
        parsed = await ask(completions, how, response_format=City, mode=mode)
        assert parsed.parsed == OULU
        assert parsed.choices[0].message.parsed is parsed.parsed
        assert parsed.usage.total_tokens > 0
        assert parsed.meta.request_id
        (request,) = server.requests
        sent = {name: value for name, value in request.json.items() if name not in ("stream", "stream_options")}
        assert sent == OutputFormat(City, mode=mode).asked(BODY)
        assert request.json.get("stream", False) is (how == "streamed")

    @pytest.mark.parametrize(
        ("annotation", "text", "value"),
        [
            (list[City], f'{{"value":[{GOOD}]}}', [OULU]),
            (Span, '{"days":2}', Span(2)),
            (City | None, '{"value":null}', None),
            (Literal["s", "l"], '{"value":"l"}', "l"),
            (int, '{"value":3}', 3),
        ],
    )
    async def test_other_types(self, server, completions, how, annotation, text, value):
        """What is no object travels in one."""
        server.reply(text)
        assert (await ask(completions, how, response_format=annotation)).parsed == value
        schema = server.requests[0].json["response_format"]["json_schema"]["schema"]
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False

    @pytest.mark.parametrize("mode", MODES)
    async def test_what_is_not_valid(self, server, completions, how, mode):
        """The error has the place, the text, and the whole answer."""
        reply(server, BAD, mode)
        with pytest.raises(InvalidOutputError, match=r"the answer is no City: .*, at \$\.size") as caught:
            await ask(completions, how, response_format=City, mode=mode)
        assert (caught.value.path, caught.value.text) == ("$.size", BAD)
        assert caught.value.completion.usage == caught.value.usage
        assert caught.value.completion.meta.status_code == 200
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)

    async def test_what_an_error_holds(self, server, completions, how):
        """No key, no prompt, nothing that is alive."""
        server.reply(BAD)
        with pytest.raises(InvalidOutputError) as caught:
            await ask(completions, how, response_format=City)
        assert chain_of(caught.value) == [caught.value]
        held = repr(vars(pickle.loads(pickle.dumps(caught.value))))
        assert server.api_key not in held
        assert HELLO["content"] not in held

    async def test_what_was_cut(self, server, completions, how):
        """It is told from what is wrong."""
        server.reply('{"name":"Ou', finish_reason="length")
        with pytest.raises(OutputTruncatedError) as caught:
            await ask(completions, how, response_format=City)
        assert caught.value.text == '{"name":"Ou'

    async def test_a_refusal(self, server, completions, how):
        """It is no error."""
        server.reply(refusal="I will not.")
        parsed = await ask(completions, how, response_format=City)
        assert parsed.parsed is None
        assert parsed.choices[0].message.refusal == "I will not."

    async def test_several_choices(self, server, completions, how):
        """Each has its value."""
        server.reply([GOOD, '{"name":"Turku","size":3}'])
        parsed = await ask(completions, how, response_format=City, n=2)
        assert [choice.message.parsed for choice in parsed.choices] == [OULU, City("Turku", 3)]

    async def test_a_code_fence(self, server, completions, how):
        """It is taken off, except by who wants to know it."""
        server.reply(f"```json\n{GOOD}\n```", times=2)
        parsed = await ask(completions, how, response_format=City, mode="json_object")
        assert parsed.parsed == OULU
        assert "output_fenced" in parsed.meta.quirks
        with pytest.raises(InvalidOutputError):
            await ask(completions, how, response_format=City, mode="json_object", dialect="strict")

    async def test_thinking_before_the_value(self, server, completions, how):
        """Where it stands in the content, it is split off first."""
        server.reply(f"<think>Which one?</think>{GOOD}")
        parsed = await ask(completions, how, response_format=City, reasoning_tags="think")
        assert parsed.parsed == OULU
        assert parsed.choices[0].message.reasoning_content == "Which one?"

    async def test_what_cannot_be_asked_for(self, server, completions, how):
        """Nothing is sent."""
        for wrong in (
            {"response_format": dict[str, int]},
            {"response_format": object},
            {"response_format": City, "mode": "xml"},
            {"response_format": City, "mode": "tool", "tools": []},
            {"response_format": City, "messages": "hello"},
            {"response_format": City, "temperature": 3},
        ):
            with pytest.raises(RequestValidationError):
                await ask(completions, how, **wrong)
        with pytest.raises(ConfigurationError):
            await ask(completions, how, response_format=City, dialect="other")
        assert server.requests == []

    async def test_free_keys_without_strict_mode(self, server, completions, how):
        """The server is told that it is none."""
        server.reply('{"a":1}')
        assert (await ask(completions, how, response_format=dict[str, int], strict=False)).parsed == {"a": 1}
        assert server.requests[0].json["response_format"]["json_schema"]["strict"] is False

    async def test_options_of_the_call(self, server, completions, how):
        """They hold as for any other."""
        server.reply(GOOD)
        await ask(
            completions,
            how,
            response_format=City,
            extra_headers={"X-Token": "a"},
            extra_body={"verbosity": "low"},
            seed=3,
        )
        (request,) = server.requests
        assert (request.json["verbosity"], request.json["seed"]) == ("low", 3)
        assert request.headers["x-token"] == "a"

    async def test_a_server_that_refuses_the_schema(self, server, completions, how):
        """Its words are raised as ever."""
        server.fail(400, message="Invalid schema for response_format 'City'")
        with pytest.raises(BadRequestError, match="Invalid schema"):
            await ask(completions, how, response_format=City)

    async def test_a_pydantic_model(self, server, completions, how):
        """As any other type."""
        pydantic = pytest.importorskip("pydantic")

        class Town(pydantic.BaseModel):
            name: str
            size: int = pydantic.Field(ge=0)

        server.reply(GOOD)
        parsed = await ask(completions, how, response_format=Town)
        assert parsed.parsed == Town(name="Oulu", size=2)
        server.reply('{"name":"Oulu","size":-1}')
        with pytest.raises(InvalidOutputError, match="greater than or equal to 0") as caught:
            await ask(completions, how, response_format=Town)
        assert caught.value.path == "$.size"


class TestAskingAgain:
    """`retries_on_invalid`."""

    async def test_the_error_is_sent_back(self, server, completions):
        """With the answer it is about; what all answers cost is summed, and those before the last are there."""
        server.reply(BAD, usage={"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15})
        server.reply("{}", usage={"prompt_tokens": 20, "completion_tokens": 1, "total_tokens": 21})
        server.reply(GOOD, usage={"prompt_tokens": 30, "completion_tokens": 5, "total_tokens": 35})
        parsed = await completions.parse(**BODY, response_format=City, retries_on_invalid=5)
        assert parsed.parsed == OULU
        assert [request.json["messages"] for request in server.requests] == [
            [HELLO],
            [HELLO, {"role": "assistant", "content": BAD}, said("Expected `int`, got `str`, at $.size")],
            [
                HELLO,
                {"role": "assistant", "content": BAD},
                said("Expected `int`, got `str`, at $.size"),
                {"role": "assistant", "content": "{}"},
                said("Object missing required field `name`"),
            ],
        ]
        assert len({json.dumps(request.json["response_format"]) for request in server.requests}) == 1
        assert (parsed.usage.prompt_tokens, parsed.usage.completion_tokens, parsed.usage.total_tokens) == (60, 11, 71)
        assert [rejected.choices[0].message.content for rejected in parsed.rejected] == [BAD, "{}"]
        assert [rejected.usage.total_tokens for rejected in parsed.rejected] == [15, 21]

    async def test_a_call_has_its_result(self, server, completions):
        """In the mode of tools the error is what the tool returned."""
        reply(server, BAD, "tool")
        reply(server, GOOD, "tool")
        parsed = await completions.parse(**BODY, response_format=City, mode="tool", retries_on_invalid=1)
        assert parsed.parsed == OULU
        _, assistant, result = server.requests[1].json["messages"]
        assert assistant["tool_calls"][0]["function"] == {"name": "City", "arguments": BAD}
        assert (result["role"], result["tool_call_id"]) == ("tool", assistant["tool_calls"][0]["id"])
        assert "at $.size" in result["content"]

    async def test_the_schema_stays_in_the_prompt(self, server, completions):
        """The errors come after it."""
        server.reply(BAD)
        server.reply(GOOD)
        await completions.parse(**BODY, response_format=City, mode="json_object", retries_on_invalid=1)
        roles = [message["role"] for message in server.requests[1].json["messages"]]
        assert roles == ["system", "user", "assistant", "user"]

    async def test_no_answer_was_valid(self, server, completions):
        """The last error has the answers before, and what all of them cost."""
        server.reply(BAD, times=3, usage={"total_tokens": 15})
        with pytest.raises(InvalidOutputError) as caught:
            await completions.parse(**BODY, response_format=City, retries_on_invalid=2)
        assert len(server.requests) == 3
        assert len(caught.value.rejected) == 2
        assert caught.value.usage.total_tokens == 45

    @pytest.mark.parametrize("finish_reason", ["length", "content_filter"])
    async def test_what_was_cut_is_not_asked_for_again(self, server, completions, finish_reason):
        """It would be cut again."""
        server.reply('{"name":', finish_reason=finish_reason)
        with pytest.raises(InvalidOutputError):
            await completions.parse(**BODY, response_format=City, retries_on_invalid=3)
        assert len(server.requests) == 1

    async def test_messages_that_can_be_taken_once(self, server, completions):
        """They are sent twice."""
        server.reply(BAD)
        server.reply(GOOD)
        await completions.parse(model="m", messages=iter([HELLO]), response_format=City, retries_on_invalid=1)
        assert [len(request.json["messages"]) for request in server.requests] == [1, 3]

    async def test_a_stream_is_asked_for_elsewhere(self, server, completions):
        """Here the whole answer is awaited."""
        with pytest.raises(RequestValidationError, match="stream is True") as caught:
            await completions.parse(**BODY, response_format=City, stream=True)
        assert caught.value.field == "stream"
        assert server.requests == []

    @pytest.mark.parametrize(("retries", "n"), [(-1, None), (1, 2)])
    async def test_how_often(self, server, completions, retries, n):
        """Not less than never, and only one conversation at a time."""
        with pytest.raises(RequestValidationError, match=f"retries_on_invalid is {retries}") as caught:
            await completions.parse(**BODY, response_format=City, retries_on_invalid=retries, n=n)
        assert caught.value.field == "retries_on_invalid"
        assert server.requests == []


def said(reason):
    return {"role": "user", "content": f"This is not valid: {reason}. Give the whole answer again, corrected."}


class TestStreams:
    """`stream(response_format=T)`."""

    async def test_it_streams_as_any_other(self, server, completions):
        """Text as it comes, and then the value."""
        server.reply(GOOD)
        async with completions.stream(**BODY, response_format=City) as stream:
            assert type(stream) is ParsedChatCompletionStream
            assert "".join([text async for text in stream.text()]) == GOOD
            assert (await stream.completion()).parsed == OULU
            assert (await stream.completion()).parsed == OULU
        assert server.requests[0].json["stream_options"] == {"include_usage": True}

    async def test_an_invalid_value_does_not_break_the_stream(self, server, completions):
        """The chunks have come, and the error comes with each question for the value."""
        server.reply(BAD)
        async with completions.stream(**BODY, response_format=City) as stream:
            assert [chunk async for chunk in stream]
            for _ in range(2):
                with pytest.raises(InvalidOutputError):
                    await stream.completion()
            assert stream.outcome == "complete"

    async def test_a_cancelled_stream(self, server, completions):
        """The message so far, and no value."""
        server.reply(GOOD)
        async with completions.stream(**BODY, response_format=City) as stream:
            async for _ in stream.text():
                stream.cancel()
            completion = await stream.completion()
        assert completion.parsed is None
        assert GOOD.startswith(completion.choices[0].message.content)

    async def test_a_stream_that_is_cut(self, server, completions):
        """It raises as ever; where that is wanted as an answer, that is not valid."""
        server.answer(Reply(GOOD, ending="clean", after=2), times=2)
        async with completions.stream(**BODY, response_format=City) as stream:
            with pytest.raises(StreamTruncatedError):
                await stream.completion()
        async with completions.stream(**BODY, response_format=City, on_truncated="return") as stream:
            with pytest.raises(InvalidOutputError):
                await stream.completion()

    async def test_the_formats_of_the_api(self, server, completions):
        """They are sent as they are, and nothing is parsed."""
        server.reply(GOOD)
        async with completions.stream(**BODY, response_format={"type": "json_object"}) as stream:
            assert not hasattr(await stream.completion(), "parsed")
        assert server.requests[0].json["response_format"] == {"type": "json_object"}


class Opaque:
    """Of no type that JSON knows."""


class TestSendingItBack:
    """A parsed message in the next request."""

    @pytest.mark.parametrize("value", [OULU, Opaque(), None])
    def test_the_value_is_left_out(self, value):
        """All else is as it came, vendor fields included."""
        fields = {"role": "assistant", "content": GOOD, "reasoning_content": "Hm.", "extra": {"note": 1}}
        plain, parsed = ChatCompletionMessage(**fields), ParsedChatCompletionMessage(**fields, parsed=value)
        sent = [
            encode_request({"model": "m", "messages": [HELLO, message]}, stream=False) for message in (plain, parsed)
        ]
        assert sent[0] == sent[1]
        assert json.loads(sent[1])["messages"][1]["note"] == 1

    async def test_what_came_is_a_message_of_the_next_request(self, server, completions):
        """As it is."""
        server.reply(GOOD, usage=CompletionUsage(total_tokens=1))
        parsed = await completions.parse(**BODY, response_format=City)
        server.reply("Fine.")
        await completions.create(model="m", messages=[HELLO, parsed.choices[0].message, HELLO])
        assert server.requests[1].json["messages"] == [HELLO, {"role": "assistant", "content": GOOD}, HELLO]


class TestViews:
    """What a stream shows of its value before it is whole."""

    @pytest.mark.parametrize("mode", MODES)
    async def test_of_an_object(self, server, completions, mode):
        """The text, the value so far, and one field, in each mode."""
        ways = {
            "text": lambda stream: stream.text(),
            "field": lambda stream: stream.field("name"),
            "partials": lambda stream: stream.partials(),
        }
        shown = {}
        for view, of in ways.items():
            reply(server, GOOD, mode)
            async with completions.stream(**BODY, response_format=City, mode=mode) as stream:
                shown[view] = [copy.copy(item) async for item in of(stream)]
                assert (await stream.completion()).parsed == OULU
        assert ("".join(shown["text"]), "".join(shown["field"])) == (GOOD, "Oulu")
        assert shown["partials"][-1] == {"name": "Oulu", "size": 2}

    @pytest.mark.parametrize("mode", MODES)
    async def test_of_a_value_that_is_no_object(self, server, completions, mode):
        """It is the value itself that is shown, and not what it travels in."""
        for view in ("partials", "field"):
            text = '{"value":["Oulu","Turku"]}'
            server.reply(tool_calls=[("list_str", text)]) if mode == "tool" else server.reply(text)
            async with completions.stream(**BODY, response_format=list[str], mode=mode) as stream:
                if view == "field":
                    assert "".join([piece async for piece in stream.field("1")]) == "Turku"
                else:
                    assert [list(part) async for part in stream.partials()][-1] == ["Oulu", "Turku"]
                assert (await stream.completion()).parsed == ["Oulu", "Turku"]

    async def test_of_a_call_by_name(self, server, completions):
        """Where one is asked for, it is that, of whatever mode the stream is."""
        server.reply(tool_calls=[("look", '{"q":"x"}')])
        tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
        async with completions.stream(**BODY, response_format=list[str], tools=tools) as stream:
            assert [piece async for piece in stream.field("q", tool="look")] == ["x"]
            assert [part async for part in stream.partials(tool="look")][-1] == {"q": "x"}
            assert [part async for part in stream.text()] == []

    async def test_nothing_comes(self, server, completions):
        """Of a refusal, or of another tool."""
        server.reply(tool_calls=[("other", "{}")])
        async with completions.stream(**BODY, response_format=City, mode="tool") as stream:
            assert [piece async for piece in stream.text()] == []
        server.reply("")
        async with completions.stream(**BODY, response_format=list[str]) as stream:
            assert [part async for part in stream.partials()] == []


@pytest.mark.parametrize("text", ["{", "[1]", "nothing"])
async def test_broken_arguments_go_back_in_an_object(server, completions, text):
    """A strict server would refuse the conversation otherwise."""
    server.reply(tool_calls=[("City", text)])
    server.reply(tool_calls=[("City", GOOD)])
    parsed = await completions.parse(**BODY, response_format=City, mode="tool", retries_on_invalid=1)
    assert parsed.parsed == OULU
    back = server.requests[1].json["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(back) == {"invalid_json": text}
    assert parsed.rejected[0].choices[0].message.tool_calls[0].function.arguments == text
