"""The tree of errors: drawn as it is, complete in pickles and copies, helpful in tracebacks."""

import copy
import inspect
import pickle
import re
import traceback

import pytest

from opeai_async import errors
from opeai_async.errors import (
    APIStatusError,
    APITimeoutError,
    BadRequestError,
    OpeAIError,
    RequestValidationError,
    StreamDecodeError,
    StreamError,
    StreamServerError,
    StreamTimeoutError,
    StreamTooLargeError,
)
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage, Choice
from opeai_async.types.meta import AttemptRecord

CLASSES = [getattr(errors, name) for name in errors.__all__]
PARTIAL = ChatCompletion(
    id="c1", choices=[Choice(message=ChatCompletionMessage(role="assistant", content="half"))], extra={"vendor": 1}
)
FACTS = {
    "attempts": (AttemptRecord(number=1, status_code=503, error="InternalServerError", elapsed_s=0.5),),
    "body": {"error": {"message": "no"}},
    "bytes": 1234,
    "code": "bad_thing",
    "column": 5,
    "content_type": "text/html",
    "events": 7,
    "excerpt": "<html>",
    "expected": "a value",
    "field": "messages[3].content",
    "finish_reason": "stop",
    "hint": "do it otherwise",
    "choice": 1,
    "completion": PARTIAL,
    "path": "$.days[0]",
    "reason": "Expected `int`, got `str`",
    "rejected": (PARTIAL,),
    "text": '{"days": ["two"]}',
    "limit": "max_event_bytes=10",
    "line": 3,
    "offset": 42,
    "param": "messages",
    "partial": PARTIAL,
    "pending": ("a",),
    "phase": "idle_bytes",
    "request_id": "req_1",
    "retry_after_s": 1.5,
    "headers": {"x-ratelimit-remaining-requests": "0"},
    "rule": "content_number",
    "status_code": 418,
    "timeout_s": 60.0,
    "type": "invalid_request_error",
    "usage": CompletionUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3),
}


