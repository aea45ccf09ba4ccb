"""What is said in ``Annotated`` reaches the model and is checked, whoever's words it is said in."""

import dataclasses
import decimal
import enum
import functools
import sys
import typing
from typing import Annotated, Generic, Literal, NamedTuple, NewType, NotRequired, Optional, TypeVar

import annotated_types
import attrs
import jsonschema
import msgspec
import pydantic
import pytest
import typing_extensions
from msgspec import Struct

from opeai_async._core.schema.functions import function_schema
from opeai_async._core.schema.schema import Mismatch, shape_of
from opeai_async.errors import RequestValidationError

T = TypeVar("T")
SMALL = pydantic.Field(ge=1, le=5, description="how many")


class Node(Struct):
    """A node."""

    weight: Annotated[int, annotated_types.Ge(1)]
    name: Annotated[str, "what it is called"] = "n"
    children: list["Node"] = []


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: Annotated[float, annotated_types.Interval(ge=0, lt=10)]
    tags: Annotated[list[str], annotated_types.Len(1, 2)] = dataclasses.field(default_factory=lambda: ["a"])
    of: Optional["Node"] = None


class Options(typing.TypedDict):
    count: Annotated[int, SMALL]
    unit: NotRequired[Literal["m", "ft", "in"]]


class Row(NamedTuple):
    first: Annotated[int, annotated_types.Gt(0)]
    second: str = ""


@attrs.define
class Car:
    seats: Annotated[int, typing_extensions.Doc("how many sit in it"), annotated_types.Le(9)]


class Box(Struct, Generic[T], rename="camel", tag="box", forbid_unknown_fields=True):
    the_item: Annotated[T, "what is in it"]


Even = Annotated[int, annotated_types.MultipleOf(2)]
GOOD_AND_BAD = [
    (Node, '{"weight":1,"children":[{"weight":2}]}', '{"weight":1,"children":[{"weight":0}]}', "$.children[0].weight"),
    (Point, '{"x":9.5}', '{"x":10}', "$.x"),
    (Point, '{"x":1,"tags":["a"],"of":{"weight":1}}', '{"x":1,"tags":[]}', "$.tags"),
    (Point, '{"x":1,"of":null}', '{"x":1,"of":{"weight":-1}}', "$.of.weight"),
    (Options, '{"count":5,"unit":"ft"}', '{"count":6}', "$.count"),
    (list[Options], '{"value":[{"count":1}]}', '{"value":[{"count":0}]}', "$.value[0].count"),
    (Row, '{"value":[1]}', '{"value":[0]}', "$.value[0]"),
    (Car, '{"seats":9}', '{"seats":10}', "$.seats"),
    (Box[Even], '{"type":"box","theItem":4}', '{"type":"box","theItem":5}', "$.theItem"),
    (dict[str, Car], '{"a":{"seats":1}}', '{"a":{"seats":11}}', "$[...].seats"),
    (Annotated[int | None, annotated_types.Ge(3)], '{"value":null}', '{"value":2}', "$.value"),
    (Annotated[str | None, pydantic.Field(pattern="^a")], '{"value":"ab"}', '{"value":"b"}', "$.value"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "good", "bad", "path"), GOOD_AND_BAD)
def test_bounds_are_told_and_checked(kind, good, bad, path):
    """The schema allows what the decoder takes, and forbids what it refuses; the value is of the user's own class."""
    shape = shape_of(kind)
    schema = jsonschema.Draft202012Validator(shape.schema(strict=False))
    schema.validate(msgspec.json.decode(good))
    assert not schema.is_valid(msgspec.json.decode(bad))
    value = shape.decode(good)
    plain = msgspec.json.decode(good, type=msgspec.Raw) if not shape.is_wrapped else None
    if plain is not None:
        assert value == msgspec.json.decode(good, type=kind)
        assert type(value) is type(msgspec.json.decode(good, type=kind))
    with pytest.raises(Mismatch) as caught:
        shape.decode(bad)
    assert caught.value.path == path


def test_words_reach_the_model():
    """At each place, and with the docstrings that were there."""
    node = shape_of(Node).schema(strict=True)
    assert node["description"] == "A node."
    assert node["properties"]["name"]["description"].startswith("what it is called")
    assert shape_of(Car).schema(strict=True)["properties"]["seats"]["description"] == "how many sit in it"
    assert shape_of(Options).schema(strict=True)["properties"]["count"] == {
        "type": "integer", "minimum": 1, "maximum": 5, "description": "how many",
    }  # fmt: skip
    assert shape_of(Box[int]).schema(strict=False)["properties"]["theItem"]["description"] == "what is in it"
    assert "description" not in shape_of(Point).schema(strict=True)


