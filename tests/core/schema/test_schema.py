"""Types as JSON: their schemas hold to the rules, and their values go there and back."""

import dataclasses
import datetime
import decimal
import enum
import json
import re
import sys
import uuid
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    TypedDict,
    TypeVar,
)

import attrs
import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Meta, Struct, UnsetType

from opeai_async._core.schema.schema import Mismatch, name_of, shape_of
from opeai_async.errors import RequestValidationError
from tests.support.reading.strict_rules import violations

T = TypeVar("T")


class Color(enum.Enum):
    """Of a car."""

    RED = "red"
    GREEN = "green"


class Size(enum.IntEnum):
    S = 1
    L = 2


class Only(enum.Enum):
    ONE = "one"


class Item(Struct):
    """What is sold.

    Attributes:
        name: On the label.
        price: In euros.
    """

    name: str
    price: Annotated[float, Meta(ge=0)] = 1.5


class Order(Struct, rename="camel"):
    order_id: uuid.UUID
    line_items: list[Item]
    best_item: Annotated[Item, Meta(description="The best of them.")]
    color: Annotated[Color, Meta(description="Of the box.")] = Color.RED
    paid_at: datetime.datetime | None = None


class Node(Struct):
    value: int
    children: list["Node"] = []


class Link(Struct):
    next: Optional["Link"] = None


class Cat(Struct, tag=True):
    lives: int


class Dog(Struct, tag=True):
    name: str = "Rex"


class Circle(Struct, tag_field="kind", tag="circle"):
    radius: float


class Square(Struct, tag_field="kind", tag="square"):
    side: float


class Zoo(Struct):
    animals: list[Cat | Dog]
    favourite: Cat | Dog | None
    either: int | str | Cat | Dog | None
    alone: Cat | str | None


class Box(Struct, Generic[T]):
    content: T


class Empty(Struct):
    pass


class Times(Struct):
    at: datetime.datetime
    zoned: Annotated[datetime.datetime, Meta(tz=True)]
    day: datetime.date
    clock: datetime.time | None
    lasts: datetime.timedelta
    more: list[datetime.datetime]
    pair: tuple[datetime.datetime, datetime.datetime]


class Limits(Struct):
    name: Annotated[str, Meta(min_length=2, max_length=5, examples=["Anna"], description="A name.")]
    code: Annotated[str, Meta(pattern="^[a-z]+$", title="Code")]
    looks: Annotated[str, Meta(pattern="^(?!b)[a-c]*$")]
    share: Annotated[float, Meta(gt=0, lt=1)]
    count: Annotated[int, Meta(ge=0, le=10, multiple_of=2)]
    some: Annotated[list[int], Meta(min_length=1, max_length=3)]


class OnlyAttributes(Struct):
    """
    Attributes:
        a: The first.
    """

    a: int


class MayBeUnset(Struct):
    value: int | UnsetType = UNSET


class Frozen(Struct, frozen=True, forbid_unknown_fields=True):
    value: int


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0
    tags: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Line(Generic[T]):
    """From one point to another."""

    begin: Point
    end: Point
    label: T


class Row(TypedDict):
    a: int
    b: NotRequired[str]


class Loose(TypedDict, total=False):
    a: list[int]


@attrs.define
class Car:
    """Drives."""

    wheels: int
    color: Color = Color.GREEN


class Pair(NamedTuple):
    x: int
    y: int


class ByPlace(Struct, array_like=True):
    a: int
    b: int = 3


UserId = NewType("UserId", int)

