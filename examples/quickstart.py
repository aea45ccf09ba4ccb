"""How do I ask a question? Await the whole answer, or read it while it is written.

With OPEAI_API_KEY set this asks the service; without, a testing server on this machine answers.
"""

import asyncio
import os

from opeai_async import AsyncOpeAI
from opeai_async.testing import OpeAIServer


async def ask(client: AsyncOpeAI) -> None:
    completion = await client.chat.completions.create(
        model="deepseek-v4-flash",
        messages=[{"role": "user", "content": "Name three rivers."}],
    )
    print(completion.choices[0].message.content)
    if completion.usage:
        print(f"({completion.usage.total_tokens} tokens)")


async def ask_and_read_along(client: AsyncOpeAI) -> None:
    async with client.chat.completions.stream(
        model="deepseek-v4-flash",
        messages=[{"role": "user", "content": "Tell me about one of them."}],
    ) as stream:
        async for text in stream.text():
            print(text, end="", flush=True)
    print()


async def main() -> None:
    async with OpeAIServer(token_delay_s=0.02) as server:
        server.reply("The Nile, the Danube and the Mekong.")
        server.reply("The Danube rises in the Black Forest and passes through ten countries on its way to the sea.")
        async with AsyncOpeAI() if "OPEAI_API_KEY" in os.environ else server.client() as client:
            await ask(client)
            await ask_and_read_along(client)


if __name__ == "__main__":
    asyncio.run(main())
