"""Functions as tools that a model may call.

A tool is a function with a description for the model. It is called as before; and it is a mapping in the API's shape,
so it also goes into ``tools=`` of ``create`` and ``stream``, where the calls are left to you. ``run`` calls it.

A function, a bound method, a ``functools.partial`` or an object with ``__call__`` can be a tool, sync or async; a
generator cannot, because a result is sent whole.

=======  ===========================================================  ==============================================
a tool   runs in                                                      when a call is ended before its time
=======  ===========================================================  ==============================================
async    the event loop                                               it is cancelled
sync     a worker thread of anyio (its limiter allows 40 at a time)   the thread runs to its end, unheard
=======  ===========================================================  ==============================================

Both see the context variables of the task that reads the run. A process ends only when its threads have ended, so write
sync tools that end.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, ParamSpec, TypeAlias, TypeGuard, TypeVar, cast, overload

from anyio import to_thread

from opeai_async._core.json import JSONObject
from opeai_async._core.schema.functions import FunctionSchema, function_schema, schema_from_elsewhere
from opeai_async._core.schema.schema import Mismatch
from opeai_async._core.schema.tool_results import (
    ToolAnswer,
    answer_with,
    content_of,
    failed,
    told_by,
    too_slow,
    wrong_arguments,
)
from opeai_async._public import claim
from opeai_async.errors import ConfigurationError, RequestValidationError
from opeai_async.types.completion import ToolCall
from opeai_async.types.request import ToolParam
from opeai_async.types.run_options import OnToolError

P = ParamSpec("P")
Q = ParamSpec("Q")
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")

NeedsApproval: TypeAlias = bool | Callable[[ToolCall], bool]


class Tool(Mapping[str, object], Generic[P, R_co]):
    """A function that a model may call. Made by ``@tool`` and ``Tool.from_function``.

    Attributes:
        function: The function that is called.
        name: The name for the model: at most 64 letters, digits, ``_`` and ``-``.
        description: The text for the model that says what the tool does; None for none.
        parameters: JSON Schema of its arguments.
        strict: True if the schema has the form of strict mode, and the server makes the model keep to it.
        timeout: Seconds that one call may take; None for the run's own limit.
        needs_approval: True if somebody must approve each call before a run makes it; or a function that tells so of a
            call.
    """

    def __init__(
        self,
        function: Callable[P, R_co],
        *,
        name: str | None = None,
        description: str | None = None,
        strict: bool = True,
        timeout: float | None = None,
        context: Mapping[str, object] | None = None,
        needs_approval: NeedsApproval = False,
    ) -> None:
        _check_callable(function)
        if is_tool(function):  # made once, and bound or named for a request
            made: Tool[..., Any] = function
            name, timeout = name or made.name, timeout if timeout is not None else made.timeout
            description = description if description is not None else made.description
            needs_approval = needs_approval or made.needs_approval
            function = made.function
        if context:
            _check_context(function, context)
            given: dict[str, Any] = dict(context)
            function = cast("Callable[P, R_co]", functools.partial(cast("Callable[..., R_co]", function), **given))
        schema = function_schema(function, name=name, strict=strict)
        self._set_up(function, schema, description, strict=strict, timeout=timeout, needs_approval=needs_approval)

    def _set_up(
        self,
        function: Callable[P, R_co],
        schema: FunctionSchema,
        description: str | None,
        *,
        strict: bool,
        timeout: float | None,
        needs_approval: NeedsApproval,
    ) -> None:
        _check_callable(function)
        if timeout is not None and not timeout > 0:
            raise ConfigurationError(f"timeout is {timeout!r}, expected seconds, more than 0")
        functools.update_wrapper(self, function)
        self.function: Callable[P, R_co] = function
        self.name: str = schema.name
        self.description: str | None = description if description is not None else schema.description or None
        self.parameters: JSONObject = schema.parameters
        self.strict: bool = strict
        self.timeout: float | None = timeout
        self.needs_approval: NeedsApproval = needs_approval
        # Reads and checks arguments as JSON; raises Mismatch.
        self._decode = schema.decode
        self._param = _param(self)

    @staticmethod
    def from_function(
        function: Callable[Q, R],
        *,
        name: str | None = None,
        description: str | None = None,
        strict: bool = True,
        timeout: float | None = None,
        context: Mapping[str, object] | None = None,
        needs_approval: NeedsApproval = False,
    ) -> Tool[Q, R]:
        """Make the tool that calls *function*; its type hints and its docstring describe it to the model.

        ``Annotated`` describes a parameter and its bounds (``msgspec.Meta``, ``pydantic.Field``, ``annotated_types``,
        ``Doc``, or a text), or the docstring does, in Google, NumPy or reST style. A default is part of the schema;
        with *strict*, the model must give every argument all the same.

        Args:
            function: Any callable that takes its arguments by name.
            name: A name in place of the function's own.
            description: A text in place of the docstring.
            strict: True to make the model keep to the schema; some types, such as ``dict``, have no strict form.
            timeout: Seconds that one call may take, in place of the run's limit.
            needs_approval: True if somebody must approve each call before it is run, or a function that tells so of a
                call: a run then ends with the reason ``"approval"``, see ``Completions.run``.
            context: Arguments that the application gives, by name, such as the user or a database connection: the model
                does not see them, and cannot give them. So it is with those that a ``functools.partial`` has bound.

        Raises:
            RequestValidationError: If it cannot be a tool; the message names the parameter, and says why.
            ConfigurationError: If *timeout* is not more than 0.
        """
        return Tool(
            function,
            name=name,
            description=description,
            strict=strict,
            timeout=timeout,
            context=context,
            needs_approval=needs_approval,
        )

    @staticmethod
    def from_schema(
        name: str,
        parameters: Mapping[str, Any],
        function: Callable[..., R],
        *,
        description: str | None = None,
        strict: bool = False,
        timeout: float | None = None,
        needs_approval: NeedsApproval = False,
    ) -> Tool[..., R]:
        """Make a tool whose schema comes from elsewhere, such as OpenAPI or MCP.

        Args:
            name: At most 64 letters, digits, ``_`` and ``-``.
            parameters: JSON Schema of an object: it is sent to the model, and its arguments are checked against it
                (types, required and unknown properties, enums, choices; not patterns and bounds).
            function: A function that is called with the arguments by name, as JSON decodes; sync or async.
            description: The text for the model that says what the tool does.
            strict: True if the server shall make the model keep to the schema, which must have the form of strict mode.
            timeout: Seconds that one call may take, in place of the run's limit.
            needs_approval: As for ``from_function``.

        Raises:
            RequestValidationError: If the name or the schema cannot be used.
            ConfigurationError: If *timeout* is not more than 0.
        """
        made = cast("Tool[..., R]", object.__new__(Tool))
        schema = schema_from_elsewhere(name, parameters, description or "")
        made._set_up(function, schema, description, strict=strict, timeout=timeout, needs_approval=needs_approval)
        return made

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function, as before it became a tool."""
        return self.function(*args, **kwargs)

    async def answer(
        self, call: ToolCall, *, on_error: OnToolError = "tell", limit_s: float | None = None
    ) -> ToolAnswer:
        """Run the function for *call*; the answer's ``content`` is for the model, also if it is an error.

        Args:
            call: A call from a message's ``tool_calls``.
            on_error: ``"tell"`` describes an exception to the model, ``"raise"`` raises it; or a function of it.
            limit_s: Seconds that it may take, unless the tool has a limit of its own.
        """
        limit_s = self.timeout if self.timeout is not None else limit_s
        limit = asyncio.timeout(limit_s)
        try:
            arguments = self._decode(call.custom.input if call.custom is not None else call.function.arguments)
            async with limit:
                result = await self._result(arguments)
        except Mismatch as exc:
            return wrong_arguments(exc)
        except Exception as exc:  # a tool may raise anything
            if (text := told_by(exc)) is not None:
                return failed(exc, text)
            if on_error == "raise":
                raise
            if on_error != "tell":
                said = on_error(exc, call)
                content = content_of(await said if inspect.isawaitable(said) else said)
                return ToolAnswer(content, "timeout" if limit.expired() else "failed", exception=exc)
            return too_slow(exc, limit_s or 0.0) if limit.expired() else failed(exc)
        answer = answer_with(result)
        if answer.exception is not None and on_error == "raise":
            raise answer.exception
        return answer

    def takes(self, call: ToolCall) -> bool:
        """Tell whether the arguments of *call* fit."""
        try:
            self._decode(call.custom.input if call.custom is not None else call.function.arguments)
        except Mismatch:
            return False
        return True

    async def _result(self, arguments: dict[str, Any]) -> Any:
        # Not in asyncio's default executor, where a slow tool would hold up lookups of names.
        function: Callable[..., Any] = self.function
        if _is_async(function):
            return await function(**arguments)
        result = await to_thread.run_sync(functools.partial(function, **arguments), abandon_on_cancel=True)
        return await result if inspect.isawaitable(result) else result

    # --- as a mapping ------------------------------------------------------------------------------------------------

    def __getitem__(self, key: str) -> object:
        return self._param[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._param)

    def __len__(self) -> int:
        return len(self._param)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


