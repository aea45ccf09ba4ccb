"""Hints for operators: what a failed connection means, and what to do about it.

The facts come from the ssl module, from the first bytes of an answer, and from the environment. A hint names the
variables of the environment, and never shows what they hold.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from opeai_async._core.call.proxies import environment_proxy
from opeai_async._io.net.diagnosis.certificate import Certificate
from opeai_async._io.net.sending import Sending, Wait
from opeai_async._io.net.trust import FILE_VARIABLE, FOLDER_VARIABLE

# X509_V_ERR_...: https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/
_NOT_YET_VALID, _EXPIRED, _SELF_SIGNED = 9, 10, 18
_UNKNOWN_SIGNER = frozenset({19, 20, 21})
_OTHER_NAME = frozenset({62, 64})

# Other programs read these in place of SSL_CERT_FILE.
_VARIABLES_OF_OTHERS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")

_NO_TLS = re.compile("WRONG_VERSION_NUMBER|HTTP_REQUEST|RECORD_LAYER_FAILURE|UNKNOWN_PROTOCOL|HTTPS_PROXY_REQUEST")
_NO_COMMON_PROTOCOL = re.compile("NO_APPLICATION_PROTOCOL")
_OLD_TLS = re.compile("PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|HANDSHAKE_FAILURE|NO_PROTOCOLS_AVAILABLE")

_STRICT = re.compile("Missing (Authority|Subject) Key Identifier|Basic Constraints|does not include key usage")

HTTP_2_HINT = (
    "it speaks HTTP/2 only, and this client HTTP/1.1: let the server, or a gateway before it, accept HTTP/1.1 "
    "(ALPN http/1.1)"
)
MAYBE_TLS = "check the network and the base URL; if that port speaks TLS, write https://"
EXECUTOR_HINT = (
    "give blocking calls an executor of their own in place of asyncio.to_thread, or enlarge the default one "
    "(loop.set_default_executor), or install aiodns, which needs no threads"
)
_DEFAULT_TLS_HINT = "check the certificate and the host name; pass ssl_context= to trust a private authority"
_TRUST = f"set {FILE_VARIABLE}=/path/to/ca.pem, or pass ssl_context=ssl.create_default_context(cafile=...)"


class Distrust(NamedTuple):
    """The reason why a certificate is not trusted.

    Attributes:
        code: OpenSSL's number of it.
        text: OpenSSL's words for it.
    """

    code: int
    text: str


def distrust_of(error: BaseException | None) -> Distrust | None:
    """Return why a certificate is not trusted, if *error* says so."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return None
    return Distrust(getattr(error, "verify_code", 0), getattr(error, "verify_message", "") or str(error))


