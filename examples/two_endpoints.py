"""Two endpoints, of which the first one breaks off in the middle: the reader does not notice.

    python examples/two_endpoints.py

Both are servers of this package on loopback, so it needs no key and no network. Put your own in their place.
"""

import asyncio

from opeai_async import AsyncOpeAI, Capabilities, Endpoint, Endpoints, Hedge
from opeai_async.testing import OpeAIServer, RecordedRequest, Reply

ANSWER = "The sea is blue because water takes the red out of the light."


async def second_server(request: RecordedRequest) -> Reply:
    """Go on with what the assistant has said already, as DeepSeek does where a message has ``prefix``."""
    last = request.json["messages"][-1]
    said = last["content"] if last["role"] == "assistant" else ""
    return Reply(ANSWER[len(said) :], token_delay_s=0.05)


async def main() -> None:
    """Ask once, and say who has answered."""
    async with OpeAIServer() as first, OpeAIServer() as second:
        first.cut(ANSWER, after=6, token_delay_s=0.05)  # five words, and then the connection is gone
        second.handle(second_server)
        endpoints = Endpoints(
            [
                Endpoint(
                    name="first", base_url=first.base_url, api_key=first.api_key, model={"chat": "deepseek-v4-flash"}
                ),
                Endpoint(
                    name="second",
                    base_url=second.base_url,
                    api_key=second.api_key,
                    tier=1,
                    capabilities=Capabilities(prefix=True),
                ),
            ],
            hedge=Hedge(after="p95", budget=0.05),
        )
        async with AsyncOpeAI(endpoints=endpoints) as client:
            question = [{"role": "user", "content": "Why is the sea blue?"}]
            async with client.chat.completions.stream(model="chat", messages=question) as stream:
                async for text in stream.text():
                    print(text, end="", flush=True)
            print()
            for attempt in stream.meta.attempts:
                print(f"{attempt.endpoint}: {attempt.error or 'answered'}")
            for record in stream.continued:
                print(f"went on after {record.after_chars} characters, by {record.endpoint} ({record.way})")


if __name__ == "__main__":
    asyncio.run(main())
