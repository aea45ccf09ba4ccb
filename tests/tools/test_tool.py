"""A function as a tool: what the model is told of it, how it is called, and what comes back."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import pathlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import msgspec
import pytest

from opeai_async import ConfigurationError, RequestValidationError, Tool, ToolCall, ToolError, tool
from opeai_async._core.call.encode import encode_request
from opeai_async._tools.toolbox import Toolbox
from opeai_async.types.completion import CustomCall, FunctionCall
from opeai_async.types.request import CustomTool, CustomToolDefinition, FunctionDefinition, FunctionTool, TextPart

who: contextvars.ContextVar[str] = contextvars.ContextVar("who")


@tool
def forecast(city: str, days: Annotated[int, msgspec.Meta(ge=1, description="how many")] = 3) -> list[str]:
    """The weather to come.

    Args:
        city: Name of the city.
    """
    return [f"{city} {day}" for day in range(days)]


@tool(name="now", description="What time it is.", strict=False, timeout=2)
async def clock(zone: str = "utc") -> str:
    """Not told."""
    return f"12:00 {zone}"


def call_of(arguments: str, name: str = "f") -> ToolCall:
    return ToolCall(id="call_1", type="function", function=FunctionCall(name=name, arguments=arguments))


# --- what the model is told ------------------------------------------------------------------------------------------


def test_a_tool_is_told_by_its_types_and_its_docstring() -> None:
    """In strict form, with what that cannot say in words."""
    assert dict(forecast) == {
        "type": "function",
        "function": {
            "name": "forecast",
            "description": "The weather to come.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "Name of the city."},
                    "days": {"type": "integer", "minimum": 1, "description": "how many (default: 3)"},
                },
                "required": ["city", "days"],
                "additionalProperties": False,
            },
            "strict": True,
        },
    }
    assert (forecast.name, forecast.description, forecast.strict) == ("forecast", "The weather to come.", True)
    assert forecast.parameters == dict(forecast)["function"]["parameters"]


def test_a_tool_may_be_told_otherwise() -> None:
    assert dict(clock)["function"] == {
        "name": "now",
        "description": "What time it is.",
        "parameters": {
            "type": "object",
            "properties": {"zone": {"type": "string", "default": "utc"}},
            "required": [],
            "additionalProperties": False,
        },
    }
    assert clock.timeout == 2


def test_a_tool_without_a_docstring_has_no_description() -> None:
    made = Tool.from_function(lambda: None, name="none")
    assert "description" not in made.parameters
    assert made.description is None
    assert set(dict(made)["function"]) == {"name", "parameters", "strict"}


def test_a_tool_goes_into_any_request() -> None:
    """It is a mapping in the API's shape."""
    body = encode_request(
        {"model": "m", "messages": [{"role": "user", "content": "?"}], "tools": [clock]}, stream=False
    )
    assert msgspec.json.decode(body)["tools"] == [dict(clock)]
    assert list(clock) == ["type", "function"]
    assert len(clock) == 2
    assert clock["type"] == "function"


def test_a_tool_is_one_thing() -> None:
    """Two tools of the same definition are not the same."""
    assert Tool.from_function(forecast.function) != forecast
    assert len({forecast, clock, clock}) == 2
    assert [clock, forecast].index(forecast) == 1
    assert repr(forecast) == "<Tool forecast>"


# --- which functions -------------------------------------------------------------------------------------------------


def test_a_tool_is_called_as_the_function_was() -> None:
    """Also for what looks at signatures and names."""
    assert forecast("Oslo", days=2) == ["Oslo 0", "Oslo 1"]
    assert list(inspect.signature(forecast).parameters) == ["city", "days"]
    assert (forecast.__name__, forecast.__module__) == ("forecast", __name__)
    assert forecast.__doc__.startswith("The weather")
    coroutine = clock()
    assert asyncio.iscoroutine(coroutine)
    coroutine.close()