def test_classes_are_not_touched():
    """Who decodes them elsewhere gets what he got."""
    shape_of(Point).schema(strict=True)
    assert msgspec.json.decode('{"x":-1}', type=Point) == Point(-1)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"
    AMBER = "amber"


def test_choices_keep_their_order():
    """Models read the first one as the usual one."""
    order = ["red", "blue", "amber"]
    assert shape_of(Colour).schema(strict=True)["$defs"]["Colour"]["enum"] == order
    assert shape_of(Literal["red", "blue", "amber"]).schema(strict=True)["properties"]["value"]["enum"] == order
    assert shape_of(Options).schema(strict=False)["properties"]["unit"]["enum"] == ["m", "ft", "in"]

    def paint(colour: Colour, more: list[Literal["b", "a"]] = []):  # noqa: B006
        pass

    found = function_schema(paint)
    assert found.parameters["properties"]["more"]["items"]["enum"] == ["b", "a"]
    assert found.decode('{"colour":"blue","more":["a"]}') == {"colour": Colour.BLUE, "more": ["a"]}


class Marker:
    """Something of another framework."""


@pytest.mark.parametrize("marker", [Marker(), Marker, 3])
def test_what_nobody_knows_is_refused_by_name(marker):
    """A bound that is passed over is worse than none."""

    def ask(n: Annotated[int, marker]):
        pass

    name = {Marker: "the class Marker"}.get(marker, f"a {type(marker).__qualname__}")
    with pytest.raises(RequestValidationError, match=f"ask cannot be a tool: the parameter 'n': .* {name}, expected"):
        function_schema(ask)


def test_a_bound_that_cannot_be(monkeypatch):
    """Without pydantic, nobody can check it."""
    monkeypatch.delitem(sys.modules, "pydantic")
    with pytest.raises(RequestValidationError, match=r"multiple_of"):
        shape_of(Annotated[str, annotated_types.MultipleOf(2)])


class Town(pydantic.BaseModel):
    name: str
    people: int = 0


TownId = NewType("TownId", int)
ATown = NewType("ATown", Town)
NamedTown = typing_extensions.TypeAliasType("NamedTown", Town)


@dataclasses.dataclass
class Trip:
    to: Town
    days: Annotated[int, pydantic.Field(ge=1)] = 1


class Route(typing.TypedDict):
    stops: list[Town]
    by: Annotated[str, "car or train"]


class Leg(Struct):
    to: Town
    km: Annotated[int, annotated_types.Gt(0)] = 1


@attrs.define
class Visit:
    to: Town | None


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (ATown, '{"name":"Oulu"}', Town(name="Oulu")),
        (NamedTown, '{"name":"Oulu"}', Town(name="Oulu")),
        (Trip, '{"to":{"name":"Oulu"}}', Trip(Town(name="Oulu"))),
        (Route, '{"stops":[{"name":"Oulu"}],"by":"car"}', {"stops": [Town(name="Oulu")], "by": "car"}),
        (Leg, '{"to":{"name":"Oulu"},"km":3.0}', Leg(Town(name="Oulu"), 3)),
        (Visit, '{"to":{"name":"Oulu"}}', Visit(Town(name="Oulu"))),
        (Visit, '{"to":null}', Visit(None)),
        (list[ATown], '{"value":[{"name":"Oulu"}]}', [Town(name="Oulu")]),
        (Annotated[Town, "where to"], '{"name":"Oulu","people":2e5}', Town(name="Oulu", people=200_000)),
    ],
)
def test_pydantic_inside_others(kind, text, value):
    """Whichever of the two holds the other."""
    shape = shape_of(kind)
    jsonschema.Draft202012Validator(shape.schema(strict=False)).validate(msgspec.json.decode(text))
    assert shape.schema(strict=True)
    assert shape.decode(text) == value
    with pytest.raises(Mismatch) as caught:
        shape.decode(text.replace('"Oulu"', "7").replace("null", "7"))
    assert caught.value.path != "$" or "null" in text


