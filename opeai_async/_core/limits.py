"""Bounds on what a server may send: of each, what happens beyond is said where it is used."""

from __future__ import annotations

MAX_INDEX = 128
MAX_STREAM_BYTES = 1024 * 1024 * 1024
MAX_JSON_BYTES = 64 * 1024 * 1024
DEFAULT_MAX_EVENT_BYTES = 16 * 1024 * 1024