class Shop:
    """Where things are sold."""

    def __init__(self) -> None:
        self.sold: list[str] = []

    def sell(self, item: str) -> int:
        """Sell it."""
        self.sold.append(item)
        return len(self.sold)

    async def __call__(self, item: str) -> str:
        """Ask for it."""
        return f"no {item}"


async def test_bound_methods_partials_and_objects_are_tools() -> None:
    """Each by its own name, and without the arguments that it has already."""
    shop = Shop()
    assert (await Tool.from_function(shop.sell).answer(call_of('{"item": "tea"}'))).result == 1
    assert shop.sold == ["tea"]
    ask = Tool.from_function(shop)
    assert (ask.name, (await ask.answer(call_of('{"item": "tea"}'))).content) == ("Shop", "no tea")
    short = Tool.from_function(functools.partial(forecast.function, "Rome"))
    assert (short.name, list(short.parameters["properties"])) == ("forecast", ["days"])
    assert (await short.answer(call_of('{"days": 1}'))).content == '["Rome 0"]'


async def test_a_sync_function_that_returns_an_awaitable_is_awaited() -> None:
    """As one that another library's decorator has wrapped."""
    made = Tool.from_function(lambda: clock("cet"), name="wrapped")
    assert (await made.answer(call_of("{}"))).content == "12:00 cet"


def stream_out(n: int) -> Iterator[int]:
    yield from range(n)


async def stream_out_later(n: int) -> AsyncIterator[int]:
    yield n


class Rows:
    def __call__(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (stream_out, "stream_out cannot be a tool: it yields"),
        (stream_out_later, "it yields"),
        (functools.partial(stream_out, 1), "it yields"),
        (Rows(), "Rows cannot be a tool: it yields"),
        (Shop.sell, "Shop.sell cannot be a tool: it takes self"),
        ("forecast", "str cannot be a tool: it cannot be called"),
        (Shop, "it is a class"),
        (lambda free: free, "named '<lambda>'"),
        (max, "max cannot be a tool"),
    ],
)
def test_what_cannot_be_a_tool_is_refused(function: Any, reason: str) -> None:
    """When it is made, and not when the model calls it."""
    with pytest.raises(RequestValidationError) as caught:
        Tool.from_function(function)
    assert reason in str(caught.value)


def test_what_strict_mode_cannot_express_is_refused() -> None:
    """With the way out."""

    def note(tags: dict[str, str]) -> None: ...

    with pytest.raises(RequestValidationError, match="note cannot be a tool: the parameter 'tags'") as caught:
        tool(note)
    assert "strict=False" in caught.value.hint
    assert tool(strict=False)(note).parameters["properties"]["tags"]["type"] == "object"


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_limit_is_more_than_nothing(timeout: float) -> None:
    with pytest.raises(ConfigurationError, match="timeout is"):
        tool(timeout=timeout)(forecast.function)


# --- calling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ('{"city": 1, "days": 2}', "Expected `str`, got `int` - at $.city"),
        ('{"city": "Oslo", "days": 0}', "Expected `int` >= 1 - at $.days"),
        ('{"days": 2}', "Object missing required field `city` - at $"),
        ('{"city": "Oslo", "day": 2}', "Object contains unknown field `day` - at $"),
        ('{"city": "Os', "no JSON: Input data was truncated - at $"),
        ("Oslo", "no JSON: JSON is malformed: invalid character (byte 0) - at $"),
        ('["Oslo"]', "Expected `object`, got `array` - at $"),
        ("", "Object missing required field `city` - at $"),
        ('{"city": "\ud800"}', "no JSON: "),
    ],
)
async def test_arguments_that_do_not_fit_go_back_to_the_model(arguments: str, error: str) -> None:
    """With what was expected, what came, and where; the function is not called."""
    answer = await forecast.answer(call_of(arguments), on_error="raise")
    assert error in msgspec.json.decode(answer.content)["error"]
    assert answer.error == "invalid_arguments"


