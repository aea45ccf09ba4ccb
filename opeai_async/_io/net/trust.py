"""The default trust: the certificates of the system, or those that the environment names.

aiohttp has a context for that, but makes it when it is imported, by whatever module comes first; it does not see a
variable that is set later, as by a program that reads its settings from a file. So where ``SSL_CERT_FILE`` or
``SSL_CERT_DIR`` is set, a context is made here, when a client sends its first request. Reading the certificates takes
some 20 ms, so there is one context for all clients.
"""

from __future__ import annotations

import functools
import os
import ssl

FILE_VARIABLE = "SSL_CERT_FILE"
FOLDER_VARIABLE = "SSL_CERT_DIR"


def default_context() -> ssl.SSLContext | None:
    """Return a context with the trust that the environment names; None if it names none, so that aiohttp's will do."""
    file, folder = os.environ.get(FILE_VARIABLE), os.environ.get(FOLDER_VARIABLE)
    return _context(file, folder) if file or folder else None


@functools.lru_cache(4)
def _context(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()  # OpenSSL reads the variables itself
    context.set_alpn_protocols(["http/1.1"])
    return context
