"""Faults that strike before a request can be sent. An `Endpoint` plays them, and not a server with answers."""

from __future__ import annotations

from opeai_async.testing.faults.fault import Fault, Verdict

_LOST = Verdict("APIConnectionError", "always")
_TIMED_OUT = Verdict("APITimeoutError", "always", "connect_s")
_NOT_TRUSTED = Verdict("TLSError")


# No request is sent, so it does not matter whether a stream was asked for: one verdict for both.
def _fault(name: str, meaning: str, verdict: Verdict) -> Fault:
    return Fault(name, meaning, "connect", verdict, verdict)


CONNECT = (
    _fault("refused", "Nobody listens: the connection is refused.", _LOST),
    _fault("connect_stall", "The connection is never accepted, nor refused.", _TIMED_OUT),
    _fault("tls_stall", "The connection is accepted, but the TLS handshake is never answered.", _TIMED_OUT),
    _fault("tls_fin", "The connection is closed inside the TLS handshake.", _LOST),
    _fault("tls_rst", "The connection is reset inside the TLS handshake.", _LOST),
    _fault("tls_not_spoken", "The server answers the TLS handshake in plain HTTP.", _NOT_TRUSTED),
    _fault("certificate_untrusted", "The certificate is signed by nobody whom the client trusts.", _NOT_TRUSTED),
    _fault("certificate_of_another", "The certificate is trusted, but for another host name.", _NOT_TRUSTED),
    _fault("certificate_expired", "The certificate is trusted, but out of date.", _NOT_TRUSTED),
)
