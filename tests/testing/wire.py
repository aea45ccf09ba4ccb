"""Asking the testing server: by aiohttp, and by bare streams that see every byte."""

import asyncio
from typing import Any

import aiohttp
import msgspec

from opeai_async.testing import OpeAIServer

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
STREAM = {**BODY, "stream": True}
PATH = "/v1/chat/completions"


def key_of(server: OpeAIServer) -> dict[str, str]:
    return {"authorization": f"Bearer {server.api_key}"}


def chat_url(server: OpeAIServer) -> str:
    return f"{server.base_url}/chat/completions"


async def ask(
    session: aiohttp.ClientSession, server: OpeAIServer, body: dict = BODY
) -> tuple[aiohttp.ClientResponse, bytes]:
    async with session.post(chat_url(server), json=body) as response:
        return response, await response.read()


def events_of(body: bytes) -> list[Any]:
    """The data of each event, decoded, the last one being [DONE]."""
    assert body.endswith(b"\n\n")
    data = [event.removeprefix(b"data: ") for event in body[:-2].split(b"\n\n")]
    return [msgspec.json.decode(item) if item != b"[DONE]" else "[DONE]" for item in data]


async def exchange(server: OpeAIServer, body: dict) -> tuple[bytes, type[Exception] | None]:
    """All bytes of the response as they come over the wire, and the error that ended them, if any."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    writer.write(raw_request(server, msgspec.json.encode(body)))
    received = bytearray()
    error: type[Exception] | None = None
    try:
        while data := await reader.read(65536):
            received += data
    except ConnectionError as exc:
        error = type(exc)
    writer.close()
    return bytes(received), error


def raw_request(server: OpeAIServer, body: bytes) -> bytes:
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n" % (server.api_key.encode(), len(body)) + body
    )


def port_of(server: OpeAIServer) -> int:
    return int(server.base_url.rpartition(":")[2].removesuffix("/v1"))
