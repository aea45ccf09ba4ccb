"""Other ways to talk to the same server, behind one small interface, so that no question knows them one by one.

Each is used as its own README shows it, with its defaults, without retries. A peer that is not installed (dependency
group ``bench-peers``) is left out with a note, and so is one that cannot do what is asked. *aiohttp + json* is what
people write by hand; it is always there.
"""

import asyncio
import importlib.util
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, ClassVar

from benchmarks.lab.generators import KEY, MESSAGES, MODEL

# Without it, importing litellm asks the network for prices.
_NO_PRICES = "LITELLM_LOCAL_MODEL_COST_MAP"

COMPLETION = "completion"
CONSTRUCT = "construct"


class Peer:
    """A client that was made for one base URL.

    Attributes:
        name: What it is called in tables.
        package: What is installed and imported.
        import_code: Imports it.
        connections: How many it opens at most by default; more streams than that wait for each other.
        cannot: What it has no way to do, and why.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    import_code: ClassVar[str]
    connections: ClassVar[int] = 1_000
    cannot: ClassVar[dict[str, str]] = {}

    def __init__(self, base_url: str) -> None:
        """Make the client, and nothing else: this is measured.

        Raises:
            ImportError: If it is not installed.
        """
        self.base_url = base_url

    async def aclose(self) -> None:
        """Close the client."""

    async def stream(self) -> AsyncIterator[Any]:
        """A stream of chunks, as the package hands them out."""
        raise NotImplementedError

    def text(self, chunk: Any) -> str:
        """The text of one of these chunks."""
        return (chunk.choices[0].delta.content or "") if chunk.choices else ""

    async def create(self, messages: Sequence[Any]) -> str:
        """The content of an answer that is not streamed."""
        raise NotImplementedError

    async def completion(self) -> int:
        """How many characters of text, reasoning and arguments the package put together from a stream."""
        raise NotImplementedError

    async def read(self, each: Callable[[str], object]) -> None:
        """Read a stream, and call *each* with the text of every chunk that has one."""
        async for chunk in await self.stream():
            if text := self.text(chunk):
                each(text)

    async def count(self) -> int:
        """How many characters of text a stream brought; not chunks, for some packages join or add some."""
        characters = 0
        async for chunk in await self.stream():
            characters += len(self.text(chunk))
        return characters


class ByHand(Peer):
    """A loop over lines and ``json.loads``; no error but aiohttp's own is noticed."""

    name = "aiohttp + json"
    package = "aiohttp"
    import_code = "import aiohttp, json"
    cannot: ClassVar[dict[str, str]] = {CONSTRUCT: "makes no client"}

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        import aiohttp

        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {KEY}"}, connector=aiohttp.TCPConnector(limit=0)
        )

    async def aclose(self) -> None:
        await self._session.close()

    async def stream(self) -> AsyncIterator[Any]:
        return self._chunks()

    def text(self, chunk: Any) -> str:
        return (chunk["choices"][0]["delta"].get("content") or "") if chunk["choices"] else ""

    async def create(self, messages: Sequence[Any]) -> str:
        body = {"model": MODEL, "messages": messages}
        async with self._session.post(f"{self.base_url}/chat/completions", json=body) as response:
            return (await response.json())["choices"][0]["message"]["content"]

    async def completion(self) -> int:
        texts: list[str] = []
        async for chunk in self._chunks():
            for choice in chunk["choices"]:
                delta = choice["delta"]
                texts += [delta.get("content") or "", delta.get("reasoning_content") or ""]
                texts += [call["function"]["arguments"] for call in delta.get("tool_calls") or ()]
        return len("".join(texts))

    async def _chunks(self) -> AsyncIterator[Any]:
        body = {"model": MODEL, "messages": MESSAGES, "stream": True}
        async with self._session.post(f"{self.base_url}/chat/completions", json=body) as response:
            async for line in response.content:
                if line.startswith(b"data: ") and (payload := line[6:].strip()) != b"[DONE]":
                    yield json.loads(payload)


class Generated(Peer):
    """A package that is generated from the API's description, as ``openai`` is."""

    client: Any

    async def aclose(self) -> None:
        await self.client.close()

    async def stream(self) -> AsyncIterator[Any]:
        return await self.client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)

    async def create(self, messages: Sequence[Any]) -> str:
        completion = await self.client.chat.completions.create(model=MODEL, messages=messages)
        return completion.choices[0].message.content


class OpenAI(Generated):
    """The ``openai`` package with its usual backend, httpx."""

    name = "openai"
    package = "openai"
    import_code = "import openai"

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        from openai import AsyncOpenAI

        self.client = AsyncOpenAI(api_key=KEY, base_url=base_url, max_retries=0, http_client=self._backend())

    def _backend(self) -> Any:
        return None

    async def completion(self) -> int:
        async with self.client.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
            return characters_of((await stream.get_final_completion()).choices[0].message)


