"""Generated types: what their schema allows is decoded, and what it forbids is refused.

The judge is `jsonschema`, which knows nothing of the decoders. Types are made of everything that has an exact schema,
in msgspec's words and in pydantic's; values are made for a type, and then spoilt here and there.
"""

import dataclasses
import enum
import itertools
import json
import string
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import annotated_types
import jsonschema
import msgspec
import pydantic
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import Meta

from opeai_async._core.schema.schema import Mismatch, shape_of


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    S = 1
    L = 2


small = st.integers(-20, 20)
words = st.text(string.ascii_lowercase, max_size=4)
made = itertools.count()
names = st.lists(st.sampled_from(["a", "b", "c", "de", "x_y"]), min_size=1, max_size=3, unique=True)

# A type, and a strategy of JSON values that fit it.
LEAVES = [
    (int, small),
    (float, small | st.floats(-9, 9).map(lambda x: round(x, 2))),
    (str, words),
    (bool, st.booleans()),
    (None, st.none()),
    (Literal["x", "y"], st.sampled_from(["x", "y"])),
    (Literal[1, 2], st.sampled_from([1, 2])),
    (Colour, st.sampled_from(["red", "blue"])),
    (Size, st.sampled_from([1, 2])),
    (Annotated[int, annotated_types.Ge(0), annotated_types.Lt(5)], st.integers(0, 4)),
    (Annotated[int, pydantic.Field(ge=2, le=4)], st.integers(2, 4)),
    (Annotated[str, pydantic.Field(max_length=2)], st.text(string.ascii_lowercase, max_size=2)),
    (int | str, small | words),
    (int | None, small | st.none()),
    (str | None, words | st.none()),
]
OF_MSGSPEC = [
    (Annotated[int, Meta(ge=0, le=9)], st.integers(0, 9)),
    (Annotated[int, Meta(gt=0, multiple_of=3)], st.sampled_from([3, 6, 9])),
    (Annotated[float, Meta(ge=0.5, lt=2.5)], st.sampled_from([0.5, 1, 2.25])),
    (Annotated[str, Meta(min_length=1, max_length=3)], st.text(string.ascii_lowercase, min_size=1, max_size=3)),
    (Annotated[str, Meta(pattern="^[ab]+$")], st.text("ab", min_size=1, max_size=3)),
]
junk = st.recursive(
    st.none()
    | st.booleans()
    | small
    | st.sampled_from([5.0, 5.5, -0.0, 1e3, "", "5", "x", "red", "true", "null"])
    | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", "zz"]), inner, max_size=2),
    max_leaves=4,
)


def fields_of(draw, pairs):
    """Fields in the order in which a class has them, those with a default last, and values of them."""
    fields = {name: draw(pairs) for name in draw(names)}
    optional = {name for name in fields if draw(st.booleans())}
    values = st.fixed_dictionaries(
        {name: values for name, (_, values) in fields.items() if name not in optional},
        optional={name: values for name, (_, values) in fields.items() if name in optional},
    )
    return {name: fields[name][0] for name in sorted(fields, key=lambda name: name in optional)}, optional, values


def new_name():
    return f"Made{next(made)}"


@st.composite
def models(draw, pairs):
    """A model of pydantic, whose fields pydantic knows."""
    kinds, optional, values = fields_of(draw, pairs)
    # A default need not fit: nobody checks it.
    rows = {name: (kind, None if name in optional else ...) for name, kind in kinds.items()}
    return pydantic.create_model(new_name(), **rows), values


@st.composite
def records(draw, pairs):
    """A class with fields, some of which have a default, in any of four ways."""
    kinds, optional, values = fields_of(draw, pairs)
    form = draw(st.sampled_from(["struct", "closed", "dataclass", "typed_dict"]))
    if form == "typed_dict":
        hints = {name: NotRequired[kind] if name in optional else kind for name, kind in kinds.items()}
        return TypedDict(new_name(), hints), values  # type: ignore[operator]
    rows = [(name, kind, None) if name in optional else (name, kind) for name, kind in kinds.items()]
    if form == "dataclass":
        defaults = [(*row[:2], dataclasses.field(default=None)) if len(row) == 3 else row for row in rows]
        return dataclasses.make_dataclass(new_name(), defaults), values
    return msgspec.defstruct(new_name(), rows, forbid_unknown_fields=form == "closed"), values


def grown(pairs, *makers):
    return st.recursive(
        pairs,
        lambda inner: st.one_of(*(maker(inner) for maker in (listed, bounded_lists, mapped, *makers))),
        max_leaves=4,
    )


def listed(pairs):
    return pairs.map(lambda pair: (list[pair[0]], st.lists(pair[1], max_size=3)))


def bounded_lists(pairs):
    bounds = annotated_types.Len(1, 2)
    return pairs.map(lambda pair: (Annotated[list[pair[0]], bounds], st.lists(pair[1], min_size=1, max_size=2)))


def mapped(pairs):
    return pairs.map(lambda pair: (dict[str, pair[0]], st.dictionaries(words, pair[1], max_size=2)))


def types():
    """A class, and a strategy of JSON values that fit it."""
    of_pydantic = grown(st.sampled_from(LEAVES), models)
    of_all = grown(st.sampled_from([*LEAVES, *OF_MSGSPEC]), records, lambda _: models(of_pydantic))
    return records(of_all) | models(of_pydantic)


@st.composite
def spoilt(draw, value):
    """*value*, perhaps with something else in one place."""
    if draw(st.integers(0, 4)) == 0:
        return draw(junk)
    if isinstance(value, list):
        return [draw(spoilt(item)) for item in value]
    if isinstance(value, dict):
        kept = {name: draw(spoilt(item)) for name, item in value.items() if draw(st.integers(0, 9))}
        return {**kept, "zz": draw(junk)} if draw(st.integers(0, 9)) == 0 else kept
    return float(value) if type(value) is int and draw(st.integers(0, 5)) == 0 else value


def is_allowed(schema: Any, value: Any) -> bool:
    return jsonschema.Draft202012Validator(schema).is_valid(value)


def is_decoded(shape: Any, value: Any) -> bool:
    try:
        shape.decode(json.dumps(value))
    except Mismatch:
        return False
    return True


@settings(max_examples=300)
@given(data=st.data())
def test_the_schema_says_what_is_decoded(data: st.DataObject) -> None:
    """Neither more nor less."""
    kind, values = data.draw(types())
    shape = shape_of(kind)
    schema = shape.schema(strict=False)
    value = data.draw(values.flatmap(spoilt))
    assert is_decoded(shape, value) is is_allowed(schema, value), schema


@settings(max_examples=100)
@given(data=st.data())
def test_what_fits_a_type_is_allowed_and_decoded(data: st.DataObject) -> None:
    """Or the test above would look at junk alone."""
    kind, values = data.draw(types())
    shape, value = shape_of(kind), data.draw(values)
    assert is_allowed(shape.schema(strict=False), value)
    assert is_decoded(shape, value)


@settings(max_examples=100)
@given(data=st.data())
def test_what_the_strict_schema_allows_is_decoded(data: st.DataObject) -> None:
    """A server that holds the model to it gives nothing that is refused here."""
    kind, values = data.draw(types())
    shape = shape_of(kind)
    try:
        schema = shape.schema(strict=True)
    except ValueError:
        assume(False)  # free keys have no strict form
        return
    value = data.draw(values.flatmap(spoilt))
    if is_allowed(schema, value):
        assert is_decoded(shape, value)
