"""What a finish_reason means."""

import pytest

from opeai_async._core.decode.decoder import decode_chunk
from opeai_async.types.chunk import ChunkChoice
from opeai_async.types.completion import ChatCompletionMessage, Choice, FunctionCall, ToolCall
from opeai_async.types.finish import FINISH_KINDS, finish_kind

CALL = ToolCall(id="a", type="function", function=FunctionCall(name="f", arguments="{}"))


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        *((word, word) for word in ("stop", "length", "tool_calls", "content_filter", "error")),
        *((word, "stop") for word in ("end_turn", "eos", "eos_token", "stop_sequence", "STOP")),
        *((word, "length") for word in ("MAX_TOKENS", "max_tokens", "model_length")),
        *((word, "tool_calls") for word in ("tool_use", "function_call")),
        *((word, "content_filter") for word in ("SAFETY", "sensitive", "RECITATION")),
        *((word, "error") for word in ("abort", "network_error")),
        *((word, None) for word in ("because", "", None)),
    ],
)
def test_what_a_word_means(reason, kind):
    """On a chunk's choice and on a whole one alike, in any case; what nobody knows means nothing."""
    assert finish_kind(reason) == kind
    assert ChunkChoice(finish_reason=reason).finish == kind
    choice = Choice(message=ChatCompletionMessage(role="assistant"), finish_reason=reason)
    assert (choice.finish, choice.finish_reason) == (kind, reason)


def test_the_table_is_in_lower_case():
    """So that every word in it can be found."""
    assert all(word == word.lower() for word in FINISH_KINDS)


@pytest.mark.parametrize("called", [{"tool_calls": [CALL]}, {"function_call": CALL.function}])
@pytest.mark.parametrize(
    ("reason", "kind"),
    [("stop", "tool_calls"), ("end_turn", "tool_calls"), ("length", "length"), ("error", "error"), (None, None)],
)
def test_a_stop_with_calls(called, reason, kind):
    """A server may say that it stopped, and the message calls tools; another end is what the server says."""
    message = ChatCompletionMessage(role="assistant", **called)
    assert Choice(message=message, finish_reason=reason).finish == kind


def test_a_decoded_chunk_has_it_too():
    """And it is nothing that can be set."""
    choice = decode_chunk('{"choices": [{"index": 0, "delta": {}, "finish_reason": "MAX_TOKENS"}]}').choices[0]
    assert choice.finish == "length"
    with pytest.raises(AttributeError):
        choice.finish = "stop"
