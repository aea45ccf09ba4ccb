"""What a client is set up with, checked once: where to send, which headers, over what."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from urllib.parse import SplitResult, quote, urlencode, urlsplit, urlunsplit

from opeai_async._core.call.proxies import environment_proxy
from opeai_async._core.call.redact import HiddenStr
from opeai_async._core.policy.checks import checked_texts
from opeai_async.errors import ConfigurationError

DEFAULT_BASE_URL = "https://api-platform.ope.ai/v1"
FROM_ENVIRONMENT = "env"

_PROXY_HINT = "expected something like http://user:password@host:3128"

# RFC 9110 5.6.2 and 5.5. aiohttp sends any name it is given (seen on 3.14.5).
IDEMPOTENCY_HEADER = "Idempotency-Key"
# Those that are looked for later, where any case would cost.
_SPELLINGS = {IDEMPOTENCY_HEADER.lower(): IDEMPOTENCY_HEADER}
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
_HEADER_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)?", re.ASCII)
_HOST = re.compile(r"[0-9a-z.\-_]+|[0-9a-f:.]+", re.ASCII)  # a name or IPv4 address, or an IPv6 address
_URL_SAFE = "/:@!$&'()*+,;=-._~%?"  # RFC 3986 3.3 and 3.4, and what is percent-encoded already
_PROTECTED_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection"})


def unexpected_keyword(function: str, name: str, known: Iterable[str], former: Mapping[str, str]) -> TypeError:
    """Return the error for a keyword *name* that *function* does not have: with its name here, or the nearest one."""
    import difflib

    error = TypeError(f"{function}() got an unexpected keyword argument {name!r}")
    if hint := former.get(name):
        error = TypeError(f"{error}: {hint}")
    elif near := difflib.get_close_matches(name, list(known), n=1):
        error = TypeError(f"{error}; did you mean {near[0]!r}?")
    return error


def parse_base_url(base_url: str, *, allow_insecure_http: bool, source: str) -> str:
    """*base_url* without a trailing slash and percent-encoded, if a key may be sent there.

    Raises:
        ConfigurationError: If it is malformed, holds a user name, or is plain http to another machine. The message
            names *source*, and of the URL at most scheme and host: the rest may hold a key.
    """
    if re.search(r"[\s\x00-\x20\x7f]", base_url):
        raise ConfigurationError(f"the base URL from {source} holds white space or control characters")
    parts = _split(base_url, source)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"the base URL from {source} has the scheme {parts.scheme!r} and the host {parts.hostname!r}, expected "
            "something like https://host/v1"
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"the base URL from {source} holds a user name", hint="give the key as api_key=")
    if not _HOST.fullmatch(parts.hostname):
        raise ConfigurationError(
            f"the base URL from {source} has the host {parts.hostname!r}, expected a name or an address in ASCII",
            hint="give an international name in its ASCII form (xn--...)",
        )
    if parts.scheme == "http" and not allow_insecure_http and not _is_loopback(parts.hostname):
        raise ConfigurationError(
            f"the base URL from {source} is http://{parts.hostname}: the key would travel unencrypted",
            hint="use https, or pass allow_insecure_http=True inside a trusted network",
        )
    if parts.fragment:
        raise ConfigurationError(f"the base URL from {source} has a fragment (#...), expected none")
    path = quote(parts.path.rstrip("/"), safe=_URL_SAFE)
    return urlunsplit(parts._replace(path=path, query=quote(parts.query, safe=_URL_SAFE)))


def parse_proxy(proxy: str, base_url: str, environment: Mapping[str, str]) -> str | None:
    """Return the proxy for *base_url*, which no repr shows, as it may hold a password; None if there shall be none.

    aiohttp (seen on 3.14.5) ignores an empty one, which sends everything past the proxy, and speaks HTTP to any scheme.

    Args:
        proxy: Its URL, or ``"env"`` for that which *environment* names.

    Raises:
        ConfigurationError: If it is no HTTP proxy. The message names at most the scheme: the rest may hold a password.
    """
    source = "proxy"
    if proxy == FROM_ENVIRONMENT:
        found = environment_proxy(base_url, environment)
        if found is None:
            return None
        source, proxy = found
    proxy = HiddenStr(proxy)
    if re.search(r"[\s\x00-\x20\x7f]", proxy):
        raise ConfigurationError(f"{source} holds white space or control characters", hint=_PROXY_HINT)
    scheme = proxy.partition("://")[0].lower() if "://" in proxy else ""
    try:
        parts = urlsplit(proxy)
        is_usable = parts.scheme in ("http", "https") and parts.port != 0 and _HOST.fullmatch(parts.hostname or "")
    except ValueError:  # whose text may quote a password
        raise ConfigurationError(f"the host or the port of {source} is malformed", hint=_PROXY_HINT) from None
    if not is_usable:
        raise _no_proxy(source, proxy, scheme)
    return proxy


def _no_proxy(source: str, proxy: str, scheme: str) -> ConfigurationError:
    """Return the error for what is no URL of an HTTP proxy."""
    if scheme.startswith("socks"):
        return ConfigurationError(
            f"{source} is a SOCKS proxy ({scheme}://), expected an HTTP proxy",
            hint="SOCKS is not spoken here: give its HTTP port if it has one, or put one before it (privoxy, gost)",
        )
    if not scheme and proxy:
        return ConfigurationError(
            f"{source} has no scheme, expected a URL", hint='write http:// before it: "http://host:port"'
        )
    return ConfigurationError(f"{source} has the scheme {scheme!r} or no proper host", hint=_PROXY_HINT)


def _split(base_url: str, source: str) -> SplitResult:
    try:
        parts = urlsplit(base_url)
        _ = parts.port
    except ValueError:  # whose text may quote a password
        raise ConfigurationError(
            f"the host or the port of the base URL from {source} is malformed, expected something like "
            "https://host:8443/v1"
        ) from None
    return parts


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def endpoint(base_url: str, path: str, query: Mapping[str, str] | None = None) -> str:
    """The URL of *path* below *base_url*; a query of the base URL stays, and *query* is added.

    Raises:
        ConfigurationError: If *query* is no mapping of text to text.
    """
    parts = urlsplit(base_url)
    queries = "&".join(part for part in (parts.query, urlencode(checked_texts("default_query", query or {}))) if part)
    return urlunsplit(parts._replace(path=f"{parts.path}/{path}", query=queries))


def with_query(url: str, query: Mapping[str, str]) -> str:
    """Return *url* with *query* added to the one it has.

    Raises:
        ConfigurationError: If *query* is no mapping of text to text.
    """
    return f"{url}{'&' if '?' in url else '?'}{urlencode(dict(checked_texts('extra_query', query)))}"


def check_headers(headers: Mapping[str, str], source: str) -> dict[str, str]:
    """*headers*, if they may be sent; no repr shows their values, because some servers take a key there.

    Raises:
        ConfigurationError: Names the header, never its value.
    """
    for name, value in checked_texts(source, headers).items():
        if not _HEADER_NAME.fullmatch(name):
            raise ConfigurationError(f"{source} has the header name {name!r}, expected letters, digits and hyphens")
        if name.lower() in _PROTECTED_HEADERS:
            raise ConfigurationError(f"{source} sets {name}, which belongs to the connection")
        if not _HEADER_VALUE.fullmatch(value):
            raise ConfigurationError(f"the value of {name} in {source} is not printable ASCII")
    return {_SPELLINGS.get(name.lower(), name): HiddenStr(value) for name, value in headers.items()}


def merged_headers(headers: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """*headers* with those of *extra* added, or put in their place; names match in any case."""
    replaced = {name.lower() for name in extra}
    return {**{name: value for name, value in headers.items() if name.lower() not in replaced}, **extra}


KEY_VARIABLE = "OPEAI_API_KEY"
BASE_URL_VARIABLE = "OPEAI_BASE_URL"
OTEL_VARIABLE = "OPEAI_OTEL"