async def test_what_the_model_left_out_has_its_default() -> None:
    assert (await forecast.answer(call_of('{"city": "Oslo"}'))).result == ["Oslo 0", "Oslo 1", "Oslo 2"]


async def test_the_call_of_a_custom_tool_is_taken_by_its_input() -> None:
    """Some gateways send calls of functions so."""
    call = ToolCall(id="c", type="custom", custom=CustomCall(name="now", input='{"zone": "cet"}'))
    assert (await clock.answer(call)).content == "12:00 cet"


async def test_a_sync_tool_runs_in_a_thread_and_an_async_one_on_the_loop() -> None:
    """Both with the context variables of who calls them."""

    def there() -> list[str]:
        return [threading.current_thread().name, who.get()]

    async def here() -> list[str]:
        return [threading.current_thread().name, who.get()]

    who.set("Ada")
    in_thread = await Tool.from_function(there).answer(call_of("{}"))
    on_loop = await Tool.from_function(here).answer(call_of("{}"))
    assert in_thread.result[0] != threading.current_thread().name
    assert in_thread.result[1] == "Ada"
    assert on_loop.result == [threading.current_thread().name, "Ada"]


# --- failing ---------------------------------------------------------------------------------------------------------


@tool
def fail(how: str) -> Any:
    """Fail in one of several ways."""
    if how == "told":
        raise ToolError("there is no such city")
    if how == "no json":
        return object()
    raise LookupError("postgres://admin:hunter2@db")


async def test_an_exception_is_told_by_its_type() -> None:
    """Neither its text nor its traceback; this side has all of it."""
    answer = await fail.answer(call_of('{"how": "badly"}'))
    assert answer.content == '{"error":"The tool failed with LookupError."}'
    assert answer.error == "failed"
    assert "hunter2" in str(answer.exception)


@pytest.mark.parametrize("on_error", ["tell", "raise", lambda exc, call: "never"])
async def test_a_tool_error_is_told_as_it_is(on_error: Any) -> None:
    """Whatever becomes of other exceptions."""
    answer = await fail.answer(call_of('{"how": "told"}'), on_error=on_error)
    assert (answer.content, answer.error) == ('{"error":"there is no such city"}', "failed")


async def test_an_exception_may_be_raised() -> None:
    with pytest.raises(LookupError, match="hunter2"):
        await fail.answer(call_of('{"how": "badly"}'), on_error="raise")


async def test_a_function_may_decide_what_is_told() -> None:
    """Anything that a tool may return."""
    seen: list[tuple[type, str]] = []

    def on_error(exc: Exception, call: ToolCall) -> Any:
        seen.append((type(exc), call.id))
        return {"sorry": type(exc).__name__}

    answer = await fail.answer(call_of('{"how": "badly"}'), on_error=on_error)
    assert (answer.content, answer.error) == ('{"sorry":"LookupError"}', "failed")
    assert seen == [(LookupError, "call_1")]


async def test_what_the_function_raises_is_raised() -> None:
    def on_error(exc: Exception, call: ToolCall) -> Any:
        raise RuntimeError("enough") from exc

    with pytest.raises(RuntimeError, match="enough"):
        await fail.answer(call_of('{"how": "badly"}'), on_error=on_error)


async def test_a_result_without_a_json_form_is_told_as_that() -> None:
    """The tool has done its work: a model that is told of a failure would order a second time."""
    answer = await fail.answer(call_of('{"how": "no json"}'))
    assert answer.error is None
    assert "has done its work" in str(answer.content)
    assert "object has no JSON form" in str(answer.exception)
    with pytest.raises(TypeError, match="no JSON form"):
        await fail.answer(call_of('{"how": "no json"}'), on_error="raise")


class Markup(str):
    """As template engines have it."""

    __slots__ = ()


class Scalar:
    """As numpy has it."""

    def item(self) -> int:
        return 3


