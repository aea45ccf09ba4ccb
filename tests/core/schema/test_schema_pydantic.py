"""Types of pydantic as JSON, where pydantic was imported: as other types are."""

import datetime
import decimal
from typing import Literal

import jsonschema
import msgspec
import pytest

from opeai_async._core.schema.schema import Mismatch, shape_of
from opeai_async.errors import RequestValidationError
from tests.support.reading.strict_rules import violations

pydantic = pytest.importorskip("pydantic")


class Town(pydantic.BaseModel):
    """A place."""

    name: str = pydantic.Field(min_length=1, description="In Finnish.")
    size: int | None = None
    price: decimal.Decimal = decimal.Decimal(0)


class Circle(pydantic.BaseModel):
    kind: Literal["circle"]
    radius: float


class Square(pydantic.BaseModel):
    kind: Literal["square"]
    side: float = 1.0


class Drawing(pydantic.BaseModel):
    shape: Circle | Square = pydantic.Field(discriminator="kind")
    towns: list[Town] = []
    when: datetime.datetime
    web: pydantic.HttpUrl | None = None


class Tree(pydantic.BaseModel):
    value: int
    children: list["Tree"] = []


class Odd:
    """Of no kind that pydantic knows."""


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (Town, '{"name":"Oulu","size":2,"price":"1.50"}'),
        (Drawing, '{"shape":{"kind":"square","side":2},"towns":[],"when":"2026-02-03T04:05:06Z","web":null}'),
        (Tree, '{"value":1,"children":[{"value":2,"children":[]}]}'),
    ],
)
def test_a_model(model, text):
    """Its schema keeps the rules, and a text becomes one."""
    shape = shape_of(model)
    schema = shape.schema(strict=True)
    assert violations(schema) == []
    jsonschema.validate(msgspec.json.decode(text), schema)
    assert type(shape.decode(text)) is model
    assert not shape.is_wrapped
    assert shape.name == model.__name__


def test_what_strict_mode_does_not_know_is_told():
    """Limits of length, and defaults."""
    properties = shape_of(Town).schema(strict=True)["properties"]
    assert properties["name"] == {"type": "string", "title": "Name", "description": "In Finnish. (minLength: 1)"}
    assert properties["price"]["description"] == '(default: "0")'


def test_types_made_of_models():
    """Lists and unions of them, wrapped as others are; dataclasses of pydantic too."""
    towns = shape_of(list[Town])
    assert violations(towns.schema(strict=True)) == []
    assert towns.decode('{"value":[{"name":"Oulu"}]}') == [Town(name="Oulu")]
    either = shape_of(Circle | Square)
    assert violations(either.schema(strict=True)) == []
    assert either.decode('{"value":{"kind":"square"}}') == Square(kind="square")

    @pydantic.dataclasses.dataclass
    class Span:
        days: int

    assert shape_of(Span).decode('{"days":2}').days == 2


@pytest.mark.parametrize(
    ("text", "reason", "path"),
    [
        ('{"name":"","size":2}', "String should have at least 1 character", "$.name"),
        ('{"size":2}', "Field required", "$.name"),
        ('{"name":', "Invalid JSON", "$"),
        ('{"name":"\ud800"}', "Input should be a valid string", "$"),
    ],
)
def test_what_does_not_fit(text, reason, path):
    """Said as of other types."""
    with pytest.raises(Mismatch) as caught:
        shape_of(Town).decode(text)
    assert caught.value.reason.startswith(reason)
    assert caught.value.path == path


def test_a_place_in_a_list():
    """The path is that in the text."""
    with pytest.raises(Mismatch) as caught:
        shape_of(list[Town]).decode('{"value":[{"name":"a"},{"name":5}]}')
    assert caught.value.path == "$.value[1].name"


def test_what_pydantic_does_not_know():
    """It is refused, as what msgspec does not know."""
    with pytest.raises(RequestValidationError, match="has no JSON form: Unable to generate pydantic-core schema"):
        shape_of(Town | Odd)


def test_free_keys():
    """Strict mode has none, whoever declares them."""
    with pytest.raises(RequestValidationError, match="free keys"):
        shape_of(dict[str, Town]).schema(strict=True)
