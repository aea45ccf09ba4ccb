"""openai's own client over this package's engine: for programs, and frameworks, that take an ``openai.AsyncOpenAI``.

    from opeai_async.compat import AsyncOpenAI  # pip install opeai_async[openai]

``client.chat.completions`` sends and reads over this package, and returns openai's types, streams and errors. All else
of openai's client works as it does there.
"""

from opeai_async.compat.client import AsyncOpenAI

__all__ = ["AsyncOpenAI"]
