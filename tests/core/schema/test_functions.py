"""Functions as a model sees them: their names, what they are for, their parameters, and arguments decoded."""

import dataclasses
import datetime
import functools
from typing import Annotated, Any, Literal

import jsonschema
import msgspec
import pytest
from msgspec import Meta

from opeai_async._core.schema.functions import function_schema
from opeai_async._core.schema.schema import Mismatch
from opeai_async.errors import RequestValidationError


class Place(msgspec.Struct):
    """Where it is."""

    city: str
    country: str = "Finland"


@dataclasses.dataclass
class Span:
    days: int


def forecast(
    place: Place,
    when: datetime.date,
    unit: Annotated[Literal["C", "F"], Meta(description="Of the temperatures.")] = "C",
    hours: list[int] = [6, 12],  # noqa: B006 - a mutable default is told as any other
    span: Span | None = None,
):
    """Tell the weather.

    It may be wrong.

    Args:
        place: Where.
        unit: Is not what this says.
        span: For how long.
    """


def test_a_function_is_described():
    """Name, description, types, descriptions and defaults come from where Python has them."""
    name, description, parameters, _ = function_schema(forecast)
    assert (name, description) == ("forecast", "Tell the weather.\n\nIt may be wrong.")
    jsonschema.Draft202012Validator.check_schema(parameters)
    assert parameters == {
        "type": "object",
        "properties": {
            "place": {"$ref": "#/$defs/Place", "description": "Where."},
            "when": {"type": "string", "format": "date"},
            "unit": {"enum": ["C", "F"], "description": "Of the temperatures.", "default": "C"},
            "hours": {"type": "array", "items": {"type": "integer"}, "default": [6, 12]},
            "span": {"anyOf": [{"$ref": "#/$defs/Span"}, {"type": "null"}], "description": "For how long."},
        },
        "required": ["place", "when"],
        "additionalProperties": False,
        "$defs": {
            "Place": {
                "type": "object",
                "title": "Place",
                "description": "Where it is.",
                "properties": {"city": {"type": "string"}, "country": {"type": "string", "default": "Finland"}},
                "required": ["city"],
            },
            "Span": {
                "type": "object",
                "title": "Span",
                "properties": {"days": {"type": "integer"}},
                "required": ["days"],
            },
        },
    }


def test_strict_mode_requires_every_argument():
    """A default is told in words then."""
    parameters = function_schema(forecast, strict=True).parameters
    assert parameters["required"] == list(parameters["properties"])
    assert parameters["properties"]["unit"] == {
        "type": "string",
        "enum": ["C", "F"],
        "description": 'Of the temperatures. (default: "C")',
    }


def test_arguments_are_decoded_to_their_types():
    """What the model left out is left to the function's own defaults."""
    decode = function_schema(forecast).decode
    assert decode('{"place":{"city":"Oulu"},"when":"2026-02-03","span":{"days":2}}') == {
        "place": Place("Oulu"),
        "when": datetime.date(2026, 2, 3),
        "span": Span(2),
    }


@pytest.mark.parametrize(
    ("text", "reason", "path"),
    [
        ('{"when":"2026-02-03"}', "Object missing required field `place`", "$"),
        ('{"place":{"city":5},"when":"2026-02-03"}', "Expected `str`, got `int`", "$.place.city"),
        ('{"place":{"city":"a"},"when":"2026-02-03","hours":[1,"2"]}', "Expected `int`, got `str`", "$.hours[1]"),
        ('{"place":{"city":"a"},"when":"2026-02-03","temp":1}', "Object contains unknown field `temp`", "$"),
        ('{"place":', "no JSON: Input data was truncated", "$"),
        ("[]", "Expected `object`, got `array`", "$"),
    ],
)
def test_arguments_that_do_not_fit(text, reason, path):
    """A path and a reason, which a model understands too."""
    with pytest.raises(Mismatch) as caught:
        function_schema(forecast).decode(text)
    assert (caught.value.reason, caught.value.path) == (reason, path)
    assert str(caught.value) == (reason if path == "$" else f"{reason}, at {path}")


