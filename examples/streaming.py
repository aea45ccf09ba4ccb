"""How do I get at everything in a stream: reasoning, content, usage and times? And how do I stop one early?

With OPEAI_API_KEY set this asks the service; without, a testing server on this machine answers.
"""

import asyncio
import os
import sys

from opeai_async import AsyncOpeAI
from opeai_async.testing import OpeAIServer


async def read_everything(client: AsyncOpeAI) -> None:
    async with client.chat.completions.stream(
        model="deepseek-v4-flash",
        messages=[{"role": "user", "content": "Is 91 a prime number?"}],
    ) as stream:
        async for chunk in stream:
            for choice in chunk.choices:  # none at all in the chunk that brings the usage
                if choice.delta.reasoning_content:
                    print(choice.delta.reasoning_content, end="", flush=True, file=sys.stderr)
                if choice.delta.content:
                    print(choice.delta.content, end="", flush=True)

        completion = await stream.completion()  # everything has been read, so this only puts it together
        print(f"\n\nfinish_reason: {completion.choices[0].finish_reason}, outcome: {stream.outcome}")
        if completion.usage:
            print(f"tokens: {completion.usage.prompt_tokens} in, {completion.usage.completion_tokens} out")
        timing = stream.timing
        if timing.first_content_s is not None and timing.total_s is not None:
            print(f"first token after {timing.first_content_s:.3f} s, all of it after {timing.total_s:.3f} s")


async def stop_early(client: AsyncOpeAI) -> None:
    async with client.chat.completions.stream(
        model="deepseek-v4-flash",
        messages=[{"role": "user", "content": "Count to a thousand."}],
    ) as stream:
        length = 0
        async for text in stream.text():
            length += len(text)
            if length > 20:
                break  # leaving the block closes the connection, so the server stops as well
    so_far = stream.snapshot.choices[0].message.content
    print(f"\nstopped after {so_far!r}, outcome: {stream.outcome}")


async def main() -> None:
    async with OpeAIServer(token_delay_s=0.02) as server:
        server.reply("No: 91 is 7 times 13.", reasoning="Not even, digits sum to 10, but 7 * 13 = 91. ")
        server.reply("one two three four five six seven eight nine ten eleven twelve and so on")
        async with AsyncOpeAI() if "OPEAI_API_KEY" in os.environ else server.client() as client:
            await read_everything(client)
            await stop_early(client)


if __name__ == "__main__":
    asyncio.run(main())
