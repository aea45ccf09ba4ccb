"""The tools of a run, by the name that the model calls.

A call is answered in one of these ways::

    a function or a Tool              it is run
    a definition in the API's shape   it is left to the caller: the run ends with the reason "tool_calls"
    an unknown name                   the model gets an error with the names that there are
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from opeai_async._core.json import is_object
from opeai_async._core.schema.tool_results import (
    ToolAnswer,
    unknown_tool,
)
from opeai_async._tools.tool import Tool, is_tool
from opeai_async.errors import RequestValidationError
from opeai_async.types.common import WireStruct
from opeai_async.types.completion import ToolCall
from opeai_async.types.request import CustomTool, FunctionTool, ToolParam
from opeai_async.types.run_options import OnToolError

if TYPE_CHECKING:
    from opeai_async._tools.tool import RunTool


class Toolbox:
    """The tools of a run, by name.

    Attributes:
        params: The tools in the API's shape, as they are sent.
    """

    def __init__(self, tools: Iterable[RunTool]) -> None:
        self._tools: dict[str, Tool[..., Any]] = {}
        # Names of tools that are only definitions: their calls are left to the caller.
        self._manual: set[str] = set()
        self.params: list[ToolParam] = []
        _check_list(tools)
        for item in tools:
            self._add(item)

    def answer(
        self, call: ToolCall, *, on_error: OnToolError, limit_s: float | None
    ) -> Callable[[], Coroutine[Any, Any, ToolAnswer]] | None:
        """Return a function that runs *call*; None if the call is left to the caller."""
        name = (call.custom if call.custom is not None else call.function).name
        if name in self._manual:
            return None
        # A model may invent a tool: it is sent the names that there are, and may try again.
        if name not in self._tools:
            return functools.partial(_no_tool, name, [*self._tools, *self._manual])
        return functools.partial(self._tools[name].answer, call, on_error=on_error, limit_s=limit_s)

    def needs_approval(self, call: ToolCall) -> bool:
        """Tell whether somebody has to approve *call* before it is run.

        A call whose arguments do not fit needs no approval: it does not run, and the model gets an error.
        """
        made = self._tools.get((call.custom if call.custom is not None else call.function).name)
        if made is None or made.needs_approval is False or not made.takes(call):
            return False
        return made.needs_approval is True or bool(made.needs_approval(call))

    def _add(self, item: RunTool) -> None:
        if is_tool(item):
            made: Tool[..., Any] | None = item
        elif isinstance(item, (Mapping, FunctionTool, CustomTool)):
            made = None
        else:
            made = Tool[..., Any](item)
        param = cast("ToolParam", item if made is None else made)
        name = _name_of(param) if made is None else made.name
        if name in self._tools or name in self._manual:
            message = f"two tools are named {name!r}, expected a name of its own for each"
            raise RequestValidationError(message, field="tools")
        if made is not None:
            self._tools[made.name] = made
        elif name is not None:
            self._manual.add(name)
        self.params.append(param)


def _check_list(tools: object) -> None:
    """Refuse what is often written in place of a list: one tool, or None."""
    is_one = callable(tools) or isinstance(tools, (Mapping, WireStruct))
    if isinstance(tools, Iterable) and not (is_one or isinstance(tools, (str, bytes))):
        return
    given = "one tool" if is_one else f"{tools!r:.40}"
    hint = "put it into a list: tools=[...]" if given == "one tool" else "without tools, use chat.completions.stream"
    raise RequestValidationError(f"tools is {given}, expected a list of functions or tools", field="tools", hint=hint)


async def _no_tool(name: str, known: list[str]) -> ToolAnswer:
    return unknown_tool(name, known)


def _name_of(definition: ToolParam) -> str | None:
    """Return the name by which the model calls it; None for a tool that the server runs itself."""
    if isinstance(definition, FunctionTool):
        return definition.function.name
    if isinstance(definition, CustomTool):
        return definition.custom.name
    for key in ("function", "custom"):
        if is_object(part := definition.get(key)) and isinstance(part.get("name"), str):
            name: str = part["name"]
            return name
    return None
