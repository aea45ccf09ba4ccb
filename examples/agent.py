"""How do I let the model use functions of mine until it has its answer? Give them to ``run``, and watch.

With OPEAI_API_KEY set this asks the service; without, a testing server on this machine answers.
"""

import asyncio
import os
from datetime import UTC, date, datetime
from typing import Annotated

from msgspec import Meta

from opeai_async import (
    AsyncOpeAI,
    ContentDeltaEvent,
    Conversation,
    RoundStartedEvent,
    ToolError,
    ToolFinishedEvent,
    tool,
)
from opeai_async.testing import OpeAIServer

FORECASTS = {"Oslo": ["rain", "sun", "sun"], "Rome": ["sun", "heat", "storm"]}


@tool
def days_until(day: Annotated[date, Meta(description="as YYYY-MM-DD")]) -> int:
    """How many days it is from today to a date."""
    return (day - datetime.now(UTC).date()).days


@tool(timeout=10)
async def forecast(city: str, days: Annotated[int, Meta(ge=1, le=3)] = 3) -> list[str]:
    """The weather of the next days.

    Args:
        city: Its name, in English.
        days: How many days.
    """
    await asyncio.sleep(0.1)  # as if somebody else were asked
    if city not in FORECASTS:
        raise ToolError(f"there is no forecast for {city}, only for {', '.join(FORECASTS)}")
    return FORECASTS[city][:days]


async def ask(client: AsyncOpeAI, conversation: Conversation) -> None:
    async with client.chat.completions.run(
        model="deepseek-v4-flash", messages=conversation.messages, tools=[days_until, forecast], max_rounds=5
    ) as run:
        async for event in run:
            match event:
                case RoundStartedEvent(round=number):
                    print(f"-- round {number}")
                case ToolFinishedEvent(name=name, content=content, duration_s=duration_s):
                    print(f"{name} -> {content} ({duration_s:.1f} s)")
                case ContentDeltaEvent(delta=delta):
                    print(delta, end="", flush=True)
                case _:
                    pass
        result = await run.result()
    print(f"\n-- {result.reason}, {result.usage.total_tokens if result.usage else 'unknown'} tokens in all")
    conversation.messages.extend(result.new_messages)


def script(server: OpeAIServer) -> None:
    """What the testing server's model says: it errs once, and corrects itself."""
    server.reply(tool_calls=[("forecast", {"city": "Oslo", "days": 3}), ("forecast", {"city": "Paris", "days": 3})])
    server.reply(tool_calls=[("forecast", {"city": "Rome", "days": 3}), ("days_until", {"day": "2100-01-01"})])
    server.reply("Go to Oslo tomorrow. The next century can wait.")


async def main() -> None:
    conversation = Conversation([{"role": "user", "content": "Oslo or Paris, else Rome? And what of next century?"}])
    async with OpeAIServer() as server:
        script(server)
        async with AsyncOpeAI() if "OPEAI_API_KEY" in os.environ else server.client() as client:
            await ask(client, conversation)
    print(f"-- {len(conversation.messages)} messages are {len(conversation.to_json())} bytes of JSON")


if __name__ == "__main__":
    asyncio.run(main())
