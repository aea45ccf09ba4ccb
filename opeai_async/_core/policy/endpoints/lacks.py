"""What an endpoint says that it cannot do: another one may, and this one need not be asked for it again.

A 400 is the request's own fault, and raised at once; but not where the server says that it, or its model, knows no
tools, schemas or pictures. The words are those of servers that were seen, see the test. They are narrow on purpose: an
error that is taken for one of these costs a request to another endpoint, which then says the same.
"""

from __future__ import annotations

import re

from opeai_async.errors import APIStatusError, OpeAIError

LEARNT_S = 3600.0
"""For so long it is not asked again: servers are restarted with other options."""

_NOT = r"(?:not (?:currently )?(?:supported|available|enabled)|unsupported|unavailable)"
_NO = r"(?:does ?n[o']t(?: currently)? support|do not support|no endpoints found that support)"
_WORDS = {
    "tools": re.compile(
        rf"{_NO} (?:the )?(?:\W?tools?\b|tool[ _](?:use|call|choice)|functions?\b|function[ _]call)"
        rf"|tool choice requires --|(?:tool[ _](?:use|calls?|calling)|function[ _]calling)\W? (?:is|are) {_NOT}"
        rf"|\btools\b\W{{0,3}}(?:is|are) {_NOT}"
    ),
    "json_schema": re.compile(
        rf"{_NO} (?:the )?\W?(?:response[ _]format|json[ _]schema|structured[ _]outputs?)"
        rf"|(?:response[ _]format|json[ _]schema|structured outputs?)\b.{{0,60}}\b{_NOT}"
    ),
    "vision": re.compile(
        rf"{_NO} (?:the )?\W?(?:images?\b|image[ _](?:input|url)|vision|multi-?modal)"
        rf"|image_url\b.{{0,40}}\b(?:only supported|{_NOT})|not a (?:multi-?modal|vision)"
        r"|unknown variant .image_url|at most 0 image"
    ),
}
_A_SCHEMA_ITSELF = re.compile(r"invalid schema|schema for")
_CONTEXT = re.compile(r"(?:maximum context length is|context (?:window|length) (?:of|is)|tokens >) ?([0-9]{3,8})\b")
_STATUSES = frozenset({400, 404, 415, 422, 501})


def lack_of(error: OpeAIError, needs: frozenset[str]) -> str | None:
    """Return which of the capabilities *needs* the endpoint says that it lacks; None if it says nothing of the kind."""
    if not needs or not isinstance(error, APIStatusError) or error.status_code not in _STATUSES:
        return None
    text = " ".join(error.message.lower().split())
    if _A_SCHEMA_ITSELF.search(text):
        return None
    return next((need for need in sorted(needs) if _WORDS[need].search(text)), None)


def context_of(error: OpeAIError) -> int | None:
    """Return how many tokens the endpoint takes, where it says so in the refusal of a prompt that is too long."""
    found = _CONTEXT.search(error.message.lower().replace(",", ""))
    return int(found[1]) if found else None