@pytest.mark.parametrize(
    ("kind", "bad", "path"),
    [
        (Trip, '{"to":{"name":"Oulu","people":"5"}}', "$.to.people"),
        (Trip, '{"to":{"name":"Oulu","people":5.5}}', "$.to.people"),
        (Trip, '{"to":{"name":"Oulu"},"days":0}', "$.days"),
        (Leg, '{"to":{"name":"Oulu","people":"5"}}', "$.to.people"),
        (Leg, '{"to":{"name":"Oulu"},"km":0}', "$.km"),
        (Leg, '{"to":{"name":"Oulu"},"km":1.5}', "$.km"),
        (Route, '{"stops":[{"name":"A"},{"name":3}],"by":"car"}', "$.stops[1].name"),
        (Town, '{"name":"Oulu","people":"5"}', "$.people"),
        (Town, '{"name":"Oulu","people":5.5}', "$.people"),
    ],
)
def test_pydantic_is_as_strict_as_msgspec(kind, bad, path):
    """No number is made of a text, none loses its fraction, and the place is named to its depth."""
    with pytest.raises(Mismatch) as caught:
        shape_of(kind).decode(bad)
    assert caught.value.path == path


def test_definitions_of_one_name():
    """Two classes of one name, one of them pydantic's, are two definitions."""
    other = type("Town", (Struct,), {"__annotations__": {"zip": int}})

    def move(a: Town, b: other, c: list[other]):
        pass

    found = function_schema(move)
    jsonschema.Draft202012Validator(found.parameters).validate({"a": {"name": "x"}, "b": {"zip": 1}, "c": [{"zip": 2}]})
    assert not jsonschema.Draft202012Validator(found.parameters).is_valid(
        {"a": {"name": "x"}, "b": {"name": "x"}, "c": []}
    )


def test_a_field_as_default():
    """As FastAPI and pydantic write it: the default is the Field's, and so is what it says."""

    def look(
        n: int = pydantic.Field(3, ge=1, description="how many"),
        all: list[int] = pydantic.Field(default_factory=list),  # noqa: B008
        who: str = pydantic.Field(...),
    ):
        pass

    found = function_schema(look)
    assert found.parameters["properties"]["n"] == {
        "type": "integer", "minimum": 1, "description": "how many", "default": 3,
    }  # fmt: skip
    assert found.parameters["required"] == ["who"]
    assert found.decode('{"who":"a"}') == {"n": 3, "all": [], "who": "a"}
    with pytest.raises(Mismatch, match=r"\$\.n"):
        found.decode('{"who":"a","n":0}')


def test_a_default_of_none():
    """``limit: int = None`` takes None, as its author meant it."""

    def look(limit: int = None, kind: Annotated[str, "which"] = None, either: int | None = None):  # noqa: RUF013
        pass

    found = function_schema(look, strict=True)
    assert {"type": "null"} in found.parameters["properties"]["limit"]["anyOf"]
    assert {"type": "null"} in found.parameters["properties"]["kind"]["anyOf"]
    assert found.decode('{"limit":null,"kind":null,"either":null}') == {"limit": None, "kind": None, "either": None}


def test_validators_of_pydantic():
    """They run, where pydantic decodes."""

    def shout(word: Annotated[str, pydantic.AfterValidator(str.upper)], price: Annotated[float, pydantic.Field(gt=0)]):
        pass

    assert function_schema(shout).decode('{"word":"a","price":1}') == {"word": "A", "price": 1.0}


@pytest.mark.parametrize(
    ("text", "value"),
    [("5.0", 5), ("1e3", 1000), ("-0.0", 0), ("12.50e1", 125), ("120000.0", 120_000), ("1E+2", 100), ("100e-2", 1)],
)
@pytest.mark.parametrize(
    "kind", [int, int | str, Annotated[int, annotated_types.Ge(0)], Annotated[int, pydantic.Field(ge=0)]]
)
def test_integers_by_json_schema(kind, text, value):
    """A number without a fraction is an integer, however it is written."""

    def wait(ms: kind):
        pass

    found = function_schema(wait).decode(f'{{"ms": {text}}}')
    assert found == {"ms": value}
    assert type(found["ms"]) is int


@pytest.mark.parametrize("text", ["5.5", '"5"', "1e-3", "1e999999999", "true", "1" * 30 + ".5"])
def test_what_is_no_integer(text):
    """Refused, with the field named; also what would be a number of a billion digits."""

    class Wait(pydantic.BaseModel):
        ms: int

    def wait(ms: int):
        pass

    for decode in (function_schema(wait).decode, shape_of(Wait).decode):
        with pytest.raises(Mismatch, match=r"\$\.ms|range"):
            decode(f'{{"ms": {text}}}')


