"""A reader of certificates: signer, subject and dates from the DER form, for the message of an error.

The ssl module does not take a certificate apart that it does not trust. Nothing here decides whom to trust. A
certificate is nested values, each a tag, a length and a content (X.690), in this order (RFC 5280 4.1)::

    Certificate > TBSCertificate > [version], serial number, algorithm, issuer, validity, subject, ...
                                                                 |        |
                                 set of (kind, text), each a name part    not before, not after
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec import Struct

_VERSION = 0xA0
_UTC_TIME = 0x17
_LONG_LENGTH = 0x80
_UTF16_TEXT = 0x1E
# What names a signer best comes first: common name, organisation, unit (X.520).
_NAME_PARTS = (b"\x55\x04\x03", b"\x55\x04\x0a", b"\x55\x04\x0b")
_MAX_NAME = 100


class Certificate(Struct, frozen=True):
    """The certificate that a server shows.

    Attributes:
        issuer: The signer: common name, and organisation where that says more.
        subject: The name that it is for, in the same form.
        not_before, not_after: The first and the last moment at which it is valid.
    """

    issuer: str
    subject: str
    not_before: datetime
    not_after: datetime

    @property
    def is_self_signed(self) -> bool:
        """True if the server seems to have signed it itself."""
        return self.issuer == self.subject


def parse_certificate(der: bytes) -> Certificate:
    """Read a certificate.

    Raises:
        ValueError: If *der* is not a certificate.
    """
    try:
        _, outer = next(_values(der))
        _, inner = next(_values(outer))
        fields = [content for tag, content in _values(inner) if tag != _VERSION]
        (begin_tag, begin), (end_tag, end) = _values(fields[3])
        return Certificate(_name(fields[2]), _name(fields[4]), _time(begin_tag, begin), _time(end_tag, end))
    except (IndexError, StopIteration, OverflowError, UnicodeError) as exc:
        raise ValueError("it is no certificate") from exc


def _values(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the tag and the content of each value in *data*."""
    while data:
        tag, length, begin = data[0], data[1], 2
        if length & _LONG_LENGTH:
            begin += length & ~_LONG_LENGTH
            length = int.from_bytes(data[2:begin], "big")
        if begin + length > len(data):
            raise IndexError("it is cut")
        yield tag, data[begin : begin + length]
        data = data[begin + length :]


def _name(data: bytes) -> str:
    """Return the best one or two parts of a name, on one line."""
    parts: dict[bytes, str] = {}
    for _, alternatives in _values(data):
        for _, pair in _values(alternatives):
            (_, kind), (tag, text) = _values(pair)
            encoding = "utf-16-be" if tag == _UTF16_TEXT else "utf-8"
            parts.setdefault(kind, _printable(text.decode(encoding, "replace")))
    found = [parts[kind] for kind in _NAME_PARTS if parts.get(kind)][:2]
    if len(found) == 2 and found[1] not in found[0]:
        return f"{found[0]} ({found[1]})"
    return found[0] if found else "nobody named"


def _printable(text: str) -> str:
    """Return *text* cut and cleaned for the message of an error: any server may have written it."""
    return "".join(char if char.isprintable() else "?" for char in text)[:_MAX_NAME].strip()


def _time(tag: int, content: bytes) -> datetime:
    """Return the moment in *content*; the short form counts years from 1950 to 2049 (RFC 5280 4.1.2.5)."""
    text = content.decode("ascii").removesuffix("Z")
    if tag == _UTC_TIME:
        text = f"{'19' if text[:2] >= '50' else '20'}{text}"
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
