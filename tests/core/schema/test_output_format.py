"""How a value of a Python type is asked for, and read back from the answer."""

import pickle

import msgspec
import pytest

from opeai_async._core.schema.output_format import OutputFormat, rows_of
from opeai_async._core.schema.output_repairs import AFTER_THINKING, FENCED, IN_REASONING, UNESCAPED, WHERE
from opeai_async.errors import (
    InvalidOutputError,
    OpeAIError,
    OutputFilteredError,
    OutputTruncatedError,
    RequestValidationError,
)
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import (
    ChatCompletion,
    ChatCompletionMessage,
    Choice,
    CustomCall,
    FunctionCall,
    ToolCall,
)
from opeai_async.types.meta import ResponseMeta
from opeai_async.types.request import DeveloperMessage, SystemMessage

HELLO = {"role": "user", "content": "hello"}
BODY = {"model": "m", "messages": [HELLO]}


class City(msgspec.Struct):
    """A town.

    Attributes:
        name: In Finnish.
    """

    name: str
    size: int = 1


class Anonymous(msgspec.Struct):
    scores: dict[str, int]


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "In Finnish."},
        "size": {"type": "integer", "description": "(default: 1)"},
    },
    "required": ["name", "size"],
    "additionalProperties": False,
}
LOOSE_SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "description": "In Finnish."}, "size": {"type": "integer", "default": 1}},
    "required": ["name"],
}


def call(arguments: str, name: str = "City", id: str = "call_1") -> ToolCall:
    return ToolCall(id=id, type="function", function=FunctionCall(name=name, arguments=arguments))


def answer(*messages: ChatCompletionMessage | str | None, finish_reason: str | None = "stop") -> ChatCompletion:
    """A completion with those messages; a text is one's content."""
    choices = [
        Choice(
            message=message
            if isinstance(message, ChatCompletionMessage)
            else ChatCompletionMessage(role="assistant", content=message),
            index=index,
            finish_reason=finish_reason,
        )
        for index, message in enumerate(messages)
    ]
    return ChatCompletion(
        choices=choices, usage=CompletionUsage(total_tokens=7), meta=ResponseMeta(quirks=("role_missing",))
    )


def calling(*calls: ToolCall, **fields) -> ChatCompletionMessage:
    return ChatCompletionMessage(role="assistant", tool_calls=list(calls), **fields)


