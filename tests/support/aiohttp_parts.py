"""Environment variables that make a run of the tests use other parts of aiohttp than ours does."""

PYTHON_PARSER = "AIOHTTP_NO_EXTENSIONS"  # aiohttp's own
OWN_BODIES = "OPEAI_ASYNC_BODIES_OF_AIOHTTP"
OWN_REQUESTS = "OPEAI_ASYNC_REQUESTS_OF_AIOHTTP"
IS_INNER = "OPEAI_ASYNC_INNER_TESTS"  # such a run does not begin another one
