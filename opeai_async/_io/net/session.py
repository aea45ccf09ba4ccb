"""Requests sent by aiohttp's own ``ClientSession``: the long way, for all that ``parts/post`` does not write by hand.

It is taken for a proxy, a method other than POST, a large body, and where a self-test found another aiohttp or loop
than expected (see the table in ``opeai_async/_io/net/__init__.py``).
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import aiohttp

from opeai_async._core.call.http import Request, ResponseHead
from opeai_async._io.net.connections import MAX_HEAD_LINES, MAX_LINE_BYTES, SENDING, Connector, Handler, has_spoken
from opeai_async._io.net.parts.post import BIG_BODY_BYTES, NO_CLOCKS, READ_BUFFER_BYTES, Posted, by_name
from opeai_async._io.net.sending import Sending

if TYPE_CHECKING:
    from aiohttp.connector import Connection


class SessionPoster:
    """A sender of requests over the connections of *connector*, through the HTTP proxy at the URL *proxy*, if any.

    Its session need not be closed, because it owns nothing: the connections are those of *connector*.
    """

    def __init__(self, connector: Connector, proxy: str | None) -> None:
        self._connector = connector
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def post(self, request: Request, sending: Sending) -> Posted:
        """Send *request*, wait for the head of the answer, and return both head and body."""
        if self._session is None:
            self._session = self._new_session()
        try:
            response = await self._session.request(
                request.method,
                request.url,
                # In one piece, a big body would hold the loop up; aiohttp warns of it.
                data=request.body if len(request.body) < BIG_BODY_BYTES else io.BytesIO(request.body),
                headers=request.headers,
                allow_redirects=False,
                timeout=NO_CLOCKS,
                proxy=self._proxy,
            )
        except BaseException:
            # aiohttp only closes, and a close waits until the server has taken what is left of the request.
            sending.abort()
            raise
        head = ResponseHead(response.status, response.url.host or "", by_name(response.headers))
        return Posted(head, response.content, response)

    def detach(self) -> None:
        """Take the connector away from the session, so that aiohttp does not warn of an unclosed one."""
        if self._session is not None:
            self._session.detach()

    def _new_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=self._connector,
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=READ_BUFFER_BYTES,
            request_class=ClientRequest,
            trust_env=False,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            max_headers=MAX_HEAD_LINES,
        )


class ClientRequest(aiohttp.ClientRequest):
    """A request that looks once more, right before it writes, whether the server has spoken already.

    On CPython 3.11 the event loop turns between the connector's look and the first byte; an answer that is read in
    that turn was not asked for by this request. On a fresh connection, an error may be the server's greeting.
    """

    async def write_bytes(self, writer: Any, conn: Connection, content_length: int | None = None) -> None:
        """Write head and body, unless the server has spoken on a used connection; called by aiohttp."""
        sending, protocol = SENDING.get(), conn.protocol
        sending.spoiled = has_spoken(protocol, sending)
        if sending.spoiled and sending.reused:  # nothing was written: aiohttp holds the head back until the body comes
            if protocol is not None:
                protocol.set_exception(aiohttp.ServerDisconnectedError())
                if protocol.transport is not None:  # from CPython 3.12 on, nobody waits yet: its end will tell
                    protocol.transport.abort()
            return
        if isinstance(protocol, Handler) and (size := getattr(self.body, "size", None)):
            protocol.keep_what_comes(size)
        await super().write_bytes(writer, conn, content_length)