class TestAsking:
    """What is added to the request."""

    def test_by_a_schema(self):
        """The server holds the model to it; what the type is for stands outside of it."""
        assert OutputFormat(City).asked(BODY) == {
            **BODY,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "City", "description": "A town.", "schema": SCHEMA, "strict": True},
            },
        }

    def test_by_a_schema_that_is_not_strict(self):
        """Then free keys are possible."""
        asked = OutputFormat(Anonymous, strict=False).asked(BODY)["response_format"]["json_schema"]
        assert asked["strict"] is False
        assert asked["schema"]["properties"]["scores"] == {
            "type": "object",
            "additionalProperties": {"type": "integer"},
        }
        assert "description" not in asked

    def test_by_a_tool(self):
        """Whose parameters are the value, and which must be called."""
        assert OutputFormat(City, mode="tool").asked(BODY) == {
            **BODY,
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "City", "description": "A town.", "parameters": SCHEMA, "strict": True},
                }
            ],
            "tool_choice": {"type": "function", "function": {"name": "City"}},
        }
        asked = OutputFormat(list[City], mode="tool", strict=False).asked(BODY)["tools"][0]["function"]
        assert asked["description"] == "Takes the answer."
        assert asked["parameters"]["properties"] == {
            "value": {"type": "array", "items": {"$ref": "#/$defs/City"}},
        }

    def test_by_the_prompt(self):
        """The schema as the type gives it, for nobody holds the model to it, and for servers that take any JSON."""
        for strict in (True, False):
            asked = OutputFormat(City, mode="json_object", strict=strict).asked(BODY)
            assert asked["response_format"] == {"type": "json_object"}
            system, user = asked["messages"]
            assert user == HELLO
            said, _, schema = system["content"].partition("\n")
            assert "JSON" in said
            assert msgspec.json.decode(schema) == {"title": "City", "description": "A town.", **LOOSE_SCHEMA}

    @pytest.mark.parametrize("role", ["system", "developer"])
    def test_the_prompt_goes_into_the_system_message(self, role):
        """There is only ever one, for many models take no other."""
        output = OutputFormat(City, mode="json_object")
        instruction = output.asked(BODY)["messages"][0]["content"]
        text = {"role": role, "content": "Be kind."}
        (first, _) = output.asked({"messages": [text, HELLO]})["messages"]
        assert first == {"role": role, "content": f"Be kind.\n\n{instruction}"}
        assert text["content"] == "Be kind."
        parts = {"role": role, "content": [{"type": "text", "text": "Be kind."}]}
        (first, _) = output.asked({"messages": (parts, HELLO)})["messages"]
        assert first["content"] == [{"type": "text", "text": "Be kind."}, {"type": "text", "text": instruction}]
        struct = {"system": SystemMessage, "developer": DeveloperMessage}[role](content="Be kind.")
        (first, _) = output.asked({"messages": iter([struct, HELLO])})["messages"]
        assert first == type(struct)(content=f"Be kind.\n\n{instruction}")

    @pytest.mark.parametrize("messages", [None, "hello", b"hello", {"role": "user"}, 5, []])
    def test_what_are_no_messages(self, messages):
        """They are left for the check of the request to refuse."""
        assert OutputFormat(City, mode="json_object").asked({"messages": messages})["messages"] is messages

    def test_messages_that_can_be_taken_once(self):
        """They are made a list."""
        assert rows_of(iter([HELLO])) == [HELLO]
        assert rows_of("hello") is None

    @pytest.mark.parametrize("name", ["tools", "tool_choice"])
    def test_a_tool_beside_others(self, name):
        """It is refused: the model would have to call it, and nothing else."""
        with pytest.raises(RequestValidationError, match=f"{name} is given, expected none in mode='tool'") as caught:
            OutputFormat(City, mode="tool").asked({**BODY, name: []})
        assert caught.value.field == name
        assert OutputFormat(City, mode="tool").asked({**BODY, name: None})["tools"]

    def test_another_mode(self):
        """There are three."""
        with pytest.raises(RequestValidationError, match="mode is 'xml', expected one of 'json_schema', ") as caught:
            OutputFormat(City, mode="xml")
        assert caught.value.field == "mode"

    def test_a_type_that_cannot_be_asked_for(self):
        """Said at once, unless the schema only stands in the prompt."""
        for mode in ("json_schema", "tool"):
            with pytest.raises(RequestValidationError, match=r"\$\.scores is an object with free keys"):
                OutputFormat(Anonymous, mode=mode)
        assert OutputFormat(Anonymous, mode="json_object")


