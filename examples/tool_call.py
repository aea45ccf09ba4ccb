"""How do I let the model call a function of mine? By hand: offer it, run what is called, send the result back.

With OPEAI_API_KEY set this asks the service; without, a testing server on this machine answers.
"""

import asyncio
import json
import os
from datetime import UTC, date, datetime

from opeai_async import AsyncOpeAI, MessageParam, ToolCall
from opeai_async.testing import OpeAIServer

DAYS_UNTIL = {
    "type": "function",
    "function": {
        "name": "days_until",
        "description": "How many days it is from today to a date.",
        "parameters": {
            "type": "object",
            "properties": {"day": {"type": "string", "description": "as YYYY-MM-DD"}},
            "required": ["day"],
        },
    },
}


def run_tool(call: ToolCall) -> str:
    """The tool's result, or what was wrong: the model can correct itself if it is told."""
    if call.function.name != "days_until":
        return f"there is no tool called {call.function.name}"
    try:
        day = date.fromisoformat(json.loads(call.function.arguments)["day"])
    except (ValueError, KeyError, TypeError) as exc:
        return f"the arguments are wrong: {exc}"
    return f"{(day - datetime.now(UTC).date()).days} days"


async def ask(client: AsyncOpeAI, question: str, *, max_rounds: int = 5) -> str | None:
    messages: list[MessageParam] = [{"role": "user", "content": question}]
    for _ in range(max_rounds):
        completion = await client.chat.completions.create(
            model="deepseek-v4-flash", messages=messages, tools=[DAYS_UNTIL]
        )
        message = completion.choices[0].message
        if not message.tool_calls:
            return message.content
        messages.append(message)  # as it came: its calls, and its reasoning, which some models want back
        for call in message.tool_calls:
            result = run_tool(call)
            print(f"{call.function.name}({call.function.arguments}) -> {result}")
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return None


async def main() -> None:
    async with OpeAIServer() as server:
        server.reply(tool_calls=[("days_until", {"day": "2100-01-01"})])
        server.reply("You will have to be patient.")
        async with AsyncOpeAI() if "OPEAI_API_KEY" in os.environ else server.client() as client:
            print(await ask(client, "How long is it until the next century?"))


if __name__ == "__main__":
    asyncio.run(main())
