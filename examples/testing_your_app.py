"""How do I test code of mine that talks to a model? Against a real server on loopback that plays what you script.

`Summarizer` is the code under test; the `test_...` functions run as they are under pytest with an asyncio plugin, where
`opeai_async.testing.pytest` also has the server and the client as fixtures.
"""

import asyncio

from opeai_async import AsyncOpeAI, StreamError
from opeai_async.testing import OpeAIServer


class Summarizer:
    def __init__(self, client: AsyncOpeAI) -> None:
        self._client = client

    async def summary(self, text: str) -> str:
        """A summary; one that broke off ends with an ellipsis."""
        try:
            async with self._client.chat.completions.stream(
                model="deepseek-v4-flash",
                messages=[{"role": "system", "content": "Summarize."}, {"role": "user", "content": text}],
                temperature=0,
            ) as stream:
                return (await stream.completion()).choices[0].message.content or ""
        except StreamError as exc:
            if exc.partial is None:
                raise
            return f"{exc.partial.choices[0].message.content}..."


async def test_the_text_is_sent() -> None:
    async with OpeAIServer() as server, server.client() as client:
        server.reply("Short.")
        assert await Summarizer(client).summary("A long story.") == "Short."

        sent = server.requests[0].json
        assert sent["messages"][-1] == {"role": "user", "content": "A long story."}
        assert sent["temperature"] == 0


async def test_a_server_that_stumbles_is_asked_again() -> None:
    async with OpeAIServer() as server, server.client() as client:
        server.fail(500, headers={"retry-after-ms": "1"})
        server.reply("Short.")
        assert await Summarizer(client).summary("A long story.") == "Short."
        assert [request.status for request in server.requests] == [500, 200]


async def test_a_broken_answer_is_shown_as_far_as_it_came() -> None:
    async with OpeAIServer() as server, server.client() as client:
        server.cut("Short and sweet.", after=3)
        assert await Summarizer(client).summary("A long story.") == "Short and..."


async def test_a_user_who_leaves_costs_no_more_tokens() -> None:
    async with OpeAIServer() as server, server.client() as client:
        server.stall("Short and sweet.", after=2)
        task = asyncio.create_task(Summarizer(client).summary("A long story."))
        await server.wait_received()
        task.cancel()
        assert (await server.wait_closed()).outcome == "client_gone"


async def main() -> None:
    for test in (
        test_the_text_is_sent,
        test_a_server_that_stumbles_is_asked_again,
        test_a_broken_answer_is_shown_as_far_as_it_came,
        test_a_user_who_leaves_costs_no_more_tokens,
    ):
        await test()
        print(f"passed: {test.__name__.removeprefix('test_').replace('_', ' ')}")


if __name__ == "__main__":
    asyncio.run(main())