def untrusted(
    distrust: Distrust, shown: Certificate | None, environment: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """Return two texts on an untrusted certificate: what was found, to follow the reason, and what to do about it.

    Args:
        distrust: The reason.
        shown: The certificate of the server; None if it could not be read.
        environment: The variables to look at; None for those of the process.
    """
    environment = os.environ if environment is None else environment
    if distrust.code == _EXPIRED:
        ended = "" if shown is None else f": it held until {_day(shown.not_after)}"
        return ended, "renew the server's certificate; if it is new, this machine's clock is wrong"
    if distrust.code == _NOT_YET_VALID:
        begins = "" if shown is None else f": it holds from {_day(shown.not_before)}"
        return begins, "this machine's clock is probably wrong"
    if distrust.code in _OTHER_NAME:
        found = "" if shown is None else f": the server shows one for {shown.subject!r}, signed by {shown.issuer!r}"
        return found, "write the name that the certificate is for into base_url; or something else answers there"
    if distrust.code == _SELF_SIGNED or (shown is not None and shown.is_self_signed):
        found = "" if shown is None else f": {shown.subject!r} signed it itself"
        return found, f"if you run that server, trust its certificate: {_TRUST}{_misleading(environment)}"
    if _STRICT.search(distrust.text):
        return "", (
            "Python 3.13 and later refuse certificates that are not made by the book: renew it, or pass an ssl_context "
            "whose verify_flags are without ssl.VERIFY_X509_STRICT"
        )
    signer = "" if shown is None else f": it is signed by {shown.issuer!r}"
    if distrust.code in _UNKNOWN_SIGNER:
        why = "this machine does not trust that authority; a company's proxy that opens TLS signs so, or a private CA"
        return signer, f"{why}: {_TRUST}{_misleading(environment)}"
    return signer, _DEFAULT_TLS_HINT


def handshake_hint(reason: str, sending: Sending, proxy: str | None) -> str | None:
    """Return what to do about a handshake that failed for *reason*; None to leave the default hint of the error."""
    if _NO_TLS.search(reason):
        if proxy is not None and proxy.startswith("https:"):
            return (
                "the proxy speaks plain HTTP, which carries https all the same: write its URL with http://; the scheme "
                "of a proxy says how to talk to the proxy itself"
            )
        return plain_hint()
    if _NO_COMMON_PROTOCOL.search(reason):
        return HTTP_2_HINT
    if _OLD_TLS.search(reason):
        return "server and client have no version or cipher of TLS in common; an ssl_context= may allow older ones"
    if "ALERT" in reason and "CERTIFICATE" in reason:
        return "the server wants a certificate of the client: ssl_context= with load_cert_chain(...) brings one"
    return None


def plain_hint() -> str:
    """Return what to do where TLS was spoken to a port that speaks plain HTTP."""
    return (
        "the port speaks plain HTTP: write http:// in base_url (with allow_insecure_http=True if it is another "
        "machine), or the port where the server speaks TLS"
    )


def odd_beginning(beginning: bytes) -> tuple[str, str] | None:
    """Return what answered with *beginning* in place of HTTP/1.1, and what to do about it; None if it is unknown."""
    if _is_http_2(beginning):
        return "answered in HTTP/2", HTTP_2_HINT
    if beginning[:2] in (b"\x15\x03", b"\x16\x03"):
        return "answered in TLS", "the port speaks TLS: write https:// in base_url"
    if re.match(rb"SSH-|220[ -]|\+OK|\* OK|-ERR|\+PONG|[EJ]\x00\x00", beginning):
        return "does not speak HTTP", "check host and port of base_url: another service listens there"
    return None


def _is_http_2(beginning: bytes) -> bool:
    """Tell whether *beginning* is a SETTINGS or GOAWAY frame of the whole connection (RFC 9113 4.1)."""
    return beginning[3:4] in (b"\x04", b"\x07") and beginning[5:9] == bytes(4) and beginning[:1] == b"\x00"


def unused_proxy(sending: Sending, environment: Mapping[str, str] | None = None) -> str:
    """Return a hint that the environment names a proxy for *sending* which was not used; empty if it names none."""
    if sending.via_proxy:
        return ""
    found = environment_proxy(sending.url, os.environ if environment is None else environment)
    if found is None:
        return ""
    return f'{found.variable} is set, but not used: pass proxy="env" if this network needs it'


def refused_hint(sending: Sending) -> str:
    """Return what to do where a machine is there, and nothing listens at the port."""
    if sending.via_proxy:
        return "nothing listens at the proxy's port: correct its URL, or start it"
    return "nothing listens at that port: start the server, or correct host and port in base_url"


def late(sending: Sending) -> tuple[str, str | None]:
    """Return why *sending* got no connection in time, and what to do; None to leave the default hint of the error."""
    if sending.waits_for is Wait.EXECUTOR:
        return (
            ": the lookup of its name has not begun, all threads of the event loop's default executor are busy",
            EXECUTOR_HINT,
        )
    if sending.waits_for is Wait.LOOKUP:
        return ": the lookup of its name has not ended", "check the DNS of this machine (/etc/resolv.conf)"
    return "", None


def _misleading(environment: Mapping[str, str]) -> str:
    """Return what is wrong with the variables that are set; empty if nothing is."""
    for variable, is_there in ((FILE_VARIABLE, os.path.isfile), (FOLDER_VARIABLE, os.path.isdir)):
        if (path := environment.get(variable)) and not is_there(path):
            return f"; {variable} is set, but there is nothing at that path"
    if not environment.get(FILE_VARIABLE):
        others = [variable for variable in _VARIABLES_OF_OTHERS if environment.get(variable)]
        if others:
            return f"; {others[0]} is set, but not read here"
    return ""


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
