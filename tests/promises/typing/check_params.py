"""What type checkers let into a request. Checked by mypy and pyright in strict mode, never run."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict, Unpack

from opeai_async import (
    AsyncOpeAI,
    ChatCompletion,
    ChatCompletionMessage,
    CompletionParams,
    FunctionDefinition,
    FunctionTool,
    ImagePart,
    ImageURL,
    JSONSchema,
    JSONSchemaFormat,
    MessageParam,
    NamedToolChoice,
    StreamOptions,
    SystemMessage,
    TextPart,
    ToolMessage,
    ToolParam,
    UserMessage,
)
from opeai_async.types.request import FunctionName


class Row(TypedDict):
    """A message as an application may declare it."""

    role: str
    content: str


async def messages(client: AsyncOpeAI, some_str: str, completion: ChatCompletion) -> None:
    """Dicts in the call, of any role, and mixed with what came back."""
    create = client.chat.completions.create
    await create(model="m", messages=[{"role": some_str, "content": some_str}])
    await create(model="m", messages=[{"role": "user", "content": [{"type": "text", "text": some_str}, {"x": 1}]}])
    await create(
        model="m",
        messages=[
            {"role": "user", "content": "hi"},
            completion.choices[0].message,
            SystemMessage(content="be kind"),
            UserMessage(content=[TextPart(text="a"), ImagePart(image_url=ImageURL(url="u")), {"type": "x"}]),
            ToolMessage(content="1", tool_call_id="c"),
            {"role": "tool", "content": None, "tool_call_id": "c"},
        ],
    )


async def variables(
    client: AsyncOpeAI,
    texts: list[dict[str, str]],
    objects: list[dict[str, object]],
    anything: list[dict[str, Any]],
    mappings: Sequence[Mapping[str, str | None]],
    rows: list[Row],
    answers: list[ChatCompletionMessage],
    users: tuple[UserMessage, ...],
    lazy: Iterator[dict[str, str]],
) -> None:
    """Whatever a conversation is declared as."""
    create = client.chat.completions.create
    await create(model="m", messages=texts)
    await create(model="m", messages=objects)
    await create(model="m", messages=anything)
    await create(model="m", messages=mappings)
    await create(model="m", messages=rows)
    await create(model="m", messages=answers)
    await create(model="m", messages=users)
    await create(model="m", messages=lazy)
    await create(model="m", messages=({"role": "user", "content": text} for text in ("a", "b")))
    await create(model="m", messages=[*texts, *rows, *answers])
    await create(model="m", messages=[*rows, {"role": "user", "content": "and?"}])


async def history(client: AsyncOpeAI) -> None:
    """A list that grows by what was asked and what came back."""
    conversation: list[MessageParam] = [{"role": "system", "content": "be kind"}]
    conversation.append({"role": "user", "content": "hi"})
    completion = await client.chat.completions.create(model="m", messages=conversation)
    answer = completion.choices[0].message
    conversation.append(answer)
    conversation += [
        {"role": "tool", "tool_call_id": call.id, "content": call.function.arguments}
        for call in answer.tool_calls or []
    ]
    await client.chat.completions.create(model="m", messages=conversation, stream=True)


async def tools(client: AsyncOpeAI, found: dict[str, object], loaded: dict[str, Any], listed: list[ToolParam]) -> None:
    """Definitions as Structs, as dicts in the call, and as variables."""
    create = client.chat.completions.create
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    function = FunctionDefinition(name="f", parameters={"type": "object"})
    await create(model="m", messages=[], tools=[found, loaded, tool, FunctionTool(function=function)])
    await create(model="m", messages=[], tools=[{"type": "function", "function": {"name": "f"}}], tool_choice="auto")
    await create(model="m", messages=[], tools=listed, tool_choice={"type": "function", "function": {"name": "f"}})
    await create(model="m", messages=[], tools=(tool,), tool_choice=NamedToolChoice(function=FunctionName(name="f")))


async def formats(client: AsyncOpeAI, schema: dict[str, Any]) -> None:
    """Nested objects in either form."""
    create = client.chat.completions.create
    await create(model="m", messages=[], response_format={"type": "json_object"})
    json_schema = JSONSchema(name="s", schema=schema, strict=True)
    await create(model="m", messages=[], response_format=JSONSchemaFormat(json_schema=json_schema))
    await create(model="m", messages=[], response_format={"type": "json_schema", "json_schema": {"schema": schema}})
    await create(model="m", messages=[], stream=True, stream_options={"include_usage": True})
    await create(model="m", messages=[], stream=True, stream_options=StreamOptions(include_usage=True))


async def scalars(client: AsyncOpeAI, bias: dict[int, int], named: dict[str, float], stops: tuple[str, ...]) -> None:
    """Whole numbers where fractions may stand, any sequence of strings, None everywhere."""
    create = client.chat.completions.create
    await create(model="m", messages=[], temperature=1, top_p=0.5, logit_bias=bias, stop=stops, modalities=("text",))
    await create(model="m", messages=[], logit_bias=named, stop="x", metadata={"a": "b"}, seed=None, tools=None, n=None)


class Service:
    """Handing parameters on."""

    def __init__(self, client: AsyncOpeAI) -> None:
        self._client = client

    async def ask(self, **params: Unpack[CompletionParams]) -> str | None:
        """With all parameters of the API, typed."""
        completion = await self._client.chat.completions.create(**params)
        return completion.choices[0].message.content


async def prepared(client: AsyncOpeAI) -> None:
    """Parameters as a value."""
    params: CompletionParams = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.5}
    await client.chat.completions.create(**params)
    await client.chat.completions.create(**params, stream=True)
    params["temperature"] = "hot"  # type: ignore[typeddict-item]