INTS = st.integers(-(2**53), 2**53)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(0, 1e9)
TEXT = st.text(max_size=20)
ZONED = st.datetimes(timezones=st.just(datetime.UTC))
TIMES = st.times(timezones=st.just(datetime.UTC))
SPANS = st.timedeltas(datetime.timedelta(-1000), datetime.timedelta(1000))
ITEMS = st.builds(Item, TEXT, POSITIVE)
COLORS = st.sampled_from(Color)
CATS, DOGS = st.builds(Cat, INTS), st.builds(Dog, TEXT)
NODES = st.recursive(
    st.builds(Node, INTS), lambda kids: st.builds(Node, INTS, st.lists(kids, max_size=2)), max_leaves=4
)
LINKS = st.recursive(st.just(Link()), lambda link: st.builds(Link, link), max_leaves=3)
POINTS = st.builds(Point, INTS, INTS, st.lists(TEXT, max_size=2))
ORDERS = st.builds(
    Order,
    order_id=st.uuids(),
    line_items=st.lists(ITEMS, max_size=2),
    best_item=ITEMS,
    color=COLORS,
    paid_at=st.none() | ZONED,
)
TABLE = {
    Item: ITEMS,
    Order: ORDERS,
    Node: NODES,
    Link: LINKS,
    Cat: CATS,
    Zoo: st.builds(
        Zoo,
        animals=st.lists(CATS | DOGS, max_size=3),
        favourite=st.none() | CATS | DOGS,
        either=st.none() | INTS | TEXT | CATS | DOGS,
        alone=st.none() | TEXT | CATS,
    ),
    Box[int]: st.builds(Box, INTS),
    Box[list[Box[Item]]]: st.builds(Box, st.lists(st.builds(Box, ITEMS), max_size=2)),
    Empty: st.builds(Empty),
    Times: st.builds(
        Times, at=ZONED, zoned=ZONED, day=st.dates(), clock=st.none() | TIMES, lasts=SPANS,
        more=st.lists(ZONED, max_size=2), pair=st.tuples(ZONED, ZONED),
    ),
    Limits: st.builds(
        Limits,
        name=st.text(st.sampled_from("ab"), min_size=2, max_size=5),
        code=st.text(st.sampled_from("xyz"), min_size=1, max_size=5),
        looks=st.sampled_from(["", "a", "ca"]),
        share=st.floats(0.1, 0.9),
        count=st.sampled_from([0, 2, 10]),
        some=st.lists(INTS, min_size=1, max_size=3),
    ),
    MayBeUnset: st.builds(MayBeUnset, INTS),
    Frozen: st.builds(Frozen, INTS),
    Point: POINTS,
    Line[str]: st.builds(Line, POINTS, POINTS, TEXT),
    Row: st.fixed_dictionaries({"a": INTS, "b": TEXT}),
    Loose: st.fixed_dictionaries({"a": st.lists(INTS, max_size=2)}),
    Car: st.builds(Car, INTS, COLORS),
    Cat | Dog: CATS | DOGS,
    Circle | Square: st.builds(Circle, POSITIVE) | st.builds(Square, POSITIVE),
    Cat | Dog | None: st.none() | CATS | DOGS,
    Item | list[Item] | None: st.none() | ITEMS | st.lists(ITEMS, max_size=2),
    list[Item]: st.lists(ITEMS, max_size=2),
    list[list[int]]: st.lists(st.lists(INTS, max_size=2), max_size=2),
    list[Annotated[Item, Meta(title="Thing")]]: st.lists(ITEMS, max_size=2),
    set[int]: st.sets(INTS, max_size=3),
    frozenset[str]: st.frozensets(TEXT, max_size=3),
    tuple[int, int]: st.tuples(INTS, INTS),
    tuple[str, ...]: st.lists(TEXT, max_size=3).map(tuple),
    tuple[()]: st.just(()),
    Pair: st.builds(Pair, INTS, INTS),
    ByPlace: st.builds(ByPlace, INTS, INTS),
    Literal["a", "b"]: st.sampled_from(["a", "b"]),
    Literal[1, "a", None]: st.sampled_from([1, "a", None]),
    Literal["only"]: st.just("only"),
    Color: COLORS,
    Size: st.sampled_from(Size),
    Only: st.just(Only.ONE),
    Annotated[int, Meta(ge=0, description="n")] | datetime.datetime | Cat: st.integers(0, 9) | ZONED | CATS,
    Optional[Color]: st.none() | COLORS,  # noqa: UP045
    int | list[str] | None: st.none() | INTS | st.lists(TEXT, max_size=2),
    str: TEXT,
    int: INTS,
    float: FLOATS,
    bool: st.booleans(),
    None: st.none(),
    bytes: st.binary(max_size=20),
    uuid.UUID: st.uuids(),
    decimal.Decimal: st.decimals(-(10**6), 10**6, places=2),
    datetime.datetime: ZONED,
    datetime.date: st.dates(),
    datetime.time: TIMES,
    datetime.timedelta: SPANS,
    UserId: INTS,
    Annotated[int, Meta(ge=3)]: st.integers(3, 100),
    Annotated[Item, Meta(description="One.")]: ITEMS,
}  # fmt: skip


