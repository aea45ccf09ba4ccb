"""Where a client may send a key, and which headers it may add."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async import AsyncOpeAI
from opeai_async._core.call.settings import DEFAULT_BASE_URL, check_headers, endpoint, merged_headers, parse_base_url
from opeai_async.errors import ConfigurationError


def parse(url: str, *, insecure: bool = False) -> str:
    return parse_base_url(url, allow_insecure_http=insecure, source="base_url")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (DEFAULT_BASE_URL, DEFAULT_BASE_URL),
        ("https://host/v1/", "https://host/v1"),
        ("https://host/v1///", "https://host/v1"),
        ("https://host", "https://host"),
        ("https://host/", "https://host"),
        ("HTTPS://Host:8443/V1", "https://Host:8443/V1"),
        ("https://host:443/a/b/c", "https://host:443/a/b/c"),
        ("https://host/v1?api-version=2026-01-01", "https://host/v1?api-version=2026-01-01"),
        ("https://host/v1/?a=%20b", "https://host/v1?a=%20b"),
        ("https://host/v1#", "https://host/v1"),
        ("https://[2001:db8::1]:8000/v1", "https://[2001:db8::1]:8000/v1"),
        ("https://10.0.0.1/v1", "https://10.0.0.1/v1"),
        ("https://my_service.internal/v1", "https://my_service.internal/v1"),
        ("https://host/prüfung/a%2Fb", "https://host/pr%C3%BCfung/a%2Fb"),
        ('https://host/v1?q="ü"', "https://host/v1?q=%22%C3%BC%22"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("http://127.9.9.9/v1", "http://127.9.9.9/v1"),
        ("http://localhost:11434/v1", "http://localhost:11434/v1"),
        ("http://LOCALHOST/v1", "http://LOCALHOST/v1"),
        ("http://api.localhost/v1", "http://api.localhost/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_base_urls_that_are_taken(url, expected):
    """They keep their path and query, lose the slash at the end, and become ASCII."""
    assert parse(url) == expected


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "the scheme '' and the host None"),
        ("host/v1", "the scheme ''"),
        ("localhost:8000/v1", "the scheme 'localhost'"),
        ("ftp://host/v1", "the scheme 'ftp'"),
        ("https:///v1", "the host None"),
        ("https://:443/v1", "the host None"),
        ("https://host:port/v1", "malformed"),
        ("https://host:99999/v1", "malformed"),
        ("https://[::1/v1", "malformed"),
        ("https://ho\u2100st/v1", "malformed"),
        ("https://user@host/v1", "user name"),
        ("https://user:pass@host/v1", "user name"),
        ("https://@host/v1", "user name"),
        ("https://host\\@evil.example/v1", "user name"),
        ("https://evil\\.example/v1", "the host"),
        ("https://höst.example/v1", "the host"),
        ("https://[fe80::1%25eth0]/v1", "the host"),
        ("https://host/v1#part", "fragment"),
        ("https://host /v1", "white space or control"),
        (" https://host/v1", "white space or control"),
        ("https://host/v1\r\nX-Evil: 1", "white space or control"),
        ("https://host/v1\n", "white space or control"),
        ("https://host/\x00", "white space or control"),
        ("https://host/\x7f", "white space or control"),
        ("https://host/\u2028v1", "white space or control"),
    ],
)
def test_base_urls_that_are_refused(url, message):
    """The error says where the URL came from, and what is wrong with it."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        parse(url)
    assert "base_url" in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "host",
    ["host", "10.0.0.1", "0.0.0.0", "192.168.1.1", "[2001:db8::1]", "localhost.evil.example", "127.0.0.1.nip.io"],
)
def test_plain_http_to_another_machine(host):
    """A key never travels unencrypted unless that was asked for."""
    with pytest.raises(ConfigurationError, match="the key would travel unencrypted") as caught:
        parse(f"http://{host}/v1")
    assert "allow_insecure_http=True" in caught.value.hint
    assert parse(f"http://{host}/v1", insecure=True) == f"http://{host}/v1"


@pytest.mark.parametrize(
    "url",
    [
        "https://canary:canary@host/v1",
        "https://canary\u2100canary@host/v1",
        "ftp://host/canary?key=canary",
        "https://host/canary#canary",
        "https://host:port/canary?key=canary",
        "http://host/canary?key=canary",
        "https://host/ canary",
        "https://hö.example/canary?key=canary",
    ],
)
def test_a_refusal_quotes_scheme_and_host_at_most(url):
    """A password or a key inside the URL is in no message."""
    with pytest.raises(ConfigurationError) as caught:
        parse(url)
    assert "canary" not in f"{caught.value!r} {caught.value.hint} {caught.value.__cause__!r}"