@pytest.mark.parametrize("text", ["", "  ", "{}"])
def test_a_function_without_parameters(text):
    """Models send no text at all for it, or an empty object."""

    def now():
        pass

    name, description, parameters, decode = function_schema(now)
    assert (name, description) == ("now", "")
    assert parameters == {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    assert decode(text) == {}


def test_what_the_caller_gives_is_not_told():
    """A context is the caller's business."""

    def save(context: object, text: str):
        pass

    found = function_schema(functools.partial(save, context=object()))
    assert list(found.parameters["properties"]) == ["text"]


def test_names_that_only_type_checkers_know():
    """They are in the way of nobody who does not need them."""

    def save(context: "Context", text: str) -> "Receipt":  # noqa: F821
        pass

    assert list(function_schema(functools.partial(save, context=object())).parameters["properties"]) == ["text"]
    with pytest.raises(RequestValidationError, match="name 'Context' is not defined"):
        function_schema(save)


def test_parameters_without_annotations_take_anything():
    """As long as nothing strict is asked for."""

    def show(thing):
        pass

    assert function_schema(show).parameters["properties"] == {"thing": {}}
    assert function_schema(show).decode('{"thing":[1]}') == {"thing": [1]}
    with pytest.raises(RequestValidationError, match="show cannot be a tool: the parameter 'thing' is anything"):
        function_schema(show, strict=True)


NOTHING = object()


class Shop:
    """Sells."""

    def price(self, item: str) -> int:
        """What it costs."""
        return len(item)

    def __call__(self, item: str) -> None:
        """Buy it."""


def wrapped(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


@pytest.mark.parametrize(
    ("function", "name", "description"),
    [
        (Shop().price, "price", "What it costs."),
        (Shop(), "Shop", "Sells."),
        (functools.partial(Shop.price, Shop()), "price", "What it costs."),
        (wrapped(Shop().price), "price", "What it costs."),
    ],
    ids=["method", "object", "partial", "decorated"],
)
def test_other_callables(function, name, description):
    """What is bound already is not told."""
    found = function_schema(function)
    assert (found.name, found.description) == (name, description)
    assert found.parameters["properties"] == {"item": {"type": "string"}}
    assert found.decode('{"item":"pen"}') == {"item": "pen"}


class Database:
    """Has no JSON form, and its name means nothing to a model."""

    async def order(self, item: str, count: int, table: "Database"):
        """Order something.

        Args:
            item: What.
            count: How many.
            table: Where to.
        """

    __call__ = order


@pytest.mark.parametrize(
    "bound",
    [
        functools.partial(Database().order, count=2, table=Database()),
        functools.partial(functools.partial(Database().order, count=2), table=Database()),
        functools.partial(Database.order, Database(), count=2, table=Database()),
        functools.partial(Database(), count=2, table=Database()),
        wrapped(functools.partial(Database().order, count=2, table=Database())),
        functools.partial(wrapped(Database().order), count=2, table=Database()),
    ],
    ids=["method", "partial of a partial", "by position", "object", "decorated", "partial of a decorated"],
)
def test_what_a_partial_has_bound_is_not_the_models(bound):
    """The model is not told of it, and cannot give it."""
    found = function_schema(bound, name="order", strict=True)
    assert list(found.parameters["properties"]) == ["item"]
    assert "count" not in str(found.parameters)
    assert found.decode('{"item":"pen"}') == {"item": "pen"}
    with pytest.raises(Mismatch, match="`count`"):
        found.decode('{"item":"pen","count":9}')


def test_a_default_that_is_no_json():
    """It is not told, and it is the function's own."""

    def count(step: Any = NOTHING, limit: float = 1.5):
        pass

    found = function_schema(count)
    assert found.parameters["properties"] == {"step": {}, "limit": {"type": "number", "default": 1.5}}
    assert found.decode("{}") == {}


def test_another_name():
    """For functions that have none of their own, or one that no API takes."""
    assert function_schema(lambda: None, name="nothing").name == "nothing"


def positional_only(a: int, /):
    pass


def many(*values: int):
    pass


def named(**values: int):
    pass


def unknown(a: "Nowhere"):  # noqa: F821
    pass


def odd(fine: int, bad: complex):
    pass


def clash(a: Place | Span):
    pass


def naïve():
    pass


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (positional_only, "positional_only cannot be a tool: the parameter 'a' cannot be given by name"),
        (many, r"many cannot be a tool: \*values: int takes any number of arguments"),
        (named, r"named cannot be a tool: \*\*values: int takes any number of arguments"),
        (unknown, "unknown cannot be a tool: its parameters cannot be known: name 'Nowhere' is not defined"),
        (odd, "odd cannot be a tool: the parameter 'bad': complex has no JSON form: type <class 'complex'>"),
        (clash, "clash cannot be a tool: the parameter 'a': .*union"),
        (naïve, "a function is named 'naïve', expected at most 64 letters"),
        (lambda: None, "a function is named '<lambda>'"),
        (Shop, "Shop cannot be a tool: it is a class"),
        (dict.fromkeys, "fromkeys cannot be a tool"),
        (5, "int cannot be a tool: its parameters cannot be known: 5 is not a callable"),
    ],
)
def test_what_cannot_be_a_tool(function, message):
    """The refusal names the function, the parameter, and what to do."""
    with pytest.raises(RequestValidationError, match=message) as caught:
        function_schema(function)
    assert caught.value.hint
    assert caught.value.__cause__ is None


