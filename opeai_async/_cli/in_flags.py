"""Errors in the words of the command line: what a program passes as an argument, a user of a shell sets by a flag.

The package's own texts speak of `base_url=` and the like, as it cannot know who calls it. So each such word has a row
here, with the flag or the variable in its place, or with nothing where a shell has no such thing.
"""

from __future__ import annotations

import re

from opeai_async.errors import APIStatusError, OpeAIError, RateLimitError

# In this order: the longer of two texts that begin alike comes first. An empty replacement takes a clause away.
_ROWS: tuple[tuple[str, str], ...] = (
    # Whole clauses.
    (r"there is no API key: api_key was not given, and (\w+) is not set", r"there is no API key: \1 is not set"),
    (r", or pass api_key=(?= |;|$)", ""),
    (r"; api_key=os\.environ\['(\w+)'\] uses that one, with the base_url= it is for",
     r'; OPEAI_API_KEY="$\1" uses that one, with the --base-url it is for'),
    (r", or the api_key= given to the client", ""),
    (r"give the key as api_key=", "give the key as OPEAI_API_KEY"),
    (r"set api_key again", "set OPEAI_API_KEY again"),
    (r"from api_key(?!\w)", "of OPEAI_API_KEY"),
    (r"correct the argument or the environment variable which the message names",
     "correct the flag or the environment variable which the message names"),
    (r"correct the field, or pass it through extra_body to send it unchecked", "correct what the message names"),
    (r"`param` and the message name the field", "the message says what is wrong"),
    (r"`status_code`, `code` and the message say why; quote request_id to the server's support",
     "the message says why"),
    (r"; quote request_id to support if it persists", ""),
    (r", or wait retry_after_s seconds", ", or later"),
    (r"`partial` holds what arrived; repeat the call, or continue from it", "what arrived is shown; ask again"),
    (r"`partial` holds what arrived; pass on_truncated='return' if this server always ends so",
     "what arrived is shown; ask again"),
    (r"`partial` holds what arrived; raise this clock with timeouts=Timeouts\(\.\.\.\)",
     "what arrived is shown; ask again, or later"),
    (r"`partial` holds what arrived, and the call may be repeated", "what arrived is shown; ask again"),
    (r"`excerpt` shows the event; ", ""),
    (r"raise the limit named in `limit` if such a stream is legitimate", "what arrived is shown; ask for less"),
    (r"raise the limit of this phase with timeouts=Timeouts\(\.\.\.\), per client or per call",
     "the server is slow, or the way to it is: try again later"),
    (r", or lower max_connections", ""),
    # Trust, which a shell gives by variables alone.
    (r"pass ssl_context= to trust a private authority", "set SSL_CERT_FILE=/path/to/ca.pem to trust a private one"),
    (r", or pass ssl_context=ssl\.create_default_context\(cafile=\.\.\.\)", ""),
    (r", or pass an ssl_context whose verify_flags are without ssl\.VERIFY_X509_STRICT", ""),
    (r"; an ssl_context= may allow older ones", ""),
    (r": ssl_context= with load_cert_chain\(\.\.\.\) brings one", ", which this command does not have"),
    # Single words.
    (r"the base URL from base_url", "--base-url"),
    (r"the base URL from OPEAI_BASE_URL", "OPEAI_BASE_URL"),
    (r"pass allow_insecure_http=True", "pass --allow-insecure-http"),
    (r"allow_insecure_http=True", "--allow-insecure-http"),
    (r'pass proxy="env"', "pass --proxy env"),
    (r"\bbase_url=?(?!\w)", "--base-url"),
    (r"(?<![\w-])max_tokens or max_completion_tokens", "--max-tokens"),
    (r"^proxy (is|has|holds)", r"--proxy \1"),
    (r" of proxy is malformed", " of --proxy is malformed"),
    (r"; `text` holds what arrived", ""),
)  # fmt: skip
_IN_FLAGS = [(re.compile(pattern), replacement) for pattern, replacement in _ROWS]


def in_flags(text: str) -> str:
    """Return *text*, of an error of the package, with flags and variables in place of arguments."""
    for pattern, replacement in _IN_FLAGS:
        text = pattern.sub(replacement, text)
    return text


def hint_in_flags(error: OpeAIError) -> str:
    """Return the hint of *error* for the command line; empty if it has none."""
    if isinstance(error, RateLimitError) and error.retry_after_s is not None:
        return f"the server asks to wait {error.retry_after_s:g} s"
    hint = in_flags(error.hint)
    if isinstance(error, APIStatusError) and error.status_code >= 500 and error.request_id:
        hint = f"{hint}; the server's support will want its request id: {error.request_id}"
    return hint