class Array:
    """As numpy has it; its ``item`` is for one value only."""

    def item(self) -> int:
        raise ValueError("can only convert an array of size 1")

    def tolist(self) -> list[int]:
        return [1, 2]


class Broken:
    """What raises when it is converted."""

    def tolist(self) -> list[int]:
        raise OSError("disk full")


@pytest.mark.parametrize(
    ("result", "content"),
    [
        ({"note": Markup("ok")}, '{"note":"ok"}'),
        ({"a": Scalar(), "b": Array()}, '{"a":3,"b":[1,2]}'),
        (pathlib.PurePosixPath("/tmp/a"), '"/tmp/a"'),
        (Array(), "[1,2]"),
        (["see", TextPart("this")], [TextPart("see"), TextPart("this")]),
    ],
)
async def test_results_of_other_libraries(result: Any, content: Any) -> None:
    """By the rule for requests."""

    def look() -> Any:
        return result

    assert (await Tool.from_function(look).answer(call_of("{}"))).content == content


async def test_a_result_that_raises_when_it_is_converted() -> None:
    """Whatever it raises."""

    def look() -> Any:
        return {"rows": Broken()}

    answer = await Tool.from_function(look).answer(call_of("{}"))
    assert (answer.error, type(answer.exception)) == (None, OSError)


async def test_an_async_on_error() -> None:
    """It may look something up before it says what to tell."""

    async def on_error(exc: Exception, call: ToolCall) -> str:
        await asyncio.sleep(0)
        return f"{call.function.name}: {type(exc).__name__}"

    answer = await fail.answer(call_of('{"how": "badly"}'), on_error=on_error)
    assert answer.content == "f: LookupError"


async def test_tool_errors_of_a_task_group() -> None:
    """What they say is told, of others their types."""

    async def ask(text: str) -> None:
        raise ToolError(text)

    async def book() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(ask("No seat is free."))

    async def book_both() -> None:
        raise ExceptionGroup("two", [ToolError("No seat is free."), ExceptionGroup("", [KeyError("password")])])

    answer = await Tool.from_function(book).answer(call_of("{}"), on_error="raise")
    assert (answer.content, answer.error) == ('{"error":"No seat is free."}', "failed")
    answer = await Tool.from_function(book_both).answer(call_of("{}"))
    assert answer.content == '{"error":"No seat is free. The tool failed with ExceptionGroup."}'


class TestContext:
    """What the application gives."""

    async def test_it_is_given_and_not_told(self) -> None:
        async def mail(q: str, user: object, db: Nowhere) -> str:  # type: ignore[name-defined]  # noqa: F821
            return f"{q} {user}"

        made = Tool.from_function(mail, context={"user": 7, "db": object()})
        assert list(made.parameters["properties"]) == ["q"]
        assert (await made.answer(call_of('{"q":"x"}'))).content == "x 7"
        assert (await made.answer(call_of('{"q":"x","user":1}'))).error == "invalid_arguments"
        assert await made("y") == "y 7"

    async def test_of_a_tool(self) -> None:
        """A tool that was made before, bound for one request."""

        @tool(description="Reads mail.")
        async def mail(q: str, user: int = 0) -> str:
            return f"{q} {user}"

        made = Tool.from_function(mail, context={"user": 7})
        assert (made.name, made.description, list(made.parameters["properties"])) == ("mail", "Reads mail.", ["q"])
        assert (await made.answer(call_of('{"q":"x"}'))).content == "x 7"

    def test_a_name_that_there_is_not(self) -> None:
        def mail(q: str, /, user: int) -> None: ...

        with pytest.raises(RequestValidationError, match=r"context has 'usr', expected .* by name: user"):
            Tool.from_function(mail, context={"usr": 7})
        with pytest.raises(RequestValidationError, match="context has 'q'"):
            Tool.from_function(mail, context={"q": 7})


