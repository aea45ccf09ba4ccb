"""A certificate for localhost that nobody has signed."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


def self_signed(where: Path) -> tuple[Path, Path]:
    """A new certificate and its key, in files below *where*; the test is skipped where there is no openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    key, cert = where / "key.pem", where / "cert.pem"
    options = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    command = ["openssl", "req", *options.split(), "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def contexts(where: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For a server with such a certificate, and for a client that trusts it."""
    cert, key = self_signed(where)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(cert, key)
    return server, ssl.create_default_context(cafile=cert)
