"""What can go wrong, what is retried for me, and what do I catch?

The testing server plays the faults here, so this runs without a key.
"""

import asyncio

from opeai_async import (
    APIConnectionError,
    APIStatusError,
    AsyncOpeAI,
    BadRequestError,
    RateLimitError,
    RequestValidationError,
    StreamError,
    Timeouts,
)
from opeai_async.testing import OpeAIServer


async def ask(client: AsyncOpeAI) -> str | None:
    """One call, with one `except` for each thing that a caller can do about it."""
    try:
        stream = client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "Hi"}])
        async with stream:
            return (await stream.completion()).choices[0].message.content
    except StreamError as exc:  # the answer had begun: it is not asked for again, but nothing is lost
        text = exc.partial.choices[0].message.content if exc.partial else ""
        return f"[broken off after {text!r}: {exc}]"
    except RateLimitError as exc:  # too much at once: slow down
        return f"[slow down for {exc.retry_after_s} s, after {len(exc.attempts)} attempts]"
    except BadRequestError as exc:  # the request is wrong: no use in repeating it
        return f"[{exc.param}: {exc}]"
    except APIStatusError as exc:  # any other status; the request id is what support asks for
        return f"[status {exc.status_code}, request {exc.request_id}, after {len(exc.attempts)} attempts]"
    except APIConnectionError as exc:  # not reached, or not in time
        return f"[no answer after {len(exc.attempts)} attempts: {exc}]"


async def main() -> None:
    async with OpeAIServer() as server, server.client(max_retries=1, timeouts=Timeouts(idle_bytes_s=0.3)) as client:
        server.fail(500)
        server.reply("A server that stumbles once is asked again.")
        print(await ask(client))

        server.fail(500, times=2)
        print(await ask(client))

        server.fail(429, headers={"retry-after": "120"})  # more than anybody wants to wait: raised at once
        print(await ask(client))

        server.fail(400, message="this model does not like greetings", param="messages")
        print(await ask(client))

        server.cut("The connection broke in the middle of this", after=4)
        print(await ask(client))

        server.stall("The server fell silent in the middle of this", after=4)
        print(await ask(client))

        try:  # what is wrong for certain is refused before anything is sent
            await client.chat.completions.create(model="m", messages=[], temperature=3)
        except RequestValidationError as exc:
            print(f"[not sent: {exc}; hint: {exc.hint}]")

    async with server.client(max_retries=1) as client:  # nobody listens there any more
        print(await ask(client))


if __name__ == "__main__":
    asyncio.run(main())