async def test_a_default_that_fails_while_decoding_is_a_failure_too() -> None:
    """A type of the user's own may run any code."""

    class Odd(msgspec.Struct):
        n: int

        def __post_init__(self) -> None:
            raise ZeroDivisionError

    def take(odd: Any) -> None: ...

    take.__annotations__["odd"] = Odd
    assert (await Tool(take).answer(call_of('{"odd": {"n": 1}}'))).error == "failed"


# --- limits ----------------------------------------------------------------------------------------------------------


@tool(timeout=0.01)
async def sleep(result: str = "") -> str:
    """Take long."""
    await asyncio.sleep(60)
    return result


async def test_a_tool_that_takes_too_long_is_cancelled() -> None:
    """Its own limit goes before the run's."""
    answer = await sleep.answer(call_of("{}"), limit_s=60)
    assert answer.content == '{"error":"The tool was stopped, because it took longer than 0.01 s."}'
    assert answer.error == "timeout"
    assert isinstance(answer.exception, TimeoutError)


async def test_a_thread_that_takes_too_long_is_not_waited_for() -> None:
    go_on = threading.Event()
    try:
        answer = await Tool(lambda: go_on.wait(30), name="wait").answer(call_of("{}"), limit_s=0.01)
        assert answer.error == "timeout"
    finally:
        go_on.set()


async def test_a_thread_cannot_be_cancelled_and_runs_to_its_end() -> None:
    """Who called it goes on at once; nobody looks at the result."""
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        go_on.wait(30)
        ended.set()

    task = asyncio.create_task(Tool.from_function(wait).answer(call_of("{}")))
    try:
        assert await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert not ended.is_set()
    finally:
        go_on.set()
    assert await asyncio.to_thread(ended.wait, 30)


async def test_a_timeout_goes_the_way_of_exceptions() -> None:
    with pytest.raises(TimeoutError):
        await sleep.answer(call_of("{}"), on_error="raise")
    answer = await sleep.answer(call_of("{}"), on_error=lambda exc, call: "later")
    assert (answer.content, answer.error) == ("later", "timeout")


async def test_a_timeout_of_the_tools_own_is_a_failure() -> None:
    async def ask() -> None:
        raise TimeoutError

    assert (await Tool.from_function(ask).answer(call_of("{}"), limit_s=60)).error == "failed"


# --- many ------------------------------------------------------------------------------------------------------------


def test_a_toolbox_tells_apart_what_it_runs_and_what_it_does_not() -> None:
    """A definition without a function is the caller's; a tool of the server has no name at all."""
    lookup = {"type": "function", "function": {"name": "lookup"}}
    shell = CustomTool(custom=CustomToolDefinition(name="shell"))
    wait = FunctionTool(function=FunctionDefinition(name="wait"))
    patch = {"type": "custom", "custom": {"name": "patch"}}
    search = {"type": "web_search", "function": "none"}
    box = Toolbox([forecast, clock, lookup, shell, wait, patch, search])
    assert box.params == [forecast, clock, lookup, shell, wait, patch, search]
    for name in ("lookup", "shell", "wait", "patch"):
        assert box.answer(call_of("{}", name), on_error="tell", limit_s=None) is None
    for name in ("forecast", "now", "nonsense"):
        assert box.answer(call_of("{}", name), on_error="tell", limit_s=None) is not None


async def test_an_unknown_tool_is_told() -> None:
    work = Toolbox([clock]).answer(call_of("{}", "clock"), on_error="raise", limit_s=None)
    assert work is not None
    assert (await work()).content == '{"error":"There is no tool named \'clock\'. The tools are: now."}'


@pytest.mark.parametrize("second", [forecast.function, {"type": "function", "function": {"name": "forecast"}}])
def test_two_tools_of_one_name_are_refused(second: Any) -> None:
    """The first is as good as the second: nobody could tell which was meant."""
    for tools in ([forecast, second], [second, forecast]):
        with pytest.raises(RequestValidationError, match="two tools are named 'forecast'"):
            Toolbox(tools)