class TestReading:
    """What the answer comes to."""

    @pytest.mark.parametrize("mode", ["json_schema", "json_object"])
    def test_a_value(self, mode):
        """And all else of the completion as it was."""
        completion = answer('{"name":"Oulu","size":2}')
        parsed = OutputFormat(City, mode=mode).parsed(completion)
        assert parsed.parsed == parsed.choices[0].message.parsed == City("Oulu", 2)
        assert parsed.choices[0].message.content == '{"name":"Oulu","size":2}'
        assert parsed.choices[0].finish_reason == "stop"
        assert (parsed.usage, parsed.meta) == (completion.usage, completion.meta)
        assert parsed.rejected == ()
        assert pickle.loads(pickle.dumps(parsed)) == parsed

    def test_a_value_by_a_tool(self):
        """Whatever is said beside the call."""
        message = calling(call('{"name":"Oulu"}'), content="Here you are.")
        assert OutputFormat(City, mode="tool").parsed(answer(message, finish_reason="tool_calls")).parsed == City(
            "Oulu"
        )

    def test_several_choices(self):
        """Each has its value."""
        parsed = OutputFormat(list[int]).parsed(answer('{"value":[1]}', '{"value":[]}'))
        assert [choice.message.parsed for choice in parsed.choices] == [[1], []]
        assert parsed.parsed == [1]

    def test_no_choices(self):
        """No value either."""
        assert OutputFormat(City).parsed(answer()).parsed is None

    @pytest.mark.parametrize("mode", ["json_schema", "json_object", "tool"])
    def test_a_refusal(self, mode):
        """It is an answer, and no error."""
        message = ChatCompletionMessage(role="assistant", refusal="I will not.")
        parsed = OutputFormat(City, mode=mode).parsed(answer(message))
        assert parsed.parsed is None
        assert parsed.choices[0].message.refusal == "I will not."

    def test_a_call_of_other_tools(self):
        """The caller's own tools come first; the value comes when they have answered."""
        parsed = OutputFormat(City).parsed(answer(calling(call("{}", "search")), finish_reason="tool_calls"))
        assert parsed.parsed is None
        assert parsed.choices[0].message.tool_calls

    @pytest.mark.parametrize(
        "text",
        [
            '```json\n{"name":"Oulu"}\n```',
            '```\n{"name":"Oulu"}\n```',
            '\n ```JSON \n\n{"name":"Oulu"}\n\n```\n',
            '```json\r\n{"name":"Oulu"}\r\n```',
            '```json\n{"name":"Oulu"}```',
        ],
    )
    def test_a_code_fence(self, text):
        """What is inside counts, and the quirk is named; strict readers refuse it."""
        parsed = OutputFormat(City).parsed(answer(text))
        assert parsed.parsed == City("Oulu")
        assert parsed.choices[0].message.content == text
        assert parsed.meta.quirks == ("role_missing", FENCED)
        with pytest.raises(InvalidOutputError, match="the answer is no City: no JSON: "):
            OutputFormat(City).parsed(answer(text), repair=False)

    @pytest.mark.parametrize(
        ("message", "quirks"),
        [
            ('<think>Hm. {"name":"no"}</think>\n{"name":"Oulu"}', [AFTER_THINKING]),
            ('Hm, so:</think>{"name":"Oulu"}', [AFTER_THINKING]),
            ('<Thinking>Hm.</Thinking>{"name":"Oulu"}', [AFTER_THINKING]),
            ('<thought>a</thought><reasoning>b</reasoning>{"name":"Oulu"}', [AFTER_THINKING]),
            ('Here you are:\n```json\n{"name":"Oulu"}', [FENCED]),
            ('Here you are:\n```json\n{"name":"Oulu"}\n```\nAnything else?', [FENCED]),
            ('Not ```this```, but:\n```\n[]\n```\nor\n  ```json\n{"name":"Oulu"}\n  ```', [FENCED]),
            ('<think>\n</think>\n```json\n{"name":"Oulu"}\n```', [AFTER_THINKING, FENCED]),
            ('{"name":\n"Oulu",\t"note":"a\nb"}', [UNESCAPED]),
            ('```\n{"name":"Oulu","note":"a\tb"}\n```', [FENCED, UNESCAPED]),
            (ChatCompletionMessage(role="assistant", reasoning_content='{"name":"Oulu"}'), [IN_REASONING]),
            (
                ChatCompletionMessage(role="assistant", content=" \n", reasoning_content='So:</think>{"name":"Oulu"}'),
                [IN_REASONING, AFTER_THINKING],
            ),
        ],
    )
    def test_what_stands_around_it(self, message, quirks):
        """It is found there and named; strict readers refuse it, and say which option reads it."""
        parsed = OutputFormat(City).parsed(answer(message))
        assert parsed.parsed == City("Oulu")
        assert parsed.meta.quirks == ("role_missing", *quirks)
        with pytest.raises(InvalidOutputError) as caught:
            OutputFormat(City).parsed(answer(message), repair=False)
        assert caught.value.hint == f"the value is there, {WHERE[quirks[0]]}"

    @pytest.mark.parametrize(
        "text",
        ['Sure: {"name":"Oulu"}', "{'name':'Oulu'}", '{"name":"Oulu"', '{"name":"a\\\nb"}', '</think>{"name":1}'],
    )
    def test_what_is_not_guessed_at(self, text):
        """JSON with an error in it, or prose around it, is not the value."""
        with pytest.raises(InvalidOutputError):
            OutputFormat(City).parsed(answer(text))

    def test_text_that_is_elsewhere(self):
        """The error says where all the text is."""
        message = ChatCompletionMessage(role="assistant", content="", reasoning_content="I cannot say.")
        with pytest.raises(InvalidOutputError, match="the answer is empty") as caught:
            OutputFormat(City).parsed(answer(message))
        assert caught.value.hint == "reasoning_content holds text, but no such value"

    @pytest.mark.parametrize("content", [None, "", "Let me look that up.", "\n\n", '{"name":"Oulu"}', "```"])
    def test_text_beside_calls_of_the_callers_tools(self, content):
        """It is no value: that comes after the calls have their results."""
        made = calling(call("{}", "search"), content=content)
        assert OutputFormat(City).parsed(answer(made, finish_reason="tool_calls"), repair=False).parsed is None
        old = ChatCompletionMessage(
            role="assistant", content=content, function_call=FunctionCall(name="search", arguments="{}")
        )
        assert OutputFormat(City).parsed(answer(old), repair=False).parsed is None

    def test_a_fence_within_the_value(self):
        """It is a part of it."""
        text = '{"name":"```json\\n{}\\n```"}'
        parsed = OutputFormat(City).parsed(answer(text))
        assert parsed.parsed == City("```json\n{}\n```")
        assert parsed.meta.quirks == ("role_missing",)

    def test_one_quirk_for_two_choices(self):
        """It is named once."""
        parsed = OutputFormat(City).parsed(answer(*['```\n{"name":"Oulu"}\n```'] * 2))
        assert parsed.meta.quirks == ("role_missing", FENCED)


