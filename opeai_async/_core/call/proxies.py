"""The proxies that an environment asks for, read as curl, urllib, requests and httpx do.

======================================  ==============================================================================
``https_proxy``, ``http_proxy``         For URLs of that scheme. Lower case goes before upper case, also if it is empty.
``all_proxy``                           For both, where the variable of the scheme is missing or empty.
``no_proxy``                            What goes past them: ``*`` for all, or names, addresses and networks.
``HTTP_PROXY``, with ``REQUEST_METHOD``  Ignored: a CGI program gets it from a request's ``Proxy`` header (httpoxy.org).
======================================  ==============================================================================

An entry of ``no_proxy`` is a host, with all below it (``example.com`` and ``.example.com`` are the same, and so is
``*.example.com``), an address, or a network (``10.0.0.0/8``); each may name a port. Nothing is resolved.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

_PORT_OF = {"http": 80, "https": 443}


class EnvironmentProxy(NamedTuple):
    """A proxy that a variable names.

    Attributes:
        variable: The variable's name, as it is spelled there.
        url: What it holds, with ``http://`` before it where it has no scheme; it may hold a password.
    """

    variable: str
    url: str


def environment_proxy(url: str, environment: Mapping[str, str]) -> EnvironmentProxy | None:
    """Return the proxy that *environment* has for *url*; None if it has none, or excepts *url*."""
    target = urlsplit(url)
    found = _value_of(f"{target.scheme}_proxy", environment) or _value_of("all_proxy", environment)
    if found is None or _is_excepted(target, _value_of("no_proxy", environment)):
        return None
    variable, value = found
    return EnvironmentProxy(variable, value if "://" in value else f"http://{value}")


def _value_of(name: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Return spelling and value of the variable *name*, which is in lower case; None if it is missing or empty."""
    for spelling in (name, name.upper()):
        if spelling == "HTTP_PROXY" and "REQUEST_METHOD" in environment:
            continue
        if spelling in environment:
            value = environment[spelling].strip()
            return (spelling, value) if value else None
    return None


def _is_excepted(target: SplitResult, no_proxy: tuple[str, str] | None) -> bool:
    host = (target.hostname or "").rstrip(".")
    port = target.port or _PORT_OF.get(target.scheme)
    entries = re.split(r"[,\s]+", no_proxy[1]) if no_proxy is not None else []
    return any(_matches(entry.lower(), host, port) for entry in entries if entry)


def _matches(entry: str, host: str, port: int | None) -> bool:
    """Tell whether *entry* of no_proxy means *host* at *port*."""
    if entry == "*":
        return True
    name, named_port = _without_port(entry)
    if named_port is not None and named_port != port:
        return False
    address = _address(host)
    if address is not None:
        try:
            return address in ipaddress.ip_network(name, strict=False)
        except ValueError:  # it is a name
            return False
    name = name.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _without_port(entry: str) -> tuple[str, int | None]:
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::([0-9]{1,5}))?", entry)  # [::1]:8080
    plain = re.fullmatch(r"([^:]*):([0-9]{1,5})", entry)  # an IPv6 address without brackets has more colons
    found = bracketed or plain
    if found is None:
        return entry, None
    return found[1], int(found[2]) if found[2] else None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