def text_of(shape, value) -> str:
    """*value* as a server that keeps to the schema would write it."""
    return msgspec.json.encode({"value": value} if shape.is_wrapped else value).decode()


class TestEveryType:
    """What holds for all that can be asked for."""

    @pytest.mark.parametrize("annotation", TABLE, ids=name_of)
    def test_its_schemas_are_schemas(self, annotation):
        """Both forms are valid JSON Schema, and have an object at the root."""
        for strict in (True, False):
            schema = shape_of(annotation).schema(strict=strict)
            jsonschema.Draft202012Validator.check_schema(schema)
            assert schema["type"] == "object"

    @pytest.mark.parametrize("annotation", TABLE, ids=name_of)
    def test_its_strict_schema_keeps_the_rules(self, annotation):
        """A server that knows strict mode takes it."""
        assert violations(shape_of(annotation).schema(strict=True)) == []

    @pytest.mark.parametrize("annotation", TABLE, ids=name_of)
    @settings(max_examples=30)
    @given(data=st.data())
    def test_its_values_go_there_and_back(self, annotation, data):
        """Each value is valid against both schemas, and comes back as it was."""
        shape = shape_of(annotation)
        value = data.draw(TABLE[annotation])
        text = text_of(shape, value)
        for strict in (True, False):
            jsonschema.Draft202012Validator(shape.schema(strict=strict)).validate(msgspec.json.decode(text))
        assert shape.decode(text) == value

    @pytest.mark.parametrize("annotation", TABLE, ids=name_of)
    def test_its_name_is_one_that_an_api_takes(self, annotation):
        """Letters, digits, underscores and dashes, at most 64."""
        name = shape_of(annotation).name
        assert name.replace("_", "a").replace("-", "a").isalnum()
        assert name.isascii()
        assert len(name) <= 64


class TestNames:
    """What a type is called."""

    @pytest.mark.parametrize(
        ("annotation", "name"),
        [
            (Item, "Item"),
            (list[Item], "list_Item"),
            (Box[int], "Box_int"),
            (Cat | Dog | None, "Cat_or_Dog_or_NoneType"),
            (Literal["a b", 2], "Literal_a_b_2"),
            (Annotated[int, Meta(ge=0)], "int"),
            (None, "None"),
            (Literal["é"], "Literal"),
            (tuple[tuple[tuple[int, int, int], str, str, str], float, float, float, Item, Item, Item], None),
            (type("日本", (Struct,), {}), "response"),
        ],
    )
    def test_name(self, annotation, name):
        """It tells what it is, as far as an API lets it."""
        found = name_of(annotation)
        assert found == name or (name is None and len(found) == 64)


