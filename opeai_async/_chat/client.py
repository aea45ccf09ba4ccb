"""The client: configuration and lifetime. The work is done below."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from opeai_async._chat.completions import Completions
from opeai_async._chat.observers import is_named, observer_list
from opeai_async._core.call.params import ReadOptions, one_of
from opeai_async._core.call.prepare import CallDefaults, retry_policy
from opeai_async._core.call.redact import HiddenStr, Secret, hidden_values, secrets_in
from opeai_async._core.call.retry import RetryBudget, RetryPolicy
from opeai_async._core.call.settings import (
    BASE_URL_VARIABLE,
    DEFAULT_BASE_URL,
    KEY_VARIABLE,
    OTEL_VARIABLE,
    check_headers,
    endpoint,
    merged_headers,
    parse_base_url,
    parse_proxy,
)
from opeai_async._core.call.timeouts import Timeouts
from opeai_async._core.limits import DEFAULT_MAX_EVENT_BYTES
from opeai_async._io.exchange import Wiring
from opeai_async._io.net.lazy import LazyTransport
from opeai_async._io.net.lifetime import Origin
from opeai_async._io.observe import log
from opeai_async._io.observe.observers import Observers
from opeai_async._io.transport import Transport
from opeai_async._public import claim
from opeai_async._version import __version__
from opeai_async.errors import ConfigurationError
from opeai_async.types.options import DIALECTS, ON_TRUNCATED, REASONING_TAGS, DialectMode, OnTruncated, ReasoningTags
from opeai_async.types.records import ObserversParam


class AsyncOpeAI:
    """A client for chat completions. Making one does no I/O and needs no event loop.

    Use it as ``async with AsyncOpeAI() as client``, or end it with ``await client.aclose()``. One client serves any
    number of tasks of one event loop.

    Args:
        api_key: The key; ``OPEAI_API_KEY`` of the environment if None.
        base_url: Where ``/chat/completions`` hangs; ``OPEAI_BASE_URL``, then ``https://api-platform.ope.ai/v1``.
        timeouts: Limits in place of the defaults, where set.
        max_retries: Tries after the first one.
        retry: The whole retry policy; *max_retries* then counts only if given.
        max_connections: Bound on answers open at once; None for no bound.
        default_headers: Sent with each request.
        default_query: Added to each URL.
        proxy: URL of an HTTP proxy; ``"env"`` for what ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``
            say at this moment; None for none, whatever they say.
        ssl_context: Trust and client certificates in place of the system's, and of what ``SSL_CERT_FILE`` and
            ``SSL_CERT_DIR`` name.
        allow_insecure_http: Allow ``http://`` to another machine.
        dialect: ``"repair"`` odd answers, or be ``"strict"`` and raise where that would be needed.
        on_truncated: Whether a stream that was cut without an error shall ``"raise"`` or ``"return"``.
        reasoning_tags: Whether to move thinking from the content to ``reasoning_content``: ``"none"``; ``"think"`` if
            the content begins with ``<think>``; ``"open"`` if it begins inside the thinking, without that tag. Either
            lasts up to ``</think>``.
        max_event_bytes: Bound on one event of a stream.
        observers: Who is told what its calls do: objects with methods of ``Observer``, or ``"otel"`` and
            ``"prometheus"``, alone or in a list. ``OPEAI_OTEL=1`` in the environment adds ``"otel"``.
        transport: How requests are sent; for tests.

    Raises:
        ConfigurationError: If there is no key, or any of these cannot be used.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeouts: Timeouts | None = None,
        max_retries: int | None = None,
        retry: RetryPolicy | None = None,
        max_connections: int | None = None,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, str] | None = None,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        allow_insecure_http: bool = False,
        dialect: DialectMode = "repair",
        on_truncated: OnTruncated = "raise",
        reasoning_tags: ReasoningTags = "none",
        max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
        observers: ObserversParam = (),
        transport: Transport | None = None,
    ) -> None:
        log.set_up(os.environ.get(log.LOG_VARIABLE))
        if isinstance(api_key, str):
            api_key = HiddenStr(api_key)  # traceback printers show locals
        default_headers = hidden_values(default_headers or {})
        secret = _secret(api_key)
        self.base_url: str = _base_url(base_url, allow_insecure_http)
        self.timeouts: Timeouts = timeouts or Timeouts()
        self.retry: RetryPolicy = retry_policy(retry or RetryPolicy(), max_retries)
        self.dialect: DialectMode = one_of("dialect", dialect, DIALECTS)
        self.on_truncated: OnTruncated = one_of("on_truncated", on_truncated, ON_TRUNCATED)
        self.reasoning_tags: ReasoningTags = one_of("reasoning_tags", reasoning_tags, REASONING_TAGS)
        self.max_event_bytes: int = _at_least_one("max_event_bytes", max_event_bytes)
        if max_connections is not None:
            _at_least_one("max_connections", max_connections)
        if proxy is not None:
            proxy = parse_proxy(proxy, self.base_url, os.environ)
        headers = _base_headers(secret, check_headers(default_headers, "default_headers"))
        defaults = CallDefaults(
            url=endpoint(self.base_url, "chat/completions", default_query),
            headers=headers,
            secrets=secrets_in(headers[True]),
            timeouts=self.timeouts,
            retry=self.retry,
            reading=ReadOptions(
                dialect=self.dialect,
                on_truncated=self.on_truncated,
                reasoning_tags=self.reasoning_tags,
                max_event_bytes=self.max_event_bytes,
            ),
        )
        self._wiring = Wiring(
            transport=transport or LazyTransport(max_connections, ssl_context, proxy, Origin(repr(self))),
            secret=secret,
            budget=RetryBudget(self.retry.budget),
            observers=_observers(observers),
        )
        self.chat: Chat = Chat(Completions(defaults, self._wiring))

    async def aclose(self) -> None:
        """Close every stream and connection; later calls raise ``ClientClosedError``. May be called again."""
        # Who waits for another attempt makes it now and finds the transport closed: it is, before this next awaits.
        self._wiring.pauses.end()
        self._wiring.gates.open_all()
        await self._wiring.transport.aclose()

    @property
    def open_answers(self) -> int:
        """How many answers are being received; 0 for a transport that does not tell."""
        return getattr(self._wiring.transport, "open_responses", 0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        # Traceback printers show even what could not be set up. The query may hold a key.
        base_url: str = getattr(self, "base_url", "not set up")
        return f"<{type(self).__name__} {base_url.partition('?')[0]}>"


class Chat:
    """``client.chat``."""

    def __init__(self, completions: Completions) -> None:
        self.completions: Completions = completions


def _base_headers(secret: Secret, more: Mapping[str, str]) -> dict[bool, dict[str, str]]:
    """What each request carries, by whether it asks for a stream."""
    own = {
        "Authorization": HiddenStr(f"Bearer {secret.reveal()}"),
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": f"opeai_async/{__version__}",
    }
    accepted = {True: "text/event-stream", False: "application/json"}
    return {stream: merged_headers({**own, "Accept": accepted[stream]}, more) for stream in accepted}


def _secret(api_key: str | None) -> Secret:
    if api_key is not None:
        return Secret(api_key, source="api_key")
    if KEY_VARIABLE not in os.environ:
        raise ConfigurationError(
            f"there is no API key: api_key was not given, and {KEY_VARIABLE} is not set",
            hint=f"export {KEY_VARIABLE}=..., or pass api_key=",
        )
    return Secret(HiddenStr(os.environ[KEY_VARIABLE]), source=KEY_VARIABLE)


def _observers(given: ObserversParam) -> Observers:
    """Return who listens: those that are given, and ``"otel"`` if the environment says so."""
    switch = os.environ.get(OTEL_VARIABLE, "")
    if switch.lower() not in ("", "0", "1", "false", "true"):
        raise ConfigurationError(f"{OTEL_VARIABLE} is {switch!r}, expected '1' or '0'")
    found = observer_list(given)
    if switch.lower() in ("1", "true") and not any(is_named(observer, "otel") for observer in found):
        found.extend(observer_list("otel"))
    return Observers(found)


def _base_url(base_url: str | None, allow_insecure_http: bool) -> str:
    source = "base_url" if base_url is not None else BASE_URL_VARIABLE
    url = base_url if base_url is not None else os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL
    return parse_base_url(url, allow_insecure_http=allow_insecure_http, source=source)


def _at_least_one(name: str, value: int) -> int:
    if value < 1:
        raise ConfigurationError(f"{name} is {value!r}, expected at least 1")
    return value


claim(__name__)
