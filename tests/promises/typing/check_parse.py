"""What type checkers make of `parse`, and of `stream` with a type; for both type checkers, never run."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

import dataclasses
from enum import Enum
from typing import Literal, TypedDict, assert_type

import msgspec

from opeai_async import (
    AsyncOpeAI,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    ChatCompletionStream,
    InvalidOutputError,
    ParsedChatCompletion,
    ParsedChatCompletionMessage,
    ParsedChatCompletionStream,
)
from opeai_async.types.common import CompletionUsage


class City(msgspec.Struct):
    """A Struct."""

    name: str


@dataclasses.dataclass
class Span:
    """A dataclass."""

    days: int


class Row(TypedDict):
    """A TypedDict."""

    a: int


class Color(Enum):
    """An enum."""

    RED = "red"


async def parsed(client: AsyncOpeAI) -> None:
    """A class, and a list or dict of some, come back as themselves."""
    parse = client.chat.completions.parse
    city = await parse(model="m", messages=[], response_format=City)
    assert_type(city, ParsedChatCompletion[City])
    assert_type(city.parsed, City | None)
    assert_type(city.choices[0].message, ParsedChatCompletionMessage[City])
    assert_type(city.choices[0].message.parsed, City | None)
    assert_type(city.rejected, tuple[ChatCompletion, ...])
    assert_type((await parse(model="m", messages=[], response_format=Span)).parsed, Span | None)
    assert_type((await parse(model="m", messages=[], response_format=Row)).parsed, Row | None)
    assert_type((await parse(model="m", messages=[], response_format=Color)).parsed, Color | None)
    assert_type((await parse(model="m", messages=[], response_format=int)).parsed, int | None)
    assert_type((await parse(model="m", messages=[], response_format=list[City])).parsed, list[City] | None)
    assert_type((await parse(model="m", messages=[], response_format=dict[str, int])).parsed, dict[str, int] | None)


async def other_forms(client: AsyncOpeAI) -> None:
    """A union or a literal is no class: the type has to be said, until TypeForm exists."""
    parse = client.chat.completions.parse
    either: ParsedChatCompletion[City | Span] = await parse(model="m", messages=[], response_format=City | Span)
    assert_type(either.parsed, City | Span | None)
    size: ParsedChatCompletion[Literal["s", "l"]] = await parse(
        model="m", messages=[], response_format=Literal["s", "l"]
    )
    assert_type(size.parsed, Literal["s", "l"] | None)


async def streamed(client: AsyncOpeAI) -> None:
    """The chunks are what they are, and the completion has the value."""
    stream = client.chat.completions.stream
    async with stream(model="m", messages=[], response_format=list[City], mode="tool", strict=False) as cities:
        assert_type(cities, ParsedChatCompletionStream[list[City]])
        async for chunk in cities:
            assert_type(chunk, ChatCompletionChunk)
        assert_type((await cities.completion()).parsed, list[City] | None)
    plain = stream(model="m", messages=[], response_format={"type": "json_object"})
    assert_type(plain, ChatCompletionStream[ChatCompletionChunk])


async def as_the_others(client: AsyncOpeAI, found: ParsedChatCompletion[City]) -> ChatCompletion:
    """What is parsed is a completion, and its message goes back as any other."""
    message: ChatCompletionMessage = found.choices[0].message
    await client.chat.completions.create(model="m", messages=[message, found.choices[0].message])
    return found


def failed(error: InvalidOutputError) -> None:
    """What an error knows."""
    assert_type(error.path, str)
    assert_type(error.completion, ChatCompletion | None)
    assert_type(error.usage, CompletionUsage | None)
    assert_type(error.rejected, tuple[ChatCompletion, ...])


async def mistakes(client: AsyncOpeAI) -> None:
    """A comment that ignores an error which is not there is an error itself, in both type checkers."""
    parse = client.chat.completions.parse
    await parse(model="m", messages=[])  # type: ignore[call-overload]
    await parse(model="m", messages=[], response_format=City, temprature=1)  # type: ignore[call-overload]
    await parse(model="m", messages=[], response_format=City, mode="xml")  # type: ignore[call-overload]
    await parse(model="m", messages=[], response_format=City, stream=True)  # type: ignore[call-overload]
    client.chat.completions.stream(model="m", messages=[], mode="tool")  # type: ignore[call-overload]
