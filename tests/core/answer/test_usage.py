"""Token counts of several answers add up, at every level."""

from __future__ import annotations

from opeai_async._core.answer.usage import added
from opeai_async.types.common import CompletionTokensDetails, CompletionUsage, PromptTokensDetails


def test_all_counts_are_added() -> None:
    """Also those of a vendor, at any depth; of what is no number, the last counts."""
    first = CompletionUsage(
        prompt_tokens=10,
        completion_tokens=2,
        total_tokens=12,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=4, extra={"tier": "a"}),
        extra={"cost": 0.5, "details": {"cents": 50}, "cached": True, "currency": "EUR"},
    )
    second = CompletionUsage(
        prompt_tokens=20,
        completion_tokens=3,
        total_tokens=23,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=8, audio_tokens=1),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=2),
        extra={"cost": 0.25, "details": {"cents": 25, "fee": 1}, "cached": False, "currency": None},
    )
    assert added(first, second) == CompletionUsage(
        prompt_tokens=30,
        completion_tokens=5,
        total_tokens=35,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=12, audio_tokens=1, extra={"tier": "a"}),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=2),
        extra={"cost": 0.75, "details": {"cents": 75, "fee": 1}, "cached": False, "currency": "EUR"},
    )
    assert first.prompt_tokens == 10


def test_what_is_not_known_does_not_count() -> None:
    usage = CompletionUsage(total_tokens=3)
    assert added(None, None) is None
    assert added(usage, None) is usage
    assert added(None, usage) is usage


def test_no_vendor_fields_stay_none() -> None:
    """What is shown and sent is not an empty object of them."""
    assert repr(added(CompletionUsage(), CompletionUsage())) == "CompletionUsage()"
