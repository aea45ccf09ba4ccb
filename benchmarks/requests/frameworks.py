"""What does a chunk cost where a framework reads it? openai's client, the least facade of its types, and ours.

*bare* is a loop over the chunks; the others are a stream of the framework's, which must bring the whole text. Beside
`opeai_async.compat.AsyncOpenAI` are the frameworks' models of ours, which build no object of openai's. What is not
installed (dependency group ``bench-peers``) is left out with a note.

Found (two busy cores, CPython 3.11, openai 3.57): bare, openai takes 88 us of CPU per chunk, compat 5.1 and the facade
4.7. Under a framework compat costs what the facade does, within 3 %: under pydantic-ai 1.00, LangChain 1.02,
openai-agents 1.03; openai 2.2, 3.9 and 4.8 times that. The models of ours take half of it and less: 45 us of 97 under
pydantic-ai, 13 of 36 under LangChain, of which 1.4 and 4.6 are their own. With few chunks compat looks
dearer: the first and the last two go openai's way of building, which takes 200 us each.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from benchmarks.lab.generators import KEY, MESSAGES, MODEL, text_answer
from benchmarks.lab.lab import Contender, Lab, Question, Target
from benchmarks.lab.streaming import checked

CHUNKS = 3_000

Texts = Callable[[Any], AsyncIterator[str]]


async def bare(client: Any) -> AsyncIterator[str]:
    """The text of each chunk."""
    stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    async for chunk in stream:
        if chunk.choices:
            yield chunk.choices[0].delta.content or ""


def under_pydantic_ai() -> tuple[Texts, Texts]:
    """Its agent, over a client of openai's kind, and over our model."""
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    from opeai_async.pydantic_ai import OpeAIModel

    async def texts(model: Any) -> AsyncIterator[str]:
        async with Agent(model).run_stream("hi") as result:
            async for text in result.stream_text(delta=True, debounce_by=None):
                yield text

    return (
        lambda client: texts(OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client))),
        lambda client: texts(OpeAIModel(MODEL, client=client)),
    )


def under_langchain() -> tuple[Texts, Texts]:
    """Its chat model, over a client of openai's kind, and ours."""
    from langchain_openai import ChatOpenAI

    from opeai_async.langchain import ChatOpeAI

    async def texts(model: Any) -> AsyncIterator[str]:
        async for chunk in model.astream("hi"):
            yield chunk.content

    def theirs(client: Any) -> AsyncIterator[str]:
        own: Any = {"async_client": client.chat.completions, "client": client.chat.completions}
        return texts(ChatOpenAI(model=MODEL, root_async_client=client, root_client=client, api_key="-", **own))

    return theirs, lambda client: texts(ChatOpeAI(model=MODEL, client=client))


def under_openai_agents() -> tuple[Texts, None]:
    """Its agent, over a client of openai's kind."""
    from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled

    set_tracing_disabled(True)

    async def texts(client: Any) -> AsyncIterator[str]:
        result = Runner.run_streamed(
            Agent(name="a", model=OpenAIChatCompletionsModel(model=MODEL, openai_client=client)), "hi"
        )
        async for event in result.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                yield event.data.delta

    return texts, None


_FRAMEWORKS: dict[str, Callable[[], tuple[Texts, Texts | None]]] = {
    "bare": lambda: (bare, None),
    "pydantic-ai": under_pydantic_ai,
    "LangChain": under_langchain,
    "openai-agents": under_openai_agents,
}


async def _contenders(lab: Lab) -> Sequence[Contender]:
    chunks = lab.scaled(CHUNKS, least=10)
    url, characters = lab.base_url("burst", chunks), len(text_answer(chunks).content)
    try:
        clients = await _clients(lab, url)
    except ImportError as exc:
        lab.note(f"openai is not installed: {exc}")
        return []
    ours = await lab.client(url)
    found: list[Contender] = []
    for group, reading in _FRAMEWORKS.items():
        try:
            theirs, own = reading()
        except ImportError as exc:
            lab.note(f"{group} does not take part: {exc}")
            continue
        ways = [(name, partial(theirs, client)) for name, client in clients.items()]
        if own is not None:
            ways.append(("model of ours", partial(own, ours)))
        found += [checked(name, _count(texts), characters, chunks, group=group) for name, texts in ways]
    return found


async def _clients(lab: Lab, url: str) -> dict[str, Any]:
    import openai

    from benchmarks.requests.facade import Facade
    from opeai_async.compat import AsyncOpenAI

    clients = {
        "openai": openai.AsyncOpenAI(api_key=KEY, base_url=url, max_retries=0),
        "facade": Facade(api_key=KEY, base_url=url),
        "compat": AsyncOpenAI(api_key=KEY, base_url=url, max_retries=0),
    }
    for client in clients.values():
        await lab.closing.enter_async_context(client)
    return clients


def _count(texts: Callable[[], AsyncIterator[str]]) -> Callable[[], Awaitable[int]]:
    async def read() -> int:
        characters = 0
        async for text in texts():
            characters += len(text)
        return characters

    return read


QUESTION = Question(
    name="frameworks",
    title="3,000 chunks read by a framework, over openai's client or ours",
    unit="chunk",
    bases=("facade", "openai"),
    turns=2,
    contenders=_contenders,
    targets=(Target(of="bare, compat", to="", at_most=12),),
)