def test_numbers_in_texts_stay():
    """What looks like a number inside a string is text."""

    class Two(Struct):
        n: int
        text: str

    assert shape_of(Two).decode('{"n":5.0,"text":"5.0 \\" 6.0"}') == Two(5, '5.0 " 6.0')


def test_line_breaks_in_strings():
    """Models write them as they are; what is escaped wrongly is no JSON all the same."""

    def save(text: str):
        pass

    decode = function_schema(save).decode
    assert decode('{"text":"a\nb\tc\\n"}') == {"text": "a\nb\tc\n"}
    with pytest.raises(Mismatch, match="no JSON"):
        decode('{"text":"a\\\nb"}')


def odd_functions():
    def none_of_it(a, /):
        pass

    def unknown(a: "Nowhere"):  # noqa: F821
        pass

    def broken(a: "int["):  # noqa: F722
        pass

    def odd(a: 3):
        pass

    def callback(a: typing.Callable[[int], int]):
        pass

    return [none_of_it, unknown, broken, odd, callback, functools.partial(odd, b=1), print, "text", None, 3, type, len]


@pytest.mark.parametrize("function", odd_functions(), ids=lambda function: getattr(function, "__name__", "other"))
def test_no_foreign_error_leaves(function):
    """Whatever is wrong with a function, it is said in our words."""
    from opeai_async import OpeAIError, Tool

    with pytest.raises(OpeAIError):
        Tool.from_function(function)


def test_names_that_pydantic_keeps_for_itself():
    """A parameter may be called as it likes."""

    def keep(town: Town, _x: int, model_config: int):
        pass

    found = function_schema(keep).decode('{"town":{"name":"a"},"_x":1,"model_config":2}')
    assert found == {"town": Town(name="a"), "_x": 1, "model_config": 2}


def test_what_else_a_field_says():
    """Words go out; what only pydantic knows is asked of pydantic."""

    def look(
        a: Annotated[int, pydantic.Field(json_schema_extra={"x-unit": "mm"}, title="Width", strict=True)],
        b: Annotated[int, pydantic.Field(json_schema_extra=lambda schema: schema.update({"x": 1}))],
        c: Annotated[str, pydantic.StringConstraints(strip_whitespace=True, max_length=2)],
        d: Annotated[decimal.Decimal, pydantic.Field(gt=0)],
        e: Annotated[list[Box[int]], pydantic.Field(max_length=1)],
        f: Annotated[list[Box[int]], "the same again"],
        g: Annotated[float, pydantic.Field(strict=False)] = 1.0,
        h: Literal[None] = None,
    ):
        pass

    found = function_schema(look)
    properties = found.parameters["properties"]
    assert properties["a"] == {"type": "integer", "x-unit": "mm", "title": "Width"}
    assert (properties["b"]["x"], properties["e"]["maxItems"]) == (1, 1)
    given = '{"a":1,"b":2,"c":" ab ","d":"1.50","e":[{"type":"box","theItem":1}],"f":[],"g":2}'
    assert found.decode(given) == {
        "a": 1, "b": 2, "c": "ab", "d": decimal.Decimal("1.50"), "e": [Box(1)], "f": [], "g": 2.0,
    }  # fmt: skip


def test_a_dataclass_with_a_field_as_default():
    """As pydantic reads one of the standard library."""
    kind = dataclasses.make_dataclass("Order", [("n", int, pydantic.Field(3, ge=1))])
    assert shape_of(kind).decode("{}").n == 3
    with pytest.raises(Mismatch, match=r"\$\.n"):
        shape_of(kind).decode('{"n":0}')


def test_what_neither_of_the_two_knows():
    """A class of the user's own, beside one of pydantic's inside a class of msgspec's."""

    class Both(Struct):
        town: Town
        other: Marker

    for kind in (Both, dataclasses.make_dataclass("Both", [("town", Town), ("other", Marker)])):
        with pytest.raises(RequestValidationError, match="Both has no JSON form"):
            shape_of(kind)
    with pytest.raises(RequestValidationError, match="has no JSON form"):
        shape_of(Literal[b"x"])


def test_a_list_in_place_of_a_type():
    """What is written by mistake is refused as what it is."""
    with pytest.raises(RequestValidationError, match="an instance of list was given, expected a type"):
        shape_of([int])