def accepted_facts(cls: type[OpeAIError]) -> set[str]:
    """The keywords that *cls* takes, those included that it hands on to its bases."""
    names: set[str] = set()
    for base in cls.__mro__:
        if "__init__" not in vars(base) or not issubclass(base, OpeAIError):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        names |= {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return names


def full(cls: type[OpeAIError]) -> OpeAIError:
    """An error of *cls* with every fact set to something that is not its default."""
    error = cls("what went wrong", **{name: FACTS[name] for name in accepted_facts(cls)})
    error.add_note("seen in the night")
    return error


def drawn_parents(text: str) -> dict[str, str | None]:
    """Who stands below whom in a drawing made of ``+--`` and ``|``."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for line in re.findall(r"^    ((?:[| ]   )*(?:\+-- )?[A-Z]\w*)(?:\s|$)", text, re.MULTILINE):
        name = line.split()[-1]
        depth = (len(line) - len(name)) // 4
        path[depth:] = [name]
        parents[name] = path[depth - 1] if depth else None
    return parents


def test_the_drawing_is_the_tree():
    """The docstring shows every class below the base it really has."""
    parents = drawn_parents(errors.__doc__)
    assert set(parents) == set(errors.__all__)
    assert parents.pop("OpeAIError") is None
    assert parents == {cls.__name__: cls.__mro__[1].__name__ for cls in CLASSES if cls is not OpeAIError}


def test_a_drawing_that_lies_is_noticed():
    """The parser of the drawing sees depth, not order."""
    drawing = "    A\n    +-- B   text\n    |   +-- C\n    +-- D\n"
    assert drawn_parents(drawing) == {"A": None, "B": "A", "C": "B", "D": "A"}


def test_the_drawing_names_second_bases():
    """What an error also is, besides its place in the tree, is said beside it."""
    for cls in CLASSES:
        line = next(line for line in errors.__doc__.splitlines() if re.search(rf"(^ +|-- ){cls.__name__}\b", line))
        others = [base.__name__ for base in cls.__bases__[1:]]
        assert re.findall(r"also an? (\w+)", line) == others


def test_all_is_all():
    """Every error defined in the module is exported by it, and nothing else."""
    defined = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)}
    assert defined == set(errors.__all__)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_class_says_what_it_is(cls):
    """Each has a docstring of its own, which names the attributes it adds."""
    assert cls.__doc__
    assert cls.__doc__ != Exception.__doc__
    own = {name for name, parameter in inspect.signature(cls.__init__).parameters.items() if parameter.kind == 3}
    documented = "".join(base.__doc__ for base in cls.__mro__ if issubclass(base, OpeAIError))
    assert {name for name in own if name not in documented} == set()


@pytest.mark.parametrize("cls", CLASSES)
def test_the_hint_shows_below_the_traceback(cls):
    """Whoever sees only the traceback learns what to do."""
    error = full(cls)
    text = "".join(traceback.format_exception(error))
    assert text.rstrip().endswith("what went wrong\nhint: do it otherwise\nseen in the night")


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls is not OpeAIError])
def test_every_class_has_a_hint_of_its_own(cls):
    """No error leaves the reader alone, even if whoever raised it gave no hint."""
    error = cls("what went wrong")
    assert error.hint
    assert error.__notes__ == [f"hint: {error.hint}"]


def test_without_a_hint_there_is_no_note():
    """An empty hint leaves no empty line in the traceback."""
    error = BadRequestError("no", hint="")
    assert error.hint == ""
    assert not hasattr(error, "__notes__")


def test_a_hint_set_later_replaces_the_note():
    """The traceback never shows a hint which the error no longer has."""
    error = BadRequestError("no", hint="first")
    error.add_note("between")
    error.hint = "second"
    assert error.__notes__ == ["between", "hint: second"]
    error.hint = ""
    assert error.__notes__ == ["between"]


def duplicates(error):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.loads(pickle.dumps(error, protocol))
    yield copy.copy(error)
    yield copy.deepcopy(error)
    yield pickle.loads(pickle.dumps(ExceptionGroup("several", [error]))).exceptions[0]
    yield copy.deepcopy(ExceptionGroup("several", [error])).exceptions[0]


@pytest.mark.parametrize("cls", CLASSES)
def test_pickles_and_copies_are_whole(cls):
    """Type, text, every attribute and every note come through, alone and inside a group."""
    error = full(cls)
    names = accepted_facts(cls)
    assert {name: getattr(error, name) for name in names} == {name: FACTS[name] for name in names}
    for twin in duplicates(error):
        assert type(twin) is cls
        assert (str(twin), twin.args, vars(twin)) == (str(error), error.args, vars(error))
        assert twin.__notes__ == ["hint: do it otherwise", "seen in the night"]


@pytest.mark.parametrize("cls", CLASSES)
def test_pickles_of_errors_without_hint_stay_without(cls):
    """Unpickling does not bring the default hint back."""
    error = cls("what went wrong", hint="")
    for twin in duplicates(error):
        assert twin.hint == ""
        assert not hasattr(twin, "__notes__")


def test_a_copy_has_its_own_notes():
    """A note on the copy does not appear on the original."""
    error = BadRequestError("no")
    twin = copy.copy(error)
    twin.add_note("more")
    assert error.__notes__ == [f"hint: {error.hint}"]


class _Customised(RequestValidationError):
    """An application's own error, with an __init__ of another shape."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"{number}: {reason}", field="n")
        self.number = number


def test_a_subclass_with_other_arguments_pickles():
    """Unpickling does not call the __init__ of the class."""
    twin = pickle.loads(pickle.dumps(_Customised(3, "too many")))
    assert (str(twin), twin.number, twin.field) == ("3: too many", 3, "n")


@pytest.mark.parametrize(
    ("cls", "bases"),
    [
        (RequestValidationError, (ValueError,)),
        (errors.InvalidJSONError, (ValueError,)),
        (errors.ConcurrentReadError, (RuntimeError,)),
        (errors.ClientClosedError, (RuntimeError,)),
        (StreamTimeoutError, (StreamError, APITimeoutError, errors.APIConnectionError)),
        (errors.QuotaExceededError, (errors.RateLimitError, APIStatusError)),
    ],
)
def test_an_error_is_caught_by_what_it_also_is(cls, bases):
    """`except` clauses of either kind catch it."""
    for base in bases:
        with pytest.raises(base, match="what"):
            raise cls("what went wrong")


def test_facts_reach_their_attributes_through_the_bases():
    """Errors that hand keywords on lose none of them."""
    error = StreamTooLargeError("big", limit="a=1", pending=(1,), partial=PARTIAL, events=3)
    assert (error.limit, error.pending, error.partial, error.events) == ("a=1", (1,), PARTIAL, 3)
    decode = StreamDecodeError("odd", excerpt="{", rule="r", bytes=5, request_id="q")
    assert (decode.excerpt, decode.rule, decode.bytes, decode.request_id) == ("{", "r", 5, "q")
    server = StreamServerError("no", status_code=503, code="c", type="t", param="p", finish_reason="error")
    facts = (server.status_code, server.code, server.type, server.param, server.finish_reason)
    assert facts == (503, "c", "t", "p", "error")


@pytest.mark.parametrize("cls", CLASSES)
def test_the_repr_shows_the_message_only(cls):
    """Neither bodies nor partial answers get into a log line by way of repr."""
    assert repr(full(cls)) == f"{cls.__name__}('what went wrong')"
