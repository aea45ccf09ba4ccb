"""What is public stays where it is imported from, whichever folder it is written in."""

import importlib
import pickle
import subprocess
import sys

import msgspec
import pytest

import opeai_async
from opeai_async import OpeAIError
from opeai_async._public import PUBLIC

EXPORTS = {name: getattr(opeai_async, name) for name in opeai_async.__all__}
CLASSES = {name: export for name, export in EXPORTS.items() if isinstance(export, type)}


def test_each_name_is_listed_once() -> None:
    """The list for the first use and the exports are the same."""
    listed = [name for names in PUBLIC.values() for name in names.split()]
    assert sorted(listed) == sorted(set(opeai_async.__all__) - {"__version__"})


@pytest.mark.parametrize("name", CLASSES)
def test_a_public_class_says_where_it_is_imported_from(name: str) -> None:
    """So tracebacks show names that a program can import, and pickles survive a move of the module."""
    cls = CLASSES[name]
    assert (cls.__module__, cls.__qualname__) == ("opeai_async", name)
    assert pickle.loads(pickle.dumps(cls)) is cls
    assert b"opeai_async." not in pickle.dumps(cls)


@pytest.mark.parametrize("name", [name for name, cls in CLASSES.items() if issubclass(cls, msgspec.Struct)])
def test_the_fields_of_a_struct_resolve(name: str) -> None:
    """msgspec looks names in annotations up in the module that a Struct names, so there are none to look up."""
    msgspec.inspect.type_info(CLASSES[name])


def test_an_error_goes_to_a_process_that_has_loaded_nothing() -> None:
    """A pickled error and its facts are readable by a program that imports only pickle."""
    error = opeai_async.StreamInterruptedError("cut", request_id="r1")
    code = "import pickle, sys; e = pickle.load(sys.stdin.buffer); print(type(e).__module__, e.request_id, e)"
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(error), capture_output=True, check=True)
    assert done.stdout.split() == [b"opeai_async", b"r1", b"cut"]
    assert isinstance(error, OpeAIError)


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("opeai_async.errors", "OpeAIError StreamError InvalidOutputError OutputTruncatedError"),
        ("opeai_async.redis_store", "RedisStore"),
        ("opeai_async.testing", "FAULTS QUIRKS Endpoint OpeAIServer ScriptedTransport"),
        ("opeai_async.testing.pytest", "opeai_server"),
        ("opeai_async.types.events", "ContentDeltaEvent RoundStartedEvent"),
        ("opeai_async.types.request", "CompletionParams"),
    ],
)
def test_a_door(module: str, names: str) -> None:
    """These modules are public too."""
    for name in names.split():
        assert hasattr(importlib.import_module(module), name), name
