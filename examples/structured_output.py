"""How do I get an object of my own type, checked, instead of text?

With OPEAI_API_KEY set this asks the service; without, a testing server on this machine answers.
"""

import asyncio
import datetime
import os
from typing import Annotated, Literal

from msgspec import Meta, Struct

from opeai_async import AsyncOpeAI, InvalidOutputError, OutputTruncatedError
from opeai_async.testing import OpeAIServer

LETTER = "Dear shop, the red lamp in Tuesday's parcel (no. 17) is broken. I want my 49 euros back. Yours, A. Virtanen"


class Item(Struct):
    """A thing that was bought; its docstring and these words are told to the model.

    Attributes:
        what: In one or two words.
    """

    what: str
    price_eur: Annotated[float, Meta(ge=0)] | None = None


class Complaint(Struct):
    """What a customer complains about."""

    kind: Literal["broken", "late", "other"]
    items: list[Item]
    parcel: Annotated[int, Meta(description="The number of the parcel.")] | None
    received: datetime.date | None


async def sort(client: AsyncOpeAI, letter: str) -> Complaint | None:
    completion = await client.chat.completions.parse(
        model="deepseek-v4-flash",
        messages=[{"role": "user", "content": f"Sort this letter, of the week from 2026-02-02:\n{letter}"}],
        response_format=Complaint,
        mode="json_object",  # for models which know no schemas; without it the server holds the model to the schema
        retries_on_invalid=1,  # what is wrong is sent back once
    )
    if completion.rejected:
        print(f"[asked again: {completion.rejected[0].choices[0].message.content} is no Complaint]")
    return completion.parsed  # None if the model refused


async def summarize(client: AsyncOpeAI, letters: list[str]) -> list[Item] | None:
    """The same as a stream: the text as it comes, then the value."""
    stream = client.chat.completions.stream(
        model="deepseek-v4-flash",
        messages=[{"role": "user", "content": "List what was bought, as JSON:\n" + "\n".join(letters)}],
        response_format=list[Item],
        mode="json_object",
    )
    async with stream:
        async for text in stream.text():
            print(text, end="", flush=True)
        print()
        return (await stream.completion()).parsed


async def main() -> None:
    async with OpeAIServer() as server:
        server.reply('{"kind": "damaged", "items": [{"what": "red lamp"}], "parcel": 17, "received": "2026-02-03"}')
        server.reply('{"kind": "broken", "items": [{"what": "red lamp"}], "parcel": 17, "received": "2026-02-03"}')
        server.reply('{"value": [{"what": "red lamp", "price_eur": 49}]}')
        async with AsyncOpeAI() if "OPEAI_API_KEY" in os.environ else server.client() as client:
            try:
                print(await sort(client, LETTER))
                print(await summarize(client, [LETTER]))
            except OutputTruncatedError as exc:
                print(f"[cut after {exc.text!r}: raise max_tokens]")
            except InvalidOutputError as exc:
                print(f"[{exc.path} is wrong: {exc.reason}]")


if __name__ == "__main__":
    asyncio.run(main())
