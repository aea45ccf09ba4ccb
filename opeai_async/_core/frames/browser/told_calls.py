"""Name tool calls for browsers: what their protocols have in common, ids of calls and texts for failed ones."""

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
"""Text sent to a reader for a call without a result, unless the reader may see the tool's own message."""


class CallIds:
    """The ids of calls as sent to one reader, each used for one call only.

    The server's id is used if it is there and new. Some servers send none, or count from 0 in every answer, or send one
    id twice; a reader that looks a call up by its id would then change an older call. A made-up id contains the
    answer's id, so that it is also new in a message that continues over several responses.
    """

    __slots__ = ("_answer_id", "_is_begun", "_used")

    def __init__(self) -> None:
        self._answer_id = ""
        # The beginning of an answer was seen: only before that can the beginning of a call have been missed.
        self._is_begun = False
        self._used: set[str] = set()

    def begin(self, answer_id: str) -> None:
        """Begin an answer: its calls are seen from their beginnings."""
        self._answer_id, self._is_begun = answer_id, True

    def is_missed(self, first: ToolCallFrame) -> bool:
        """Tell whether the call began before the reader joined, given *first*, the first frame of it that came."""
        return not self._is_begun and first.name is None

    def new(self, call_id: str | None, index: int) -> str:
        """Return the id for the call with this *index*, to which the server gave *call_id*."""
        if not call_id or call_id.startswith(SYNTHETIC_ID_PREFIX) or call_id in self._used:
            call_id = "_".join(filter(None, ["call", self._answer_id, str(index)]))
        while call_id in self._used:
            call_id += "_"
        self._used.add(call_id)
        return call_id
