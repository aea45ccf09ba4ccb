"""The client: configuration and lifetime. The work is done below."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Never, Self, Unpack, cast

import msgspec

from opeai_async._chat.completions import Completions
from opeai_async._chat.models import Models
from opeai_async._chat.observers import is_named, observer_list
from opeai_async._chat.spelled_out import spelled_out
from opeai_async._core.call.params import ClientOptions, ReadOptions, one_of
from opeai_async._core.call.prepare import CallDefaults, retry_policy
from opeai_async._core.call.redact import ASKED, AUTHORIZATION, HiddenStr, Secret, hidden_values, secrets_in
from opeai_async._core.call.retry import RetryBudget, RetryPolicy
from opeai_async._core.call.settings import (
    BASE_URL_VARIABLE,
    DEFAULT_BASE_URL,
    KEY_VARIABLE,
    OTEL_VARIABLE,
    check_headers,
    merged_headers,
    parse_base_url,
    parse_proxy,
    unexpected_keyword,
)
from opeai_async._core.call.settings import endpoint as endpoint_url
from opeai_async._core.call.timeouts import Timeouts, TimeoutsLike, chosen_timeouts
from opeai_async._core.limits import DEFAULT_MAX_EVENT_BYTES
from opeai_async._core.policy.checks import checked_count, checked_flag, checked_kind, checked_text, checked_texts
from opeai_async._io.endpoints import close_pool, pool_of
from opeai_async._io.exchange import Wiring
from opeai_async._io.net.lazy import LazyTransport
from opeai_async._io.net.lifetime import Origin
from opeai_async._io.observe import log
from opeai_async._io.observe.observers import Observers
from opeai_async._io.transport import Transport
from opeai_async._names.former import CHAT, CLIENT, OPTIONS, with_former_names
from opeai_async._public import claim
from opeai_async._version import __version__
from opeai_async.errors import ConfigurationError
from opeai_async.types.options import (
    DIALECTS,
    ON_TRUNCATED,
    REASONING_TAGS,
    AskForKey,
    DialectMode,
    OnTruncated,
    ReasoningTags,
)
from opeai_async.types.records import ObserversParam

OTHER_KEY_VARIABLE = "OPENAI_API_KEY"

if TYPE_CHECKING:  # what few programs need is loaded when it is first used
    from opeai_async._core.policy.endpoints.endpoint import Endpoint, Endpoints


@spelled_out
@with_former_names(CLIENT)
class AsyncOpeAI:
    """A client for chat completions. Making one does no I/O and needs no event loop.

    Use it as ``async with AsyncOpeAI() as client``, or end it with ``await client.aclose()``. One client serves any
    number of tasks of one event loop.

    Args:
        api_key: The key; ``OPEAI_API_KEY`` of the environment if None. Or a function, which may be a coroutine
            function, that returns it: it is asked for each attempt, so it should remember the key by itself, and once
            more after a 401.
        base_url: Where ``/chat/completions`` hangs; ``OPEAI_BASE_URL``, then ``https://api-platform.ope.ai/v1``.
        timeouts: Limits in place of the defaults, where set; a number is that of seconds for the whole call.
        timeout: The same by another name.
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
        endpoints: Servers among which each call is given to one, in place of *base_url* and *api_key*.
        observers: Who is told what its calls do: objects with methods of ``Observer``, or ``"otel"`` and
            ``"prometheus"``, alone or in a list. ``OPEAI_OTEL=1`` in the environment adds ``"otel"``.
        transport: How requests are sent; for tests.
        unknown: What other clients have, such as ``http_client``: refused, with its name here.

    Raises:
        ConfigurationError: If there is no key, or any of these cannot be used.
        TypeError: If there is no such option; says what it is called here, where other clients have it.
    """

    def __init__(
        self,
        api_key: str | AskForKey | None = None,
        *,
        base_url: str | None = None,
        timeouts: TimeoutsLike | None = None,
        timeout: TimeoutsLike | None = None,
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
        endpoints: Endpoints | None = None,
        observers: ObserversParam = (),
        transport: Transport | None = None,
        **unknown: Never,
    ) -> None:
        for name in unknown:
            raise unexpected_keyword("AsyncOpeAI", name, AsyncOpeAI.__init__.__kwdefaults__ or (), OPTIONS)
        log.set_up(os.environ.get(log.LOG_VARIABLE))
        if isinstance(api_key, str):
            api_key = HiddenStr(api_key)  # traceback printers show locals
        self._set_defaults(
            timeouts=timeouts,
            timeout=timeout,
            max_retries=max_retries,
            retry=RetryPolicy() if retry is None else retry,
            dialect=dialect,
            on_truncated=on_truncated,
            reasoning_tags=reasoning_tags,
            max_event_bytes=max_event_bytes,
        )
        self._default_headers: Mapping[str, str] = hidden_values(default_headers or {})
        self._default_query = default_query
        self._endpoints = endpoints
        self._allow_insecure_http = allow_insecure_http = checked_flag("allow_insecure_http", allow_insecure_http)
        if endpoints is not None:
            first = _first(endpoints, api_key, base_url)
            base_url, api_key = first.base_url, first.api_key or None
            allow_insecure_http = allow_insecure_http or first.allow_insecure_http
        self._secret: Secret | None
        self._secret, ask_for_key = _secret(api_key)
        self.base_url: str = _base_url(base_url, allow_insecure_http)
        if max_connections is not None:
            checked_count("max_connections", max_connections, 1)
        if ssl_context is not None:
            checked_kind("ssl_context", ssl_context, ssl.SSLContext, "an ssl.SSLContext")
        if proxy is not None:
            proxy = _proxy(proxy, [self.base_url] if endpoints is None else [e.base_url for e in endpoints.endpoints])
        self._wiring = Wiring(
            transport=transport or LazyTransport(max_connections, ssl_context, proxy, Origin(repr(self))),
            secret=self._secret,
            budget=RetryBudget(self.retry.budget),
            ask_for_key=ask_for_key,
            observers=_observers(observers),
            pool=None if endpoints is None else pool_of(endpoints),
        )
        self.owns_pool: bool = True  # False of those that with_options makes
        self._address()

    def _set_defaults(
        self,
        *,
        timeouts: object = None,
        timeout: object = None,
        max_retries: object = None,
        retry: object = None,
        dialect: DialectMode | None = None,
        on_truncated: OnTruncated | None = None,
        reasoning_tags: ReasoningTags | None = None,
        max_event_bytes: object = None,
    ) -> None:
        """Take what calls shall have where they say nothing; None leaves what there is."""
        before: Timeouts = getattr(self, "timeouts", Timeouts())
        self.timeouts: Timeouts = before | chosen_timeouts(timeouts, timeout)
        policy = self.retry if retry is None else checked_kind("retry", retry, RetryPolicy, "a RetryPolicy")
        self.retry: RetryPolicy = retry_policy(policy, max_retries)
        if dialect is not None:
            self.dialect: DialectMode = one_of("dialect", dialect, DIALECTS)
        if on_truncated is not None:
            self.on_truncated: OnTruncated = one_of("on_truncated", on_truncated, ON_TRUNCATED)
        if reasoning_tags is not None:
            self.reasoning_tags: ReasoningTags = one_of("reasoning_tags", reasoning_tags, REASONING_TAGS)
        if max_event_bytes is not None:
            self.max_event_bytes: int = checked_count("max_event_bytes", max_event_bytes, 1)

    def _address(self) -> None:
        """Work out what all requests have in common."""
        headers = _base_headers(self._secret, check_headers(self._default_headers, "default_headers"))
        defaults = CallDefaults(
            url=endpoint_url(self.base_url, "chat/completions", self._default_query),
            models_url=endpoint_url(self.base_url, "models", self._default_query),
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
        if self._endpoints is not None:
            defaults = self._routed(self._endpoints, defaults)
        self.chat: Chat = Chat(Completions(defaults, self._wiring))
        self.models: Models = Models(defaults, self._wiring)

    def _routed(self, endpoints: Endpoints, defaults: CallDefaults) -> CallDefaults:
        """Return *defaults* for the first of *endpoints*, with those for all; no error shows the key of any."""
        own = [self._defaults_of(endpoint, defaults) for endpoint in endpoints.endpoints]
        secrets = frozenset[str]().union(*(route.secrets for route in own))
        routes = tuple(msgspec.structs.replace(route, secrets=secrets) for route in own)
        return msgspec.structs.replace(routes[0], routes=routes)

    def _defaults_of(self, endpoint: Endpoint, defaults: CallDefaults) -> CallDefaults:
        """Return *defaults* with the address and the key of *endpoint*."""
        key, _ = _secret(endpoint.api_key or None)
        own = check_headers(endpoint.headers, f"the headers of {endpoint.label}")
        headers = _base_headers(key, merged_headers(check_headers(self._default_headers, "default_headers"), own))
        allow_insecure_http = self._allow_insecure_http or endpoint.allow_insecure_http
        base_url = _base_url(endpoint.base_url, allow_insecure_http, f"endpoint {endpoint.label}")
        return msgspec.structs.replace(
            defaults,
            url=endpoint_url(base_url, "chat/completions", self._default_query),
            models_url=endpoint_url(base_url, "models", self._default_query),
            headers=headers,
            secrets=secrets_in(headers[True]),
            model=endpoint.model,
        )

    def with_options(self, **options: Unpack[ClientOptions]) -> Self:
        """Return a client with other defaults, which shares the connections of this one.

        Closing it closes nothing: the connections end with the client that has made them.

        Args:
            options: What shall be different, see ``ClientOptions``; headers and query are added to this client's.

        Raises:
            ConfigurationError: If one cannot be used.
            TypeError: If there is no such option, or if it is one of the connections, such as ``proxy``.
        """
        for name in options:
            if name not in ClientOptions.__annotations__:
                raise unexpected_keyword("with_options", name, ClientOptions.__annotations__, OPTIONS)
        given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        if self._endpoints is not None and (fixed := given.keys() & {"api_key", "base_url"}):
            raise ConfigurationError(
                f"with_options got {', '.join(sorted(fixed))}, but this client has endpoints",
                hint="each Endpoint has its own base_url and api_key; make another client for other ones",
            )
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        other.owns_pool = False
        headers = given.pop("default_headers", {})
        other._default_headers = merged_headers(self._default_headers, check_headers(headers, "default_headers"))
        query = checked_texts("default_query", given.pop("default_query", {}))
        other._default_query = {**(self._default_query or {}), **query}
        if (base_url := given.pop("base_url", None)) is not None:
            other.base_url = _base_url(base_url, self._allow_insecure_http)
        if (api_key := given.pop("api_key", None)) is not None:
            other._secret, ask_for_key = _secret(api_key)
            other._wiring = msgspec.structs.replace(self._wiring, secret=other._secret, ask_for_key=ask_for_key)
        other._set_defaults(**given)
        other._address()
        return other

    async def aclose(self) -> None:
        """Close every stream and connection; later calls raise ``ClientClosedError``. May be called again.

        A client that ``with_options`` has made closes nothing.
        """
        if not self.owns_pool:
            return
        # Who waits for another attempt makes it now and finds the transport closed: it is, before this next awaits.
        self._wiring.pauses.end()
        self._wiring.gates.open_all()
        await self._wiring.transport.aclose()
        await close_pool(self._wiring)

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

    def __enter__(self) -> Never:
        raise TypeError("a client is opened with `async with`, not with `with`; OpeAI is the one for sync programs")

    def __exit__(self, *_: object) -> None: ...  # without it, `with` does not ask __enter__

    def __repr__(self) -> str:
        # Traceback printers show even what could not be set up. The query may hold a key.
        base_url: str = getattr(self, "base_url", "not set up")
        return f"<{type(self).__name__} {base_url.partition('?')[0]}>"


@with_former_names(CHAT)
class Chat:
    """``client.chat``."""

    def __init__(self, completions: Completions) -> None:
        self.completions: Completions = completions


def _first(endpoints: Endpoints, api_key: object, base_url: str | None) -> Endpoint:
    """Return the endpoint that stands for all where one is enough, as in ``base_url``."""
    if api_key is not None or base_url is not None:
        raise ConfigurationError(
            "both endpoints= and base_url= or api_key= are given, expected one of them",
            hint="give each Endpoint its own base_url and api_key",
        )
    return endpoints.endpoints[0]


def _base_headers(secret: Secret | None, more: Mapping[str, str]) -> dict[bool, dict[str, str]]:
    """Return what each request carries, by whether it asks for a stream."""
    own = {
        AUTHORIZATION: ASKED if secret is None else HiddenStr(f"Bearer {secret.reveal()}"),
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": f"opeai_async/{__version__}",
    }
    accepted = {True: "text/event-stream", False: "application/json"}
    return {stream: merged_headers({**own, "Accept": accepted[stream]}, more) for stream in accepted}


def _secret(api_key: object) -> tuple[Secret, None] | tuple[None, AskForKey]:
    """Return the key, or the function that is asked for it."""
    if callable(api_key) and not hasattr(api_key, "get_secret_value"):
        return None, cast("AskForKey", api_key)
    if api_key is not None:
        return Secret(HiddenStr(checked_text("api_key", api_key)), source="api_key"), None
    if KEY_VARIABLE in os.environ:
        return Secret(HiddenStr(os.environ[KEY_VARIABLE]), source=KEY_VARIABLE), None
    hint = f"export {KEY_VARIABLE}=..., or pass api_key="
    if OTHER_KEY_VARIABLE in os.environ:
        hint = (
            f"{OTHER_KEY_VARIABLE} is set, but not read here, as its key is for another service: {hint}; "
            f"api_key=os.environ[{OTHER_KEY_VARIABLE!r}] uses that one, with the base_url= it is for"
        )
    raise ConfigurationError(f"there is no API key: api_key was not given, and {KEY_VARIABLE} is not set", hint=hint)


def _observers(given: ObserversParam) -> Observers:
    """Return who listens: those that are given, and ``"otel"`` if the environment says so."""
    switch = os.environ.get(OTEL_VARIABLE, "")
    if switch.lower() not in ("", "0", "1", "false", "true"):
        raise ConfigurationError(f"{OTEL_VARIABLE} is {switch!r}, expected '1' or '0'")
    found = observer_list(given)
    if switch.lower() in ("1", "true") and not any(is_named(observer, "otel") for observer in found):
        found.extend(observer_list("otel"))
    return Observers(found)


def _proxy(proxy: object, base_urls: Sequence[str]) -> str | None:
    """Return the proxy for all of *base_urls*, which share the connections of one client."""
    found = {parse_proxy(checked_text("proxy", proxy), base_url, os.environ) for base_url in base_urls}
    if len(found) > 1:
        raise ConfigurationError(
            "the environment names a proxy for some of the endpoints, and another one, or none, for others",
            hint="give the proxy's URL as proxy=, or use a client for each",
        )
    return found.pop()


def _base_url(base_url: object, allow_insecure_http: bool, name: str = "base_url") -> str:
    source = name if base_url is not None else BASE_URL_VARIABLE
    url = base_url if base_url is not None else os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL
    return parse_base_url(checked_text("base_url", url), allow_insecure_http=allow_insecure_http, source=source)


claim(__name__)