@given(st.text(max_size=30))
def test_any_text_is_a_printable_url_or_refused(text):
    """No other error, and nothing that could end a header line or a request line."""
    for url in (text, f"https://host/{text}", f"https://{text}/v1"):
        try:
            parsed = parse(url)
        except ConfigurationError:
            continue
        assert parsed.isascii()
        assert parsed.isprintable()
        assert " " not in parsed
        assert parse(parsed) == parsed


@pytest.mark.parametrize(
    ("base_url", "query", "expected"),
    [
        ("https://host/v1", None, "https://host/v1/chat/completions"),
        ("https://host", None, "https://host/chat/completions"),
        ("https://host/v1", {}, "https://host/v1/chat/completions"),
        ("https://host/v1", {"a": "1", "b": "x y&z"}, "https://host/v1/chat/completions?a=1&b=x+y%26z"),
        ("https://host/v1?v=2", None, "https://host/v1/chat/completions?v=2"),
        ("https://host/v1?v=2", {"a": "ü"}, "https://host/v1/chat/completions?v=2&a=%C3%BC"),
        ("http://[::1]:8000/v1", None, "http://[::1]:8000/v1/chat/completions"),
    ],
)
def test_the_endpoint_below_a_base_url(base_url, query, expected):
    """The query of the base URL stays, and the given one is added."""
    assert endpoint(base_url, "chat/completions", query) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-A", "b"), ("x_a", ""), ("X-A", "a b\tc"), ("Authorization", "Basic abc"), ("!#$%&'*+-.^_`|~09", "~")],
)
def test_headers_that_may_be_sent(name, value):
    """They are sent as they are, and shown by no repr."""
    checked = check_headers({name: value}, "extra_headers")
    assert checked == {name: value}
    assert repr(checked) == repr({name: "[redacted]"})


@pytest.mark.parametrize("name", ["", "X A", "X:A", "X\r\nB", "X\n", "Ü", "X-(a)", "x\x00"])
def test_header_names_that_are_refused(name):
    """A name is a token; the transport would send anything."""
    with pytest.raises(ConfigurationError, match="extra_headers has the header name"):
        check_headers({name: "v"}, "extra_headers")


@pytest.mark.parametrize(
    "value", ["a\r\nX-Evil: 1", "a\n", "\ra", "\x00", "canary\x7f", "canaryü", " canary", "canary "]
)
def test_header_values_that_are_refused(value):
    """The error names the header and never shows the value."""
    with pytest.raises(ConfigurationError, match="the value of X-A in extra_headers is not printable ASCII") as caught:
        check_headers({"X-A": value}, "extra_headers")
    assert "canary" not in repr(caught.value)


@pytest.mark.parametrize("name", ["Host", "content-length", "TRANSFER-ENCODING", "Connection"])
def test_headers_that_belong_to_the_connection(name):
    """Setting them could smuggle a second request."""
    with pytest.raises(ConfigurationError, match=f"extra_headers sets {name}, which belongs to the connection"):
        check_headers({name: "v"}, "extra_headers")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([("x-a", "b")], "of type list, expected a mapping"),
        ("x-a: b", "of type str, expected a mapping"),
        ({b"x-a": "b"}, "the name b'x-a', expected text"),
        ({"x-a": 5}, "value of x-a in .* of type int, expected text"),
        ({"x-a": None}, "value of x-a in .* of type NoneType"),
    ],
)
def test_headers_and_queries_are_mappings_of_text(value, says):
    """The error names the place and the type, and never a value."""
    with pytest.raises(ConfigurationError, match=says):
        check_headers(value, "extra_headers")
    with pytest.raises(ConfigurationError, match=says):
        endpoint("https://host/v1", "chat/completions", value)
    with pytest.raises(ConfigurationError, match=says):
        AsyncOpeAI("sk-1", default_headers=value)


def test_merged_headers_match_in_any_case():
    """What is put in place of another is not sent beside it, and what was given stays as it was."""
    headers, extra = {"Accept": "a", "X-B": "b"}, {"accept": "c", "X-D": "d"}
    assert merged_headers(headers, extra) == {"accept": "c", "X-B": "b", "X-D": "d"}
    assert (headers, extra) == ({"Accept": "a", "X-B": "b"}, {"accept": "c", "X-D": "d"})