class OpenAIAiohttp(OpenAI):
    """The ``openai`` package with the aiohttp backend (``openai[aiohttp]``)."""

    name = "openai[aiohttp]"

    def _backend(self) -> Any:
        from openai import DefaultAioHttpClient

        try:
            return DefaultAioHttpClient()
        except RuntimeError as error:  # what it raises where the extra is not installed
            raise ImportError(str(error)) from error


class Groq(Generated):
    """The ``groq`` package, which is generated as ``openai`` is, and adds the path of its own service."""

    name = "groq"
    package = "groq"
    import_code = "import groq"
    connections = 100
    cannot: ClassVar[dict[str, str]] = {COMPLETION: "puts no stream together"}

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        from groq import AsyncGroq

        self.client = AsyncGroq(api_key=KEY, base_url=base_url.removesuffix("/v1"), max_retries=0)


class Mistral(Peer):
    """The ``mistralai`` package."""

    name = "mistralai"
    package = "mistralai"
    import_code = "from mistralai.client import Mistral"
    connections = 100
    cannot: ClassVar[dict[str, str]] = {COMPLETION: "puts no stream together"}

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        from mistralai.client import Mistral as Client

        self.client = Client(api_key=KEY, server_url=base_url.removesuffix("/v1"))

    async def aclose(self) -> None:
        await self.client.__aexit__(None, None, None)

    async def stream(self) -> AsyncIterator[Any]:
        return await self.client.chat.stream_async(model=MODEL, messages=MESSAGES)

    def text(self, chunk: Any) -> str:
        return super().text(chunk.data)

    async def create(self, messages: Sequence[Any]) -> str:
        completion = await self.client.chat.complete_async(model=MODEL, messages=messages)
        return completion.choices[0].message.content


class LiteLLM(Peer):
    """The ``litellm`` package: functions, no client of its own."""

    name = "litellm"
    package = "litellm"
    import_code = f"import os; os.environ[{_NO_PRICES!r}] = 'True'; import litellm"
    cannot: ClassVar[dict[str, str]] = {CONSTRUCT: "makes no client"}

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        os.environ[_NO_PRICES] = "True"
        import litellm

        self._litellm = litellm
        self._options = {"model": f"openai/{MODEL}", "api_base": base_url, "api_key": KEY, "max_retries": 0}

    async def stream(self) -> AsyncIterator[Any]:
        return await self._litellm.acompletion(messages=MESSAGES, stream=True, **self._options)

    async def create(self, messages: Sequence[Any]) -> str:
        completion = await self._litellm.acompletion(messages=messages, **self._options)
        return completion.choices[0].message.content

    async def completion(self) -> int:
        chunks = [chunk async for chunk in await self.stream()]
        return characters_of(self._litellm.stream_chunk_builder(chunks, messages=MESSAGES).choices[0].message)


PEERS: dict[str, type[Peer]] = {peer.name: peer for peer in (ByHand, OpenAI, OpenAIAiohttp, Groq, Mistral, LiteLLM)}


def characters_of(message: Any) -> int:
    """How many characters of text, reasoning and arguments a message has."""
    arguments = sum(len(call.function.arguments) for call in message.tool_calls or ())
    return len(message.content or "") + len(getattr(message, "reasoning_content", None) or "") + arguments


def installed(wanted: frozenset[str] | None, note: Callable[[str], None], doing: str = "") -> list[type[Peer]]:
    """The peers that are wanted, are installed, and can do what is asked; *note* is told why others are missing.

    Args:
        wanted: Their names; None for all.
        doing: ``COMPLETION`` or ``CONSTRUCT``, where that is asked.
    """
    found: list[type[Peer]] = []
    for peer in PEERS.values():
        if wanted is not None and peer.name not in wanted:
            continue
        if importlib.util.find_spec(peer.package) is None:
            note(f"{peer.name}: not installed (dependency group bench-peers)")
            continue
        if doing in peer.cannot:
            note(f"{peer.name}: {peer.cannot[doing]}")
        else:
            found.append(peer)
    return found


async def open_peers(
    base_url: str, closing: AsyncExitStack, wanted: frozenset[str] | None, note: Callable[[str], None], doing: str = ""
) -> list[Peer]:
    """Clients of these peers for *base_url*, closed with *closing*."""
    peers: list[Peer] = []
    for make in installed(wanted, note, doing):
        try:
            peer = make(base_url)
        except ImportError as error:
            note(f"{make.name}: not complete: {error}")
            continue
        closing.push_async_callback(peer.aclose)
        peers.append(peer)
    return peers


def first_request(name: str, base_url: str) -> None:
    """Import that peer and await one answer: what a fresh process does before it is of any use."""

    async def once() -> None:
        peer = PEERS[name](base_url)
        if not await peer.create(MESSAGES):
            sys.exit(f"{name} brought no content")
        await peer.aclose()

    asyncio.run(once())
