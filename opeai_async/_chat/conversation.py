"""A conversation: its messages, and how they are kept on disk."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import msgspec

from opeai_async._core.call.encode import encode_request
from opeai_async._core.json import is_array, is_object
from opeai_async._core.schema.sendable import missing_results, sendable
from opeai_async._public import claim
from opeai_async.errors import RequestValidationError
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.request import MessageParam


class Conversation:
    """A list of messages that goes into the next request: ``messages=conversation.messages``.

    Attributes:
        messages: Dicts in the API's shape, or Structs; yours to change.
    """

    def __init__(self, messages: Iterable[MessageParam] = ()) -> None:
        self.messages: list[MessageParam] = list(messages)

    def append(self, item: ChatCompletion | MessageParam) -> None:
        """Add a message; or the message of a completion's first choice, as it came.

        Where calls before it have no result, and *item* is none, they first get one that says that they were not run:
        a server refuses a conversation that leaves them open. (Change ``messages`` itself to add nothing else.)

        Raises:
            RequestValidationError: If the completion has no choice.
        """
        if isinstance(item, ChatCompletion):
            if not item.choices:
                raise RequestValidationError("the completion has no choices, expected a message in the first one")
            item = item.choices[0].message
        self.messages += missing_results(self.messages, item)
        self.messages.append(item)

    def closed(self) -> list[MessageParam]:
        """Return the messages as a server takes them, whatever they were cut by.

        Calls without a result get one that says that they were not run; arguments that are no JSON object are put into
        one. ``messages`` stays as it is.
        """
        return sendable(self.messages)

    def to_json(self) -> bytes:
        """The messages as a JSON array, just as a request would hold them: reasoning and vendor fields included.

        Raises:
            RequestValidationError: If a message has no JSON form.
        """
        if not self.messages:
            return b"[]"
        body = encode_request({"model": "-", "messages": self.messages}, stream=False)
        return bytes(msgspec.json.decode(body, type=_Body).messages)

    @classmethod
    def from_json(cls, data: bytes | str) -> Self:
        """The conversation that ``to_json`` saved; its messages are dicts, and a request holds them as before.

        Raises:
            RequestValidationError: If *data* is no JSON array of objects with a ``role``.
        """
        try:
            messages: Any = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
            raise RequestValidationError(f"the conversation is no JSON: {exc}") from None
        if not is_array(messages):
            raise RequestValidationError("the conversation is no JSON array, expected one of messages")
        for position, message in enumerate(messages):
            if not (is_object(message) and isinstance(message.get("role"), str)):
                where = f"messages[{position}]"
                raise RequestValidationError(f"{where} is no message, expected an object with a role", field=where)
        return cls(messages)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.messages)} messages>"


class _Body(msgspec.Struct):
    messages: msgspec.Raw


claim(__name__)
