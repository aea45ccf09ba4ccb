"""A certificate authority such as a company has, and a certificate that it signed."""

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
NAME = "Example TLS Inspection CA"
ORGANISATION = "Example Corp"


class Authority(NamedTuple):
    """Files of an authority, and of a certificate for localhost that it signed.

    Attributes:
        trust: Its own certificate.
        certificate, key: Those of a server.
    """

    trust: Path
    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """For a server with that certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        return context


def new_authority(where: Path, *, name: str = NAME, organisation: str = ORGANISATION) -> Authority:
    """Make both below *where*; the test is skipped where there is no openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    found = Authority(where / "ca.pem", where / "cert.pem", where / "key.pem")
    extensions = where / "extensions"
    # The last is what Python 3.13 insists on.
    extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
    ca_key, request = where / "ca-key.pem", where / "request.pem"
    subject = ["-subj", f"/O={organisation}/CN={name}"]
    signing = "-addext keyUsage=critical,keyCertSign,cRLSign"
    _openssl("req -x509", NEW_KEY, "-days 2", signing, *subject, "-keyout", ca_key, "-out", found.trust)
    _openssl("req -new", NEW_KEY, "-subj", "/CN=localhost", "-keyout", found.key, "-out", request)
    signer = ["-CA", found.trust, "-CAkey", ca_key, "-CAcreateserial", "-extfile", extensions]
    _openssl("x509 -req -days 2", "-in", request, *signer, "-out", found.certificate)
    return found


def _openssl(*parts: str | Path) -> None:
    words: list[str] = []
    for part in parts:
        is_options = isinstance(part, str) and not part.startswith("/")
        words += part.split() if is_options else [str(part)]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
