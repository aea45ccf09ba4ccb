"""Environment variables that make a run of the tests use other parts of aiohttp than ours does: `nox -s tests_parts`.

aiohttp takes its own choice, ``AIOHTTP_NO_EXTENSIONS`` for its Python parser, when it is imported.
"""

OWN_BODIES = "OPEAI_ASYNC_BODIES_OF_AIOHTTP"
OWN_REQUESTS = "OPEAI_ASYNC_REQUESTS_OF_AIOHTTP"
