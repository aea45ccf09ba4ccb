"""What the protocols of browsers say of tool calls alike: under which ids they are told, and why one has no result."""

from __future__ import annotations

from opeai_async._core.dialect.rules.values import SYNTHETIC_ID_PREFIX
from opeai_async.types.frames import ToolCallFrame, ToolErrorCode

CUT_OFF = "The answer was cut off."
TOOL_ERRORS: dict[ToolErrorCode, str] = {
    "unknown_tool": "There is no such tool.",
    "invalid_arguments": "The tool's input does not fit.",
    "failed": "The tool failed.",
    "timeout": "The tool took too long.",
    "not_approved": "The call was not approved.",
}
"""What a reader is told of a call without a result, where it may not know more."""


class CallIds:
    """The ids under which calls are told to one reader: each is used for one call.

    The server's id is taken where it is one. Some servers send none, or count from 0 in every answer, or send one id
    twice; a reader that looks a call up by its id would then change an older one. What is made up holds the answer's
    id, so that it is new in a message that goes on over several responses, too.
    """

    __slots__ = ("_answer_id", "_is_begun", "_used")

    def __init__(self) -> None:
        self._answer_id = ""
        self._is_begun = False
        self._used: set[str] = set()

    def begin(self, answer_id: str) -> None:
        """An answer begins: from here on, its calls are seen from their beginnings."""
        self._answer_id, self._is_begun = answer_id, True

    def is_missed(self, first: ToolCallFrame) -> bool:
        """Tell whether a call's beginning was before the reader came in, if *first* is what it sees first of it."""
        return not self._is_begun and first.name is None

    def new(self, call_id: str | None, index: int) -> str:
        """Return the id for the call with this *index*, to which the server gave *call_id*."""
        if not call_id or call_id.startswith(SYNTHETIC_ID_PREFIX) or call_id in self._used:
            call_id = "_".join(filter(None, ["call", self._answer_id, str(index)]))
        while call_id in self._used:
            call_id += "_"
        self._used.add(call_id)
        return call_id
