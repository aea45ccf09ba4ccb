"""What does it cost to see an answer's JSON while it comes? Per delta, at each of which somebody looks at the value.

Two documents: one of 117,000 characters, nearly all in one string, which comes character by character; and one of
1 MB in 1,000 objects, which comes in 10,000 deltas. ``feed`` looks at nothing, ``value`` at all there is, and ``field``
takes what is new of one text. Compared: ``json.loads`` of the whole text, once, shared out over the deltas; and
``from_json`` of pydantic, which keeps nothing, so that each delta costs all that came before it: it is asked at 50 of
them only.

Found (two busy cores, us per delta): feed 1.0 to 1.5 for a character and 3 to 5 for a hundred, value 1.2 to 1.8 times
that, field 1.7 to 2.2 times. From the beginning again it is 9 to 13 times feed in one string of 117,000 characters,
which is hardly more than a copy, and 80 to 95 times in the document of 1 MB.
"""

import json
from collections.abc import Callable, Iterator, Sequence

from benchmarks.lab.lab import Contender, Lab, Question, Target, check, computation
from opeai_async import PartialJSON

CHARACTERS = 117_000
ITEMS = 1_000
DELTAS = 10_000
LOOKS_OF_A_PEER = 50


def feed(pieces: Sequence[str], text: str) -> None:
    """All pieces, and one look at the end."""
    partial = PartialJSON()
    for piece in pieces:
        partial.feed(piece)
    check(partial.end(), json.loads(text), "the value")


def value(pieces: Sequence[str], text: str) -> None:
    """A look after each piece that changed something."""
    partial = PartialJSON()
    seen = None
    for piece in pieces:
        if partial.feed(piece):
            seen = partial.value
    check(partial.end(), json.loads(text), "the value")
    check(seen, partial.value, "what was seen last")


def field(pieces: Sequence[str], path: str, expected: str) -> None:
    """What is new of one text."""
    partial = PartialJSON()
    told: list[str] = []
    length = 0
    for piece in pieces:
        partial.feed(piece)
        told.append(partial.find(path, "")[length:])  # nobody holds the text, so it can grow in place
        length += len(told[-1])
    check("".join(told), expected, "the text of the field")


def again(parse: Callable[[bytes], object], text: str, ends: Sequence[int]) -> None:
    """All that has come, parsed from its beginning."""
    data = text.encode()
    for end in ends:
        parse(data[:end])


async def _contenders(lab: Lab) -> Sequence[Contender]:
    one = json.dumps({"title": "T", "answer": "word " * (lab.scaled(CHARACTERS, least=1000) // 5)})
    body, count = "word " * 190, lab.scaled(ITEMS, least=10)
    items = [{"id": number, "ok": True, "title": f"item {number}", "body": body} for number in range(count)]
    many = json.dumps({"items": items})
    size = -(-len(many) // lab.scaled(DELTAS, least=100))
    return [
        *_of("1 character", one, 1, "answer"),
        *_of(f"{size} characters of 1 MB", many, size, f"items.{len(items) - 1}.body"),
    ]


def _of(group: str, text: str, size: int, path: str) -> Iterator[Contender]:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    count = len(pieces)
    found = json.loads(text)
    for step in path.split("."):
        found = found[int(step) if isinstance(found, list) else step]
    yield computation("json.loads, once", lambda: json.loads(text), times=1, units=count, group=group)
    yield computation("feed", lambda: feed(pieces, text), times=1, units=count, group=group)
    yield computation("value", lambda: value(pieces, text), times=1, units=count, group=group)
    yield computation("field", lambda: field(pieces, path, found), times=1, units=count, group=group)
    try:
        from pydantic_core import from_json
    except ImportError:
        return
    ends = [len(text) * number // LOOKS_OF_A_PEER for number in range(1, LOOKS_OF_A_PEER + 1)]

    def parse(data: bytes) -> object:
        return from_json(data, allow_partial="trailing-strings")

    yield computation(
        "pydantic, all again", lambda: again(parse, text, ends), times=1, units=len(ends), group=group, is_peer=True
    )


QUESTION = Question(
    name="partial_json",
    title="the value of an answer's JSON at each delta",
    unit="delta",
    bases=("feed",),
    contenders=_contenders,
    targets=(
        Target(of="1 character, feed", to="", at_most=4),
        Target(of="1 character, value", to="1 character, feed", at_most=3),
    ),
    needs_loop=False,
)
