"""Records made by hand."""

from typing import Any

from opeai_async.types.common import CompletionTokensDetails, CompletionUsage, PromptTokensDetails
from opeai_async.types.meta import AttemptRecord, StreamTiming
from opeai_async.types.records import CallRecord, CallStarted, Waits

USAGE = CompletionUsage(
    prompt_tokens=30,
    completion_tokens=20,
    total_tokens=50,
    prompt_tokens_details=PromptTokensDetails(cached_tokens=8, text_tokens=18, audio_tokens=2),
    completion_tokens_details=CompletionTokensDetails(reasoning_tokens=5, text_tokens=20),
)


def call(**changes: Any) -> CallStarted:
    """Return how a call begins."""
    fields: dict[str, Any] = {
        "call_id": "c1",
        "model": "m",
        "url": "https://api.deepseek.com/v1/chat/completions",
        "host": "api.deepseek.com",
        "port": 443,
        "stream": True,
    }
    return CallStarted(**{**fields, **changes})


def record(of: CallStarted | None = None, **changes: Any) -> CallRecord:
    """Return how it ends."""
    fields: dict[str, Any] = {
        "call": of or call(),
        "outcome": "complete",
        "status_code": 200,
        "request_id": "req-1",
        "response_id": "chatcmpl-1",
        "response_model": "m-2026",
        "finish_reasons": ("stop",),
        "usage": USAGE,
        "timing": StreamTiming(first_byte_s=0.1, first_content_s=0.2, total_s=1.0),
        "first_chunk_s": 0.2,
        "waits": Waits(head_s=0.1, first_content_s=0.1, server_s=0.7, consumer_s=0.1),
        "duration_s": 1.0,
        "attempts": (AttemptRecord(number=1, status_code=200, elapsed_s=0.1),),
        "chunks": 9,
    }
    return CallRecord(**{**fields, **changes})