class TestWhatIsNotValid:
    """The errors, and what they know."""

    @pytest.mark.parametrize(
        ("completion", "reason", "path", "text"),
        [
            (answer('{"name":5}'), "Expected `str`, got `int`", "$.name", '{"name":5}'),
            (answer("Sure!"), "no JSON: JSON is malformed: invalid character (byte 0)", "$", "Sure!"),
            (answer(None), "the answer is empty", "$", ""),
            (answer(""), "the answer is empty", "$", ""),
            (answer("```"), "no JSON: JSON is malformed", "$", "```"),
            (answer("``````"), "no JSON: JSON is malformed", "$", "``````"),
            (answer("```{}```"), "no JSON: JSON is malformed", "$", "```{}```"),
            (answer("```a b\n{}```"), "no JSON: JSON is malformed", "$", "```a b\n{}```"),
            (answer('```\n{"name":5}\n```'), "Expected `str`, got `int`", "$.name", '```\n{"name":5}\n```'),
        ],
    )
    def test_a_text(self, completion, reason, path, text):
        """Where, what, the text as it came, the whole answer."""
        with pytest.raises(InvalidOutputError) as caught:
            OutputFormat(City).parsed(completion)
        error = caught.value
        assert type(error) is InvalidOutputError
        assert error.reason.startswith(reason)
        assert (error.path, error.text, error.choice) == (path, text, 0)
        assert str(error).startswith(f"the answer is no City: {reason}")
        assert str(error).count(", at $.name") == (path == "$.name")
        assert (error.completion, error.usage, error.rejected) == (completion, completion.usage, ())
        assert isinstance(error, OpeAIError)
        assert isinstance(error, ValueError)
        assert error.__context__ is None
        again = pickle.loads(pickle.dumps(error))
        assert vars(again) == vars(error)

    @pytest.mark.parametrize(
        ("message", "reason", "text"),
        [
            (calling(call('{"name":5}')), "Expected `str`, got `int`", '{"name":5}'),
            (calling(call("{}", "other")), "the tool City was called 0 times, not once", ""),
            (calling(call("{}"), call("{}")), "the tool City was called 2 times, not once", ""),
            (ChatCompletionMessage(role="assistant", content="No."), "the tool City was called 0 times", "No."),
            (
                calling(ToolCall(id="a", type="custom", custom=CustomCall(name="City", input="x"))),
                "the tool City was called 0 times",
                "",
            ),
        ],
    )
    def test_a_call(self, message, reason, text):
        """Arguments that do not fit, and calls that are not there."""
        with pytest.raises(InvalidOutputError) as caught:
            OutputFormat(City, mode="tool").parsed(answer(message))
        assert caught.value.reason.startswith(reason)
        assert caught.value.text == text

    @pytest.mark.parametrize(
        ("finish_reason", "kind", "message"),
        [
            ("length", OutputTruncatedError, "the answer was cut after 8 characters, before it was a whole City"),
            ("MAX_TOKENS", OutputTruncatedError, "the answer was cut after 8 characters"),
            ("content_filter", OutputFilteredError, "a content filter ended the answer after 8 characters"),
            ("stop", InvalidOutputError, "the answer is no City: no JSON"),
            (None, InvalidOutputError, "the answer is no City: no JSON"),
        ],
    )
    def test_how_it_ended(self, finish_reason, kind, message):
        """What was cut and what was filtered are told from what is wrong."""
        with pytest.raises(InvalidOutputError, match=message) as caught:
            OutputFormat(City).parsed(answer('{"name":', finish_reason=finish_reason))
        assert type(caught.value) is kind
        assert caught.value.hint == kind.default_hint
        assert type(pickle.loads(pickle.dumps(caught.value))) is kind

    @pytest.mark.parametrize("finish_reason", ["length", "content_filter"])
    def test_a_whole_value_counts_however_it_ended(self, finish_reason):
        """The limit may have been hit right after it."""
        assert OutputFormat(City).parsed(answer('{"name":"Oulu"}', finish_reason=finish_reason)).parsed == City("Oulu")

    def test_the_choice_is_named(self):
        """The first that is not valid; the others are in the completion."""
        with pytest.raises(InvalidOutputError) as caught:
            OutputFormat(City).parsed(answer('{"name":"Oulu"}', "{}"))
        assert caught.value.choice == 1
        assert caught.value.completion.choices[0].message.content == '{"name":"Oulu"}'


