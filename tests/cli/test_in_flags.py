"""What the package says of arguments, in the words of a shell."""

import re

import pytest

import opeai_async
from opeai_async import InternalServerError, OpeAIError, RateLimitError
from opeai_async._cli.in_flags import hint_in_flags, in_flags
from opeai_async._io.net.diagnosis import hints

# Those that no command can meet: they are of code, or of options that no command sets.
_OF_CODE = {
    "ConcurrentReadError", "ClientClosedError", "InvalidJSONError", "InvalidOutputError", "PoolTimeoutError",
    "UnknownParameterWarning",
}  # fmt: skip
PUBLIC = [getattr(opeai_async, name) for name in opeai_async.__all__]
ERRORS = [
    value
    for value in PUBLIC
    if isinstance(value, type) and issubclass(value, OpeAIError) and value.__name__ not in _OF_CODE
]
_OF_PYTHON = re.compile(r"`|\w+=(?!\.\.\.|/)|\w\(|_\w+ seconds|\bNone\b|base_url|api_key")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_default_hints_are_of_the_shell(error: type[OpeAIError]) -> None:
    """No argument, no attribute, no backtick."""
    assert not _OF_PYTHON.search(in_flags(error.default_hint)), in_flags(error.default_hint)


@pytest.mark.parametrize(
    "hint",
    [
        hints.plain_hint(),
        hints.MAYBE_TLS,
        hints._TRUST,
        hints._DEFAULT_TLS_HINT,
        *(
            hint
            for text in ("PROTOCOL_VERSION", "ALERT_CERTIFICATE")
            if (hint := hints.handshake_hint(text, None, None))
        ),  # type: ignore[arg-type]
    ],
)
def test_hints_about_connections_are_of_the_shell(hint: str) -> None:
    assert not _OF_PYTHON.search(in_flags(hint)), in_flags(hint)


def test_numbers_that_a_user_of_a_shell_needs() -> None:
    """How long to wait, and what to quote."""
    assert hint_in_flags(RateLimitError("no", status_code=429, retry_after_s=7.0)) == "the server asks to wait 7 s"
    assert hint_in_flags(RateLimitError("no", status_code=429)) == "send fewer requests at a time, or later"
    error = InternalServerError("no", status_code=500, request_id="req_1")
    assert hint_in_flags(error) == ("repeat the call later; the server's support will want its request id: req_1")
