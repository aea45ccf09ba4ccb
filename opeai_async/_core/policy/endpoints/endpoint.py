"""What users say about the servers that may answer: the plan, before anything is known of how they behave."""

# Annotations are no strings here: msgspec would look them up in the module that the Structs say they are of.
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from msgspec import Struct

from opeai_async._core.call.redact import HiddenStr
from opeai_async._public import claim
from opeai_async.errors import ConfigurationError
from opeai_async.types.options import AskForKey

MaxConcurrency: TypeAlias = int | Literal["auto"]
OnBreak: TypeAlias = Literal["raise", "continue", "restart"]
ON_BREAK: tuple[OnBreak, ...] = ("raise", "continue", "restart")


class Capabilities(Struct, frozen=True, kw_only=True):
    """What an endpoint can do; None where that is not known yet.

    The first three are ways to let a model go on with text that it is given:

    Attributes:
        prefix: It goes on with a last message that has ``"prefix": true`` (DeepSeek).
        continue_final_message: It knows ``continue_final_message`` (vLLM, SGLang).
        assistant_last: It goes on with a conversation that ends with a message of the assistant (Anthropic, Mistral).
        tools: It calls functions.
        json_schema: It holds the model to a schema.
        vision: It reads pictures.
        context_tokens: How much it takes, prompt and answer together.
    """

    prefix: bool | None = None
    continue_final_message: bool | None = None
    assistant_last: bool | None = None
    tools: bool | None = None
    json_schema: bool | None = None
    vision: bool | None = None
    context_tokens: int | None = None

    @property
    def missing(self) -> frozenset[str]:
        """What it is known to be incapable of, as far as a request can need it."""
        return frozenset(name for name in ("tools", "json_schema", "vision") if getattr(self, name) is False)

    @classmethod
    def from_doctor(cls, report: Mapping[str, Any]) -> Self:
        """Return what a report of ``opeai_async doctor --json``, loaded from its JSON, tells: whether it calls tools.

        Raises:
            ConfigurationError: If it is no such report.
        """
        try:
            verdicts = {check["probe"]: check["verdict"] for check in report["checks"]}
        except (KeyError, TypeError):
            raise ConfigurationError("this is no report of the doctor: expected a list of checks") from None
        tools = verdicts.get("tools", "failed")
        return cls(tools=None if tools == "failed" else tools != "no")


