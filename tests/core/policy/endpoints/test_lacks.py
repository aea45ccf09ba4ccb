"""What servers say that they cannot do, in their own words."""

import pytest

from opeai_async import APIStatusError, StreamServerError
from opeai_async._core.policy.endpoints.lacks import context_of, lack_of

ALL = frozenset({"tools", "json_schema", "vision"})
SAID = {
    "tools": [
        (400, "registry.ollama.ai/library/gemma:2b does not support tools"),
        (400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
        (404, "No endpoints found that support tool use. To learn more about provider routing, visit our docs."),
        (400, "`tool calling` is not supported with this model"),
        (400, "This model doesn't support function calling"),
        (422, "tools is not supported in this model"),
        (501, "Function calling is not supported by this server"),
    ],
    "json_schema": [
        (400, "This response_format type is unavailable now"),
        (400, "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."),
        (400, "This model does not support response format `json_schema`. See supported models."),
        (400, "structured outputs are not supported"),
    ],
    "vision": [
        (400, "Invalid content type. image_url is only supported by certain models."),
        (422, "Failed to deserialize: messages[0]: unknown variant `image_url`, expected `text` at line 1"),
        (404, "No endpoints found that support image input"),
        (400, "/models/qwen3 is not a multimodal model"),
        (400, "At most 0 image(s) may be provided in one request."),
        (415, "This model does not support images"),
    ],
}
# What is the request's own fault, though some of the words are the same.
OWN = [
    (400, "Invalid schema for response_format 'x': In context=(), 'oneOf' is not supported."),
    (400, "You uploaded an unsupported image. Please make sure your image is valid."),
    (400, "image format webp is not supported"),
    (400, "Missing required parameter: 'tools[0].function.name'."),
    (400, "An assistant message with 'tool_calls' must be followed by tool messages"),
    (400, "This model's maximum context length is 8192 tokens."),
    (500, "does not support tools"),
    (401, "does not support tools"),
]


def refusal(status, text):
    return APIStatusError(text, status_code=status)


@pytest.mark.parametrize(("need", "status", "text"), [(need, *said) for need in SAID for said in SAID[need]])
def test_what_is_lacking_is_known_by_its_words(need, status, text):
    """Where the call needs it, and no call else."""
    assert lack_of(refusal(status, text), ALL) == need
    assert lack_of(refusal(status, text), frozenset({need})) == need
    assert lack_of(refusal(status, text), ALL - {need}) is None


@pytest.mark.parametrize(("status", "text"), OWN)
def test_other_words_say_nothing(status, text):
    """Nor do other statuses, and errors that have none."""
    assert lack_of(refusal(status, text), ALL) is None
    assert lack_of(StreamServerError("does not support tools"), ALL) is None


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("This model's maximum context length is 8192 tokens. However, you requested 9000 tokens", 8192),
        ("This model's maximum context length is 131,072 tokens.", 131072),
        ("prompt is too long: 208310 tokens > 200000 maximum", 200000),
        ("the request exceeds the available context size", None),
    ],
)
def test_how_much_it_takes(text, tokens):
    """Where the refusal of a prompt says so."""
    assert context_of(refusal(400, text)) == tokens