class TestTheStrictForm:
    """How what strict mode does not know is said."""

    def properties(self, annotation):
        return shape_of(annotation).schema(strict=True)["properties"]

    def test_what_may_be_missing_is_required(self):
        """And its default is told."""
        schema = shape_of(Item).schema(strict=True)
        assert schema == {
            "type": "object",
            "title": "Item",
            "description": "What is sold.",
            "properties": {
                "name": {"type": "string", "description": "On the label."},
                "price": {"type": "number", "minimum": 0, "description": "In euros. (default: 1.5)"},
            },
            "required": ["name", "price"],
            "additionalProperties": False,
        }

    def test_what_may_be_none_is_nullable(self):
        """With a null of its own among the choices; a union in a union is one."""
        zoo = self.properties(Zoo)
        cat, dog, null = {"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}, {"type": "null"}
        assert zoo["favourite"] == {"anyOf": [cat, dog, null]}
        assert zoo["either"] == {"anyOf": [{"type": "integer"}, {"type": "string"}, cat, dog, null]}
        assert zoo["alone"] == {"anyOf": [{"type": "string"}, cat, null]}

    def test_a_tag_is_a_constant(self):
        """By which a model says which one it means."""
        defs = shape_of(Circle | Square).schema(strict=True)["$defs"]
        assert defs["Circle"]["properties"]["kind"] == {"type": "string", "const": "circle"}
        assert list(defs["Square"]["properties"]) == ["kind", "side"]

    def test_a_reference_stands_alone(self):
        """What is said beside it goes around it."""
        order = self.properties(Order)
        assert order["bestItem"] == {"anyOf": [{"$ref": "#/$defs/Item"}], "description": "The best of them."}
        assert order["color"] == {"anyOf": [{"$ref": "#/$defs/Color"}], "description": 'Of the box. (default: "red")'}
        assert order["lineItems"] == {"type": "array", "items": {"$ref": "#/$defs/Item"}}

    def test_a_type_within_itself(self):
        """Its definition stays, and the root repeats it."""
        schema = shape_of(Node).schema(strict=True)
        assert schema["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
        assert schema["$defs"]["Node"]["properties"] == schema["properties"]

    def test_a_definition_that_nothing_needs_is_left_out(self):
        """Such as that of the root."""
        assert "$defs" not in shape_of(Item).schema(strict=True)
        assert "$defs" not in shape_of(Item).schema(strict=False)

    def test_keywords_that_are_told_in_words(self):
        """The model knows them all the same."""
        limits = self.properties(Limits)
        assert limits["name"] == {
            "type": "string",
            "description": 'A name. (minLength: 2; maxLength: 5; examples: ["Anna"])',
        }
        assert limits["code"] == {"type": "string", "pattern": "^[a-z]+$", "title": "Code"}
        assert limits["looks"] == {"type": "string", "description": '(pattern: "^(?!b)[a-c]*$")'}
        assert limits["share"] == {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
        assert limits["count"] == {"type": "integer", "minimum": 0, "maximum": 10, "multipleOf": 2}
        assert limits["some"] == {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3}
        assert self.properties(bytes)["value"]["description"] == '(contentEncoding: "base64")'
        assert self.properties(set[int])["value"]["description"] == "(uniqueItems: true)"
        assert self.properties(decimal.Decimal)["value"]["description"] == '(format: "decimal")'

    def test_times_have_their_formats(self):
        """Also where Python takes them with or without a zone, and wherever they lie."""
        times = self.properties(Times)
        stamp = {"type": "string", "format": "date-time"}
        assert (times["at"], times["zoned"], times["more"]["items"]) == (stamp, stamp, stamp)
        assert (
            self.properties(Annotated[int, Meta(ge=0, description="n")] | datetime.datetime)["value"]["anyOf"][1]
            == stamp
        )
        assert times["pair"]["items"] == stamp
        assert times["clock"]["anyOf"][0] == {"type": "string", "format": "time"}
        assert (times["day"]["format"], times["lasts"]["format"]) == ("date", "duration")
        assert shape_of(dict[str, datetime.datetime]).schema(strict=False)["additionalProperties"] == stamp

    @pytest.mark.parametrize(
        ("annotation", "good", "bad"),
        [
            (decimal.Decimal, ["0", "-1.50", "12345678901234567890.1"], ["", "1.", ".5", "one", "1 "]),
            (bytes, ["", "AA==", "AAA=", "AAAA", "+/09"], ["A", "AA", "AA=", "====", "AA A"]),
            (bytearray, ["AAAA"], ["A"]),
        ],
    )
    def test_texts_that_stand_for_something_else(self, annotation, good, bad):
        """A server that knows patterns lets through what can be decoded."""
        pattern = re.compile(self.properties(annotation)["value"]["pattern"])
        for text in good:
            assert pattern.search(text)
            shape_of(annotation).decode(json.dumps({"value": text}))
        assert not any(pattern.search(text) for text in bad)

    def test_docstrings_without_a_text(self):
        """A dataclass's made-up docstring is none, and one without a text before its sections has none."""
        assert shape_of(OnlyAttributes).description == ""
        assert self.properties(OnlyAttributes)["a"]["description"] == "The first."
        assert "description" not in shape_of(Point).schema(strict=True)
        assert shape_of(Line[int]).description == "From one point to another."
        assert shape_of(Point).description == ""

    def test_what_users_put_into_the_schema_themselves(self):
        """Types by a list, several schemas at once, constants, and keywords nobody knows."""

        class Own(Struct):
            a: Annotated[Any, Meta(extra_json_schema={"type": ["string", "null"], "description": "A.", "default": "x"})]
            b: Annotated[Any, Meta(extra_json_schema={"allOf": [{"type": "integer"}], "x-ui": True})]
            c: Annotated[Any, Meta(extra_json_schema={"const": 2.5})]
            d: Annotated[Any, Meta(extra_json_schema={"oneOf": [{"type": "boolean"}], "description": "D."})]

        assert self.properties(Own) == {
            "a": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": 'A. (default: "x")'},
            "b": {"type": "integer"},
            "c": {"type": "number", "const": 2.5},
            "d": {"type": "boolean", "description": "D."},
        }


class Free(Struct):
    scores: list[dict[str, int]]


class Whatever(Struct):
    inner: Box[Any]


def own_schema(**schema):
    return list[Annotated[Any, Meta(extra_json_schema=schema)]]


class TestRefusals:
    """What cannot be asked for."""

    @pytest.mark.parametrize(
        ("annotation", "path", "what"),
        [
            (Free, "$.scores[]", "an object with free keys"),
            (dict[str, int], "$", "an object with free keys"),
            (dict, "$", "an object with free keys"),
            (Whatever, "$.inner.content", "anything at all"),
            (Any, "$.value", "anything at all"),
            (list, "$.value[]", "anything at all"),
            (msgspec.Raw, "$.value", "anything at all"),
            (tuple[int, str], "$.value", "an array whose items have types by position"),
            (own_schema(allOf=[{"type": "string"}, {}]), "$.value[]", "all of several schemas at once"),
            (own_schema(enum=[[1]]), "$.value[]", "one of several values, of which some are no scalars"),
            (own_schema(type="object", patternProperties={}, properties={}), "$.value[]", "an object with free keys"),
        ],
    )
    def test_what_strict_mode_cannot_express(self, annotation, path, what):
        """The path, what is there, and what to do; without strict mode it goes."""
        shape = shape_of(annotation)
        with pytest.raises(RequestValidationError) as caught:
            shape.schema(strict=True)
        assert str(caught.value).startswith(f"{path} is {what}")
        assert caught.value.field == path
        assert caught.value.hint
        jsonschema.Draft202012Validator.check_schema(shape.schema(strict=False))

    @pytest.mark.parametrize(
        ("annotation", "message"),
        [
            (object, "object has no JSON form: type <class 'object'> is not supported"),
            (list[complex], r"list\[complex\] has no JSON form: type <class 'complex'> is not supported"),
            (Item | Point, "has no JSON form: .*more than one"),
            (Item | Node, "has no JSON form: .*tag"),
            ("Item", "Item has no JSON form"),
        ],
    )
    def test_what_has_no_json_form(self, annotation, message):
        """The type, why, and what to use."""
        with pytest.raises(RequestValidationError, match=message) as caught:
            shape_of(annotation)
        assert caught.value.field == "response_format"
        assert caught.value.hint.startswith("use Structs")
        assert caught.value.__cause__ is None

    def test_an_instance_in_place_of_its_type(self):
        with pytest.raises(RequestValidationError, match="an instance of int was given, expected a type") as caught:
            shape_of(5)
        assert caught.value.hint.startswith("give int itself")

    def test_a_name_that_cannot_be_resolved(self):
        """Such as one of a class in a function, in an annotation that is text."""

        class Local(Struct):
            other: "Nowhere"  # noqa: F821

        with pytest.raises(RequestValidationError, match="name 'Nowhere' is not defined"):
            shape_of(Local)


class TestDecoding:
    """What an answer is held to."""

    @pytest.mark.parametrize(
        ("annotation", "text", "reason", "path"),
        [
            (Item, '{"name":5}', "Expected `str`, got `int`", "$.name"),
            (Item, '{"price":5}', "Object missing required field `name`", "$"),
            (Item, '{"name":"a","price":-1}', "Expected `float` >= 0.0", "$.price"),
            (Item, '{"name":"a","price":"1"}', "Expected `float`, got `str`", "$.price"),
            (Node, '{"value":1,"children":[{"value":null}]}', "Expected `int`, got `null`", "$.children[0].value"),
            (list[int], '{"value":[1,"2"]}', "Expected `int`, got `str`", "$.value[1]"),
            (list[int], '{"value":3}', "Expected `array`, got `int`", "$.value"),
            (list[int], "[1]", "Expected `object`, got `array`", "$"),
            (list[int], "{}", "Object missing required field `value`", "$"),
            (Color, '{"value":"blue"}', "Invalid enum value 'blue'", "$.value"),
            (dict[int, int], '{"a":1}', "Expected `int`, got `str` (a key)", "$"),
            (Item, "", "no JSON: Input data was truncated", "$"),
            (Item, '{"name":"a', "no JSON: Input data was truncated", "$"),
            (Item, "Sure!", "no JSON: JSON is malformed: invalid character (byte 0)", "$"),
            (Item, '{"name":"\ud800"}', "no JSON: 'utf-8' codec can't encode", "$"),
            (list[int], '{"value":"\ud800"}', "no JSON: 'utf-8' codec can't encode", "$"),
            (Node, '{"value":1,"children":[' * 50_000, "no JSON: maximum recursion depth exceeded", "$"),
        ],
    )  # fmt: skip
    def test_what_does_not_fit(self, annotation, text, reason, path):
        """A reason and a path in the text as it came."""
        with pytest.raises(Mismatch) as caught:
            shape_of(annotation).decode(text)
        assert caught.value.reason.startswith(reason)
        assert caught.value.path == path
        assert caught.value.__suppress_context__

    def test_a_default_fills_in(self):
        """Where a server does not hold the model to the schema."""
        assert shape_of(Item).decode('{"name":"a","more":1}') == Item("a", 1.5)

    def test_without_pydantic_nothing_is_of_it(self, monkeypatch):
        """It is not imported to find out."""
        monkeypatch.delitem(sys.modules, "pydantic", raising=False)
        assert shape_of(list[Box[str]]).name == "list_Box_str"
        assert "pydantic" not in sys.modules

    def test_a_type_is_worked_out_once(self):
        """The same Shape serves all calls."""
        assert shape_of(list[Item]) is shape_of(list[Item])
        assert shape_of(Item).schema(strict=True) is shape_of(Item).schema(strict=True)


class TestTheRules:
    """The judge, judged: a schema that breaks one rule is found out."""

    @pytest.mark.parametrize(
        ("schema", "complaint"),
        [
            ({"type": "array", "items": {"type": "string"}}, "the root is no object"),
            ({"anyOf": [{"type": "null"}]}, "the root is no object"),
            ({"type": "object", "properties": {"a": {"type": "null"}}, "required": []}, "additionalProperties"),
            (
                {
                    "type": "object",
                    "properties": {"a": {"type": "null"}},
                    "required": [],
                    "additionalProperties": False,
                },
                "not all properties are required",
            ),
        ],
    )
    def test_at_the_root(self, schema, complaint):
        """Rules of objects."""
        assert any(complaint in found for found in violations(schema))

    @pytest.mark.parametrize(
        ("part", "complaint"),
        [
            ({}, "of the type None"),
            (True, "is no schema"),
            ({"type": "array"}, "is no schema"),
            ({"type": "string", "minLength": 1}, "minLength"),
            ({"type": "string", "format": "uri"}, "of the format uri"),
            ({"type": "string", "pattern": "(?=a)"}, "looks around"),
            ({"type": "string", "default": ""}, "default"),
            ({"$ref": "#/$defs/A", "description": "a"}, "beside $ref"),
            ({"$ref": "#/$defs/A"}, "leads nowhere"),
            ({"oneOf": [{"type": "string"}]}, "of the type None"),
            ({"anyOf": [{"type": "string"}], "type": "string"}, "beside anyOf"),
            ({"type": "string", "enum": [str(n) for n in range(1001)]}, "1001 values"),
            ({"type": "string", "const": "x" * 120_000}, "characters"),
        ],
    )
    def test_in_a_property(self, part, complaint):
        """Rules of all others."""
        schema = {"type": "object", "properties": {"a": part}, "required": ["a"], "additionalProperties": False}
        assert any(complaint in found for found in violations(schema))

    def test_of_size(self):
        """Properties and depth."""

        def nested(part, names="a"):
            properties = dict.fromkeys(names, part)
            return {
                "type": "object",
                "properties": properties,
                "required": list(names),
                "additionalProperties": False,
            }

        deep = {"type": "null"}
        for _ in range(11):
            deep = nested(deep)
        assert violations(deep) == ["$: objects 11 levels deep"]
        assert violations(deep["properties"]["a"]) == []
        many = [f"n{n}" for n in range(5001)]
        assert violations(nested({"type": "null"}, many)) == ["$: 5001 properties"]
