"""How do several readers follow one answer, and how does one that was cut off go on where it was?

Without a store of its own, a session is known in this process; with ``RedisStore(redis.asyncio.Redis())`` from
``opeai_async.redis_store`` a reader may come back to another process. With OPEAI_API_KEY set this asks the service;
without, a testing server on this machine answers.
"""

import asyncio
import os

from opeai_async import AsyncOpeAI, ContentFrame, StreamSession
from opeai_async.testing import OpeAIServer


async def stay(session: StreamSession) -> str:
    """Read from the start to the end, and print it as it comes."""
    text = ""
    async for frame in session.subscribe():
        if isinstance(frame, ContentFrame):
            text += frame.text
            print(frame.text, end="", flush=True)
    print()
    return text


async def go_and_come_back(session_id: str) -> str:
    """Read a little, be away for a while, and go on from the offset of the last frame that was seen."""
    text, offset = "", 0
    async with StreamSession.attach(session_id).subscribe() as frames:
        async for frame in frames:
            offset = frame.offset
            if isinstance(frame, ContentFrame):
                text += frame.text
            if len(text) > 20:
                break  # its leaving does not end the session

    await asyncio.sleep(0.3)  # the others read on, and so does the session itself if there are none

    async with StreamSession.attach(session_id).subscribe(after=offset) as frames:
        async for frame in frames:
            if isinstance(frame, ContentFrame):
                text += frame.text
    return text


async def main() -> None:
    async with OpeAIServer(token_delay_s=0.02) as server:
        server.reply(
            "A session reads the answer once, and remembers it for everybody: who comes late, goes, comes back."
        )
        async with AsyncOpeAI() if "OPEAI_API_KEY" in os.environ else server.client() as client:
            stream = client.chat.completions.stream(
                model="deepseek-v4-flash",
                messages=[{"role": "user", "content": "Explain in two sentences what a log is good for."}],
            )
            session = StreamSession.start(stream, grace=30.0)  # without readers, it goes on for 30 seconds

            whole, pieced = await asyncio.gather(stay(session), go_and_come_back(session.id))
            print(f"the reader that was away has the same {len(pieced)} characters: {pieced == whole}")

            completion = await session.completion()
            if completion.usage:
                print(f"outcome: {session.outcome}, tokens paid for once: {completion.usage.completion_tokens}")


if __name__ == "__main__":
    asyncio.run(main())