def test_an_alias_of_a_parameter():
    """A function is called by the names of its parameters, so it is refused and not passed over."""
    pydantic = pytest.importorskip("pydantic")

    def in_annotated(days: Annotated[int, pydantic.Field(alias="n")]):
        pass

    def in_default(days: int = pydantic.Field(3, validation_alias="n")):
        pass

    for function in (in_annotated, in_default):
        with pytest.raises(RequestValidationError, match="the parameter 'days' has an alias"):
            function_schema(function)


def test_pydantic_models_as_arguments():
    """Where pydantic is used, its models are arguments like any other."""
    pydantic = pytest.importorskip("pydantic")

    class Town(pydantic.BaseModel):
        name: str

    def visit(town: Town, days: Annotated[int, pydantic.Field(ge=1)] = 3, more: list[Town] = []):  # noqa: B006
        """Go there.

        :param town: Where to.
        """

    _, description, parameters, decode = function_schema(visit)
    assert description == "Go there."
    jsonschema.Draft202012Validator.check_schema(parameters)
    assert parameters["required"] == ["town"]
    assert parameters["additionalProperties"] is False
    assert parameters["properties"]["town"] == {"$ref": "#/$defs/Town", "description": "Where to."}
    assert parameters["properties"]["days"]["default"] == 3
    assert decode('{"town":{"name":"Oulu"},"days":2}') == {"town": Town(name="Oulu"), "days": 2}
    with pytest.raises(Mismatch, match=r"at \$\.town\.name") as caught:
        decode('{"town":{"name":5}}')
    assert caught.value.path == "$.town.name"
    with pytest.raises(Mismatch, match="`tow`"):
        decode('{"town":{"name":"Oulu"},"tow":1}')
    assert function_schema(visit, strict=True).parameters["required"] == ["town", "days", "more"]


def test_an_argument_that_nobody_knows():
    """It is named, also beside one of pydantic's."""
    pydantic = pytest.importorskip("pydantic")

    class Town(pydantic.BaseModel):
        name: str

    def visit(town: Town, shop: Shop):
        pass

    with pytest.raises(RequestValidationError, match="visit cannot be a tool: the parameter 'shop': Shop has no JSON"):
        function_schema(visit)
