"""HTTP over aiohttp, walled in: only the files in this folder, and the testing server, import it.

aiohttp resolves, connects, secures, pools and parses. What it does to a request or a body that this package must not
pass on, and what costs more than the rest of a short stream, is replaced here, by names that aiohttp does not promise.
This page lists them. They were read and tested on aiohttp 3.14.5, which is the oldest version that pyproject.toml
allows, with its C parser and with its Python parser.

=======================================  ===============================  ============================================
What is used                             Where, and what for              What happens if it changes
=======================================  ===============================  ============================================
``StreamReader``: ``_buffer``,           ``parts/body``: one append per   The self-test ``body.is_known`` fails at
``_cursor``, ``_eof``, ``_exception``,   HTTP chunk, one join per read    import: aiohttp's own reader stays in place.
``_high_water_chunks``, ``_loop``,                                        Streams are read as before, but slower.
``_low_water``, ``_protocol``,
``_waiter``; its ``__class__`` is set
``client_proto.ResponseHandler``         ``parts/post``: write the head   The self-test ``post.is_known`` fails at
(``set_response_params``, ``read``),     by hand, read the answer's       import: ``session`` sends each request by
the arguments of ``connect``,            head, find a connection          aiohttp's ``ClientSession``. Requests go out
``ClientRequest`` as a connection's key                                   as before, but cost more.
the same class, overridden, with         ``connections.Handler``: count   Nothing stands in. A renamed field raises
``_parser``, ``_payload`` and            bytes, bound the framing, keep   AttributeError in each request; a method that
``_reading_paused``                      what comes with a hang-up        is no longer called loses its cure.
``TCPConnector``: ``_factory``,          ``connections.Connector``:       If aiohttp no longer looks at them, the limit
``_create_connection``                   make Handlers, limit connects    of connects and all cures of Handler are lost.
``TCPConnector``: ``_acquired``,         ``Connector.discard``: close     An AttributeError, where a loop was closed
``_close``, ``_conns``                   without the event loop           without its generators.
``TCPConnector``: ``_loop``              ``Connector``: say that a loop   An AttributeError in place of an error that
                                         lacks a method                   says so.
``ClientRequest.write_bytes``            ``session``: look at the         The look is lost for requests that ``post``
                                         connection before the write      does not write.
``_ssl_protocol`` of asyncio's           ``parts/leftovers``,             Bytes that TLS has not decrypted at the end
transports, ``uvloop.sslproto``          ``sockets.discard``              are lost, as they are without this package.
=======================================  ===============================  ============================================

A third self-test (``parts/self_test``) looks at the event loop, once per kind of loop: where it fails, both short ways
are off, and all goes through aiohttp's own. A change that no self-test sees is found by the tests in tests/io/net;
tests/io/net/test_traps.py has the table of bugs, cures and tests. With a new version of aiohttp, run them with both
parsers: a cure can go when its test passes without it.

The folders: ``parts`` has the two short ways and the self-test, ``diagnosis`` says why a connection failed.

The alternative was to use public names only. It was measured: of the 987,000 instructions of a short stream, 260,000
were aiohttp's way from a call to the bytes of a request; and an answer that comes early, or with a hang-up, is lost.
"""
