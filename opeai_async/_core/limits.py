"""Bounds on what a server may send; the module that checks a bound says what happens beyond it."""

from __future__ import annotations

# Indexes of choices and of tool calls: many indexes in few bytes would each cost the memory of a message or call.
MAX_INDEX = 128
# All bytes of one streamed body, after decompression.
MAX_STREAM_BYTES = 1024 * 1024 * 1024
# A body that is one JSON value: it is kept whole in memory before it can be decoded.
MAX_JSON_BYTES = 64 * 1024 * 1024
# One event; room for an image in base64, which some servers send in a single event.
DEFAULT_MAX_EVENT_BYTES = 16 * 1024 * 1024
