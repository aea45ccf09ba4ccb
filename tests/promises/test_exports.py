"""What `opeai_async` exports is there, documented, and the same for type checkers as at runtime."""

import ast
import importlib
import importlib.util
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import opeai_async

SOURCE = ast.parse(Path(opeai_async.__file__).read_text(encoding="utf-8"))


def imported_for_type_checkers() -> Iterator[tuple[str, str, str]]:
    """(public name, module, name in the module) of each import below `if TYPE_CHECKING`."""
    for branch in SOURCE.body:
        if not (isinstance(branch, ast.If) and ast.unparse(branch.test).endswith("TYPE_CHECKING")):
            continue
        for statement in branch.body:
            assert isinstance(statement, ast.ImportFrom), ast.unparse(statement)
            module = importlib.util.resolve_name("." * statement.level + (statement.module or ""), "opeai_async")
            for alias in statement.names:
                yield alias.asname or alias.name, module, alias.name


FOR_TYPE_CHECKERS = {public: (module, name) for public, module, name in imported_for_type_checkers()}


def test_something_is_exported() -> None:
    """The other tests of this file have something to look at."""
    assert "AsyncOpeAI" in opeai_async.__all__
    assert len(set(opeai_async.__all__)) == len(opeai_async.__all__)


@pytest.mark.parametrize("name", opeai_async.__all__)
def test_an_export_resolves(name: str) -> None:
    assert getattr(opeai_async, name) is not None
    assert name in dir(opeai_async)


def test_type_checkers_and_the_runtime_see_the_same_names() -> None:
    """A name is imported below `if TYPE_CHECKING` if and only if it is exported (`__version__` is eager)."""
    assert set(FOR_TYPE_CHECKERS) == set(opeai_async.__all__) - {"__version__"}


@pytest.mark.parametrize("name", FOR_TYPE_CHECKERS)
def test_type_checkers_and_the_runtime_see_the_same_object(name: str) -> None:
    module, name_there = FOR_TYPE_CHECKERS[name]
    assert getattr(opeai_async, name) is getattr(importlib.import_module(module), name_there)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The error of a lazy package reads like that of any module."""
    with pytest.raises(AttributeError, match=r"module 'opeai_async' has no attribute 'Zzz'$") as caught:
        _ = opeai_async.Zzz
    assert caught.value.name == "Zzz"
    assert caught.value.obj is opeai_async


def test_a_name_of_another_client_is_told_what_it_is_here() -> None:
    """As an attribute, and by import."""
    with pytest.raises(AttributeError, match=r"no attribute 'NOT_GIVEN': leave the parameter out"):
        _ = opeai_async.NOT_GIVEN
    with pytest.raises(ImportError, match=r"cannot import name 'AsyncOpenAI' from 'opeai_async': it is called AsyncO"):
        from opeai_async import AsyncOpenAI  # noqa: F401
    with pytest.raises(ImportError, match="cannot import name 'Zzz' from 'opeai_async'"):
        from opeai_async import Zzz  # noqa: F401
    assert not hasattr(opeai_async, "OpenAI")


def is_documented(thing: object) -> bool:
    """Whether somebody wrote a docstring: what a dataclass makes up by itself is none."""
    doc = inspect.getdoc(thing) or ""
    return bool(doc) and not doc.startswith(f"{getattr(thing, '__name__', '')}(")


def public_methods(cls: type) -> Iterator[tuple[str, object]]:
    for name, member in vars(cls).items():
        if not name.startswith("_") and (inspect.isroutine(member) or isinstance(member, property | classmethod)):
            yield name, getattr(cls, name)


@pytest.mark.parametrize("name", opeai_async.__all__)
def test_an_export_is_documented(name: str) -> None:
    """Classes with their public methods and properties, and functions, say what the caller gets."""
    export = getattr(opeai_async, name)
    if inspect.isclass(export):
        assert "__doc__" in vars(export)
        assert is_documented(export)
        assert [method for method, thing in public_methods(export) if not is_documented(thing)] == []
    elif inspect.isroutine(export):
        assert is_documented(export)


def test_a_made_up_docstring_is_no_documentation() -> None:
    class Undocumented:
        def method(self) -> None: ...

        @property
        def value(self) -> int:
            return 1

    Undocumented.__doc__ = "Undocumented(value: int)"
    assert not is_documented(Undocumented)
    assert [name for name, thing in public_methods(Undocumented) if not is_documented(thing)] == ["method", "value"]
