"""Which proxy an environment asks for, and what is said about one that cannot be used."""

import ipaddress
import urllib.request

import pytest

from opeai_async import ConfigurationError
from opeai_async._core.call.proxies import EnvironmentProxy, environment_proxy
from opeai_async._core.call.settings import parse_proxy

URL = "https://api.example.com/v1"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://p:1"}, ("HTTPS_PROXY", "http://p:1")),
        ({"https_proxy": "http://p:1"}, ("https_proxy", "http://p:1")),
        ({"https_proxy": "http://lower:1", "HTTPS_PROXY": "http://upper:1"}, ("https_proxy", "http://lower:1")),
        ({"https_proxy": "", "HTTPS_PROXY": "http://upper:1"}, None),
        ({"HTTP_PROXY": "http://p:1"}, None),
        ({"ALL_PROXY": "http://p:1"}, ("ALL_PROXY", "http://p:1")),
        ({"HTTPS_PROXY": "http://p:1", "ALL_PROXY": "http://q:1"}, ("HTTPS_PROXY", "http://p:1")),
        ({"HTTPS_PROXY": "", "ALL_PROXY": "http://q:1"}, ("ALL_PROXY", "http://q:1")),
        ({"HTTPS_PROXY": "p:3128"}, ("HTTPS_PROXY", "http://p:3128")),
        ({"HTTPS_PROXY": "  http://p:1 "}, ("HTTPS_PROXY", "http://p:1")),
        ({"HTTPS_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, ("HTTPS_PROXY", "http://p:1")),
    ],
)
def test_which_variable_counts(environment, expected):
    found = environment_proxy(URL, environment)
    assert found == (None if expected is None else EnvironmentProxy(*expected))


def test_a_cgi_program_ignores_http_proxy():
    """The web server makes that variable of a request's header; in lower case, it cannot."""
    cgi = {"HTTP_PROXY": "http://evil:1", "REQUEST_METHOD": "GET"}
    assert environment_proxy("http://api.example.com", cgi) is None
    assert environment_proxy("http://api.example.com", cgi | {"http_proxy": "http://p:1"}) == (
        "http_proxy",
        "http://p:1",
    )
    del cgi["REQUEST_METHOD"]
    assert environment_proxy("http://api.example.com", cgi) == ("HTTP_PROXY", "http://evil:1")


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_excepted"),
    [
        ("*", URL, True),
        ("example.com", URL, True),
        (".example.com", URL, True),
        ("*.example.com", URL, True),
        ("EXAMPLE.com", URL, True),
        ("api.example.com", URL, True),
        ("api.example.com.", URL, True),
        ("ample.com", URL, False),
        ("example.org", URL, False),
        ("other, example.com", URL, True),
        ("other example.com", URL, True),
        (" , ,", URL, False),
        ("", URL, False),
        (".", URL, False),
        ("example.com:443", URL, True),
        ("example.com:8443", URL, False),
        ("example.com:8443", "https://api.example.com:8443/v1", True),
        ("10.0.0.0/8", "https://10.1.2.3/v1", True),
        ("10.0.0.0/8", "https://11.1.2.3/v1", False),
        ("10.0.0.0/8", URL, False),
        ("10.1.2.3", "https://10.1.2.3/v1", True),
        ("10.1.2.3:443", "https://10.1.2.3/v1", True),
        ("10.1.2.3:80", "https://10.1.2.3/v1", False),
        ("example.com", "https://10.1.2.3/v1", False),
        ("::1", "https://[::1]/v1", True),
        ("[::1]", "https://[::1]/v1", True),
        ("[::1]:8443", "https://[::1]:8443/v1", True),
        ("[::1]:8443", "https://[::1]/v1", False),
        ("fd00::/8", "https://[fd12::1]/v1", True),
    ],
)
def test_no_proxy(no_proxy, url, is_excepted):
    for name in ("NO_PROXY", "no_proxy"):
        found = environment_proxy(url, {"HTTPS_PROXY": "http://p:1", name: no_proxy})
        assert (found is None) == is_excepted


@pytest.mark.parametrize(
    "no_proxy", ["*", "example.com", ".example.com", "ample.com", "example.com:443", "a,api.example.com"]
)
def test_no_proxy_as_the_standard_library_has_it(no_proxy):
    """Where urllib knows a form of entry, this means the same."""
    theirs = urllib.request.proxy_bypass_environment("api.example.com:443", {"no": no_proxy})
    assert (environment_proxy(URL, {"HTTPS_PROXY": "http://p", "NO_PROXY": no_proxy}) is None) == bool(theirs)


def test_networks_are_looked_at_as_addresses():
    """Each address of a small network, and its neighbours."""
    network = ipaddress.ip_network("192.168.7.64/28")
    for address in ipaddress.ip_network("192.168.7.0/24"):
        environment = {"ALL_PROXY": "http://p", "NO_PROXY": str(network)}
        assert (environment_proxy(f"http://{address}/v1", environment) is None) == (address in network)


def test_what_env_means():
    """The environment's proxy for this URL; it is not shown."""
    found = parse_proxy("env", URL, {"HTTPS_PROXY": "http://user:secret-pw@p:1"})
    assert str(found) == "http://user:secret-pw@p:1"
    assert "secret-pw" not in repr(found)
    assert parse_proxy("env", URL, {}) is None
    assert parse_proxy("env", URL, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "example.com"}) is None


@pytest.mark.parametrize(
    ("proxy", "environment", "says", "hint"),
    [
        ("socks5://u:secret-pw@h:1", {}, "proxy is a SOCKS proxy", "HTTP port"),
        ("socks5h://u:secret-pw@h:1", {}, "socks5h", "HTTP port"),
        ("env", {"ALL_PROXY": "socks5://u:secret-pw@h:1"}, "ALL_PROXY is a SOCKS proxy", "HTTP port"),
        ("u:secret-pw@host:3128", {}, "proxy has no scheme", '"http://host:port"'),
        ("host:3128", {}, "proxy has no scheme", '"http://host:port"'),
        ("host", {}, "proxy has no scheme", '"http://host:port"'),
        ("ftp://u:secret-pw@h", {}, "scheme 'ftp'", "http://user:password@host:3128"),
        ("env", {"HTTPS_PROXY": "http://u:secret-pw@h:x"}, "port of HTTPS_PROXY", "http://user:password@host:3128"),
        ("env", {"HTTPS_PROXY": "http://u:secret pw@h"}, "HTTPS_PROXY holds white", "http://user:password@host:3128"),
    ],
)
def test_what_is_no_proxy(proxy, environment, says, hint):
    """The error names where it came from, says what to write, and shows no password."""
    with pytest.raises(ConfigurationError, match=says) as caught:
        parse_proxy(proxy, URL, environment)
    assert hint in caught.value.hint
    assert "secret" not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("proxy", ["http://h", "https://u:p@h:3129", "HTTP://h:1", "http://[::1]:3128"])
def test_what_is_a_proxy(proxy):
    assert str(parse_proxy(proxy, URL, {})) == proxy