@overload
def tool(function: Callable[Q, R], /) -> Tool[Q, R]: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool = True,
    timeout: float | None = None,
    context: Mapping[str, object] | None = None,
    needs_approval: NeedsApproval = False,
) -> Callable[[Callable[Q, R]], Tool[Q, R]]: ...


def tool(function: Callable[Q, R] | None = None, /, **options: Any) -> Tool[Q, R] | Callable[..., Tool[Q, R]]:
    """Make a function a tool: ``@tool``, or ``@tool(...)`` with the arguments of ``Tool.from_function``.

    It is called as before, and type checkers know its signature.
    """
    if function is None:
        return functools.partial(Tool[Q, R], **options)
    return Tool(function, **options)


RunTool: TypeAlias = Tool[..., Any] | Callable[..., Any] | ToolParam
"""A tool, a function that becomes one, or a definition in the API's shape, whose calls are left to the caller."""


def is_tool(item: object) -> TypeGuard[Tool[..., Any]]:
    """Tell whether *item* is a `Tool`, whatever its types."""
    return isinstance(item, Tool)


def _param(tool: Tool[..., Any]) -> JSONObject:
    function: JSONObject = {"name": tool.name, "parameters": tool.parameters}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _is_async(function: Any) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _check_callable(function: Any) -> None:
    """Refuse objects that could be described to a model, but not run."""
    reason, hint = "", ""
    if not callable(function):
        reason, hint = "it cannot be called", "give a function"
    elif any(map(_yields, (function, getattr(function, "__call__", None)))):  # noqa: B004
        reason, hint = "it yields", "return the whole result"
    elif _is_unbound(function):
        reason, hint = "it takes self", "give the method of an object: Tool.from_function(object.method)"
    if reason:
        name = getattr(function, "__qualname__", type(function).__name__)
        raise RequestValidationError(f"{name} cannot be a tool: {reason}", field="tools", hint=hint)


def _check_context(function: Any, context: Mapping[str, object]) -> None:
    """Refuse names that *function* does not take."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # the schema, which is made next, reports it
        return
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    known = [parameter.name for parameter in parameters if parameter.kind in by_name]
    for name in context:
        if name not in known:
            raise RequestValidationError(
                f"context has {name!r}, expected a parameter that can be given by name: {', '.join(known) or 'none'}",
                field="context",
                hint="correct the name",
            )


def _yields(function: Any) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _is_unbound(function: Any) -> bool:
    """Tell whether *function* is a method that is not bound to an object."""
    if not inspect.isfunction(function):
        return False
    first = next(iter(inspect.signature(function).parameters.values()), None)
    return first is not None and first.name in ("self", "cls") and first.annotation is inspect.Parameter.empty


claim(__name__)
