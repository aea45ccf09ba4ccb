"""What is read from a certificate, and that nothing else comes of bytes that are none."""

import ssl
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._io.net.diagnosis.certificate import parse_certificate
from opeai_async.testing import certificates
from tests.support.servers.authority import NAME, ORGANISATION, new_authority

SIGNED_BY_ITSELF = ssl.PEM_cert_to_DER_cert(certificates.LOCALHOST)


def value(tag: int, *parts: bytes) -> bytes:
    """A value of DER."""
    content = b"".join(parts)
    if len(content) < 128:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes(2, "big")
    return bytes((tag, 0x82)) + length + content


def name(*parts: tuple[bytes, int, bytes]) -> bytes:
    return value(0x30, *(value(0x31, value(0x30, value(6, kind), value(tag, text))) for kind, tag, text in parts))


def certificate(issuer: bytes, *, begin: bytes = value(0x17, b"260101000000Z"), version: bytes = b"") -> bytes:
    end = value(0x18, b"20550101000000Z")
    inner = value(0x30, version, value(2, b"\1"), value(0x30), issuer, value(0x30, begin, end), issuer, value(0x30))
    return value(0x30, inner, value(0x30), value(3, b"\0"))


COMMON_NAME, ORGANISATION_NAME, COUNTRY = b"\x55\x04\x03", b"\x55\x04\x0a", b"\x55\x04\x06"


def test_a_certificate_that_signed_itself():
    found = parse_certificate(SIGNED_BY_ITSELF)
    assert found.issuer == found.subject == "localhost"
    assert found.is_self_signed
    assert found.not_before == datetime(2020, 1, 1, tzinfo=UTC)
    assert found.not_after == datetime(2120, 1, 1, tzinfo=UTC)


def test_a_certificate_of_an_authority(tmp_path):
    """Real ones, by openssl."""
    authority = new_authority(tmp_path)
    found = parse_certificate(ssl.PEM_cert_to_DER_cert(authority.certificate.read_text()))
    assert found.issuer == f"{NAME} ({ORGANISATION})"
    assert found.subject == "localhost"
    assert not found.is_self_signed


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        (name((COMMON_NAME, 12, b"A"), (ORGANISATION_NAME, 12, b"B")), "A (B)"),
        (name((ORGANISATION_NAME, 12, b"B"), (COMMON_NAME, 12, b"A")), "A (B)"),
        (name((COMMON_NAME, 12, b"Zscaler Root"), (ORGANISATION_NAME, 12, b"Zscaler")), "Zscaler Root"),
        (name((ORGANISATION_NAME, 12, b"B")), "B"),
        (name((COUNTRY, 19, b"DE")), "nobody named"),
        (name(), "nobody named"),
        (name((COMMON_NAME, 0x1E, "Fürst".encode("utf-16-be"))), "Fürst"),
        (name((COMMON_NAME, 12, "Fürst".encode())), "Fürst"),
        (name((COMMON_NAME, 12, b"\x1b[31mA\r\nB")), "?[31mA??B"),
        (name((COMMON_NAME, 12, b"x" * 500)), "x" * 100),
    ],
)
def test_names(issuer, expected):
    """The parts that say most, on one line and not too long, whatever a stranger has put there."""
    assert parse_certificate(certificate(issuer)).issuer == expected


def test_times():
    """Two digits of a year mean 1950 to 2049; the version may be left out."""
    old = certificate(name(), begin=value(0x17, b"991231235959Z"), version=value(0xA0, value(2, b"\2")))
    assert parse_certificate(old).not_before == datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert parse_certificate(certificate(name())).not_before == datetime(2026, 1, 1, tzinfo=UTC)


@given(st.binary(max_size=200))
def test_what_is_none(data):
    with pytest.raises(ValueError, match=r"."):
        parse_certificate(data)


@given(st.integers(0, len(SIGNED_BY_ITSELF) - 1))
def test_what_is_cut(length):
    with pytest.raises(ValueError, match="no certificate"):
        parse_certificate(SIGNED_BY_ITSELF[:length])


@given(st.integers(0, len(SIGNED_BY_ITSELF) - 1), st.integers(0, 255))
def test_what_is_damaged(position, byte):
    """It is read, or refused; nothing else happens."""
    damaged = bytearray(SIGNED_BY_ITSELF)
    damaged[position] = byte
    try:
        parse_certificate(bytes(damaged))
    except ValueError:
        pass