class TestCorrections:
    """What the model is told of an answer that is not valid."""

    def error(self, output, message):
        with pytest.raises(InvalidOutputError) as caught:
            output.parsed(answer(message))
        return caught.value

    def test_of_a_text(self):
        """The answer goes back as it came, and a user's message says what is wrong with it."""
        message = ChatCompletionMessage(role="assistant", content='{"name":5}', reasoning_content="Hm.")
        output = OutputFormat(City)
        assert output.corrections(self.error(output, message)) == [
            message,
            {
                "role": "user",
                "content": "This is not valid: Expected `str`, got `int`, at $.name. "
                "Give the whole answer again, corrected.",
            },
        ]

    def test_of_calls(self):
        """Each call has its answer, for an API refuses one without."""
        message = calling(call("{}"), call("{}", id="call_2"))
        output = OutputFormat(City, mode="tool")
        first, *results = output.corrections(self.error(output, message))
        assert first is message
        assert [(result["role"], result["tool_call_id"]) for result in results] == [
            ("tool", "call_1"),
            ("tool", "call_2"),
        ]
        assert "called 2 times" in results[0]["content"]

    def test_of_no_call(self):
        """What was said instead is answered by a user."""
        message = ChatCompletionMessage(role="assistant", content="No.")
        output = OutputFormat(City, mode="tool")
        assert [type(row) for row in output.corrections(self.error(output, message))] == [ChatCompletionMessage, dict]