class RateLimit(Struct, frozen=True, kw_only=True):
    """How much may be sent to one endpoint per minute; None for no limit.

    Attributes:
        requests_per_minute: Requests, attempts and hedges included.
        tokens_per_minute: Tokens, as estimated before sending: a quarter of the body's bytes and ``max_tokens``.
        burst_s: So many seconds' worth may go at once after a rest.
        redis_url: Where several processes share the limit; None keeps it in this process (extra ``redis``).
        share: How much of the limit this process takes while Redis cannot be reached, from 0 to 1.
    """

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    burst_s: float = 1.0
    redis_url: str | None = None
    share: float = 0.25

    def __post_init__(self) -> None:
        for name in ("requests_per_minute", "tokens_per_minute"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigurationError(f"{name} is {value!r}, expected a number above 0, or None for no limit")
        if not 0 < self.share <= 1:
            raise ConfigurationError(f"share is {self.share!r}, expected a number above 0, up to 1")
        if not 0 < self.burst_s < math.inf:
            raise ConfigurationError(f"burst_s is {self.burst_s!r}, expected a number of seconds above 0")

    def __repr__(self) -> str:  # the URL may hold a password
        where = ", redis_url=..." if self.redis_url else ""
        return f"RateLimit(requests={self.requests_per_minute}, tokens={self.tokens_per_minute} per minute{where})"


class Hedge(Struct, frozen=True, kw_only=True):
    """When to send a second request because the first one has no content yet.

    Attributes:
        after: Seconds, or a share of the calls such as ``"p95"``: the time in which that share had their content.
        budget: At most so many more requests, as a share of all.
    """

    after: float | str = "p95"
    budget: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.budget <= 1:
            raise ConfigurationError(f"budget is {self.budget!r}, expected a share above 0, up to 1")
        if self.seconds is None and self.quantile is None:
            raise ConfigurationError(f"after is {self.after!r}, expected seconds above 0, or 'p50' to 'p99'")

    @property
    def seconds(self) -> float | None:
        """The wait, where it is fixed."""
        is_number = isinstance(self.after, (int, float)) and not isinstance(self.after, bool)
        return float(self.after) if is_number and 0 < float(self.after) < math.inf else None

    @property
    def quantile(self) -> float | None:
        """The share of the calls whose time is the wait, where that is learnt."""
        text = self.after if isinstance(self.after, str) else ""
        number = text.removeprefix("p")
        is_share = text.startswith("p") and number.isascii() and number.isdigit() and 50 <= int(number) <= 99
        return int(number) / 100 if is_share else None


class EndpointPolicy(Struct, frozen=True, kw_only=True):
    """When an endpoint is left alone for a while, and how it comes back.

    Attributes:
        failures_in_row: So many failures one after another eject it.
        failure_share: Or this share of the last 20 calls, once there were at least ten.
        slow_factor: Or a first content that typically takes so many times as long as that of the fastest endpoint of
            its tier.
        eject_s: For how long, the first time; it doubles each time.
        max_eject_s: At most.
        sticky: Whether calls with the same ``prompt_cache_key`` or ``user`` go to the same endpoint while it is well.
    """

    failures_in_row: int = 3
    failure_share: float = 0.5
    slow_factor: float = 10.0
    eject_s: float = 5.0
    max_eject_s: float = 300.0
    sticky: bool = True


@dataclass(frozen=True, kw_only=True, repr=False)  # no Struct, whose fields cannot be functions beside texts
class Endpoint:
    """A server that may answer.

    Attributes:
        base_url: Where ``/chat/completions`` hangs.
        api_key: The key; the client's environment has it where it is empty. Or a function, which may be a coroutine
            function, that returns it: it is asked for each attempt, so it should remember the key by itself, and once
            more after a 401.
        model: Its own name for the caller's models: a dict from the one to the other, or one name for all; None sends
            what the caller says.
        name: In records and errors; the host if it is not given.
        weight: How much it takes beside others of its tier.
        tier: Lower ones are asked first; a higher one only while no endpoint below it can be used.
        headers: Sent with each request there.
        capabilities: What it can do, as far as that is known.
        limit: How much may be sent there.
        max_concurrency: How many answers may be open there at once; ``"auto"`` to learn it from how it answers, by the
            rule of ``completions.map``; None for no bound.
        allow_insecure_http: Allow ``http://`` to another machine.
    """

    base_url: str
    api_key: str | AskForKey = ""
    model: str | Mapping[str, str] | None = None
    name: str = ""
    weight: float = 1.0
    tier: int = 0
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    capabilities: Capabilities = field(default_factory=Capabilities)
    limit: RateLimit | None = None
    max_concurrency: MaxConcurrency | None = None
    allow_insecure_http: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.api_key, str):
            object.__setattr__(self, "api_key", HiddenStr(self.api_key))  # traceback printers show locals
        if not 0 < self.weight < math.inf:
            raise ConfigurationError(f"the weight of an endpoint is {self.weight!r}, expected a number above 0")
        bound: object = self.max_concurrency
        is_count = isinstance(bound, int) and not isinstance(bound, bool) and bound >= 1
        if not (bound is None or bound == "auto" or is_count):
            raise ConfigurationError(f"max_concurrency is {bound!r}, expected a number from 1, 'auto' or None")

    @property
    def label(self) -> str:
        """What it is called in records: never its query or key."""
        if self.name:
            return self.name
        try:
            parts = urlsplit(self.base_url)
            host = parts.hostname or "endpoint"
            return host if parts.port is None else f"{host}:{parts.port}"
        except ValueError:
            return "endpoint"

    @property
    def is_plain(self) -> bool:
        """Whether nothing must be decided for a call to it, as long as there is no other."""
        return self.limit is None and self.max_concurrency is None

    def __repr__(self) -> str:
        return f"<Endpoint {self.label}>"


class Endpoints:
    """Servers among which each call is given to one, and to another where that does not answer.

    Args:
        endpoints: The servers; one is enough.
        policy: When one is left alone.
        hedge: When to ask a second one because the first is late; None for never.
        on_break: What to do when an answer breaks off after content was handed out: ``"raise"``; ``"continue"`` from
            where it broke; ``"restart"`` it, if nobody has seen of it yet, because ``completion()`` reads it whole. By
            default ``"continue"``, and ``"raise"`` with one endpoint.

    Raises:
        ConfigurationError: If there is no endpoint.
    """

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        *,
        policy: EndpointPolicy | None = None,
        hedge: Hedge | None = None,
        on_break: OnBreak | None = None,
    ) -> None:
        self.endpoints: tuple[Endpoint, ...] = tuple(endpoints)
        self.policy: EndpointPolicy = policy or EndpointPolicy()
        self.hedge: Hedge | None = hedge
        if not self.endpoints:
            raise ConfigurationError("there is no endpoint, expected at least one")
        if on_break not in (None, *ON_BREAK):
            raise ConfigurationError(f"on_break is {on_break!r}, expected one of {', '.join(map(repr, ON_BREAK))}")
        self.on_break: OnBreak = on_break or ("raise" if len(self.endpoints) == 1 else "continue")

    def __repr__(self) -> str:
        return f"<Endpoints {', '.join(endpoint.label for endpoint in self.endpoints)}>"


claim(__name__)
