"""How do I let the model use the tools of an MCP server? List them, make each a ``Tool``, and run.

The server is ``_mcp_shop.py``, a program of its own, spoken to over its standard input and output.
With OPEAI_API_KEY set this asks the service; without, a testing server on this machine answers.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import mcp
from mcp import types

from opeai_async import AsyncOpeAI, ImagePart, ImageURL, TextPart, Tool, ToolError, ToolFinishedEvent
from opeai_async.testing import OpeAIServer

SHOP = Path(__file__).with_name("_mcp_shop.py")


def tool_of(server: mcp.Client, listed: types.Tool) -> Tool[..., Any]:
    """Make a tool of one that the server has listed; what it calls is the server."""

    async def call(**arguments: Any) -> Any:
        result = await server.call_tool(listed.name, arguments)
        content = [part_of(block) for block in result.content]
        if result.is_error:
            raise ToolError(" ".join(part.text for part in content if isinstance(part, TextPart)))
        return content

    return Tool.from_schema(listed.name, listed.input_schema, call, description=listed.description)


def part_of(block: types.ContentBlock) -> TextPart | ImagePart:
    """What the server says, as the API has it."""
    if isinstance(block, types.TextContent):
        return TextPart(text=block.text)
    if isinstance(block, types.ImageContent):
        return ImagePart(image_url=ImageURL(url=f"data:{block.mime_type};base64,{block.data}"))
    return TextPart(text=block.model_dump_json())


async def ask(client: AsyncOpeAI, question: str) -> str | None:
    here = mcp.StdioServerParameters(command=sys.executable, args=[str(SHOP)])
    async with mcp.Client(here) as server:
        tools = [tool_of(server, listed) for listed in (await server.list_tools()).tools]
        messages = [{"role": "user", "content": question}]
        async with client.chat.completions.run(model="deepseek-v4-flash", messages=messages, tools=tools) as run:
            async for event in run:
                if isinstance(event, ToolFinishedEvent):
                    print(f"{event.name} -> {event.content}")
        return run.result_so_far.text


async def main() -> None:
    async with OpeAIServer() as upstream:
        upstream.reply(tool_calls=[("stock", {"article": "lamp"}), ("stock", {"article": "sofa"})])
        upstream.reply("There are three lamps; of sofas the shop knows nothing.")
        async with AsyncOpeAI() if "OPEAI_API_KEY" in os.environ else upstream.client() as client:
            print(await ask(client, "How many lamps and sofas are there?"))


if __name__ == "__main__":
    asyncio.run(main())
