"""A model of pydantic-ai over this package: ``from opeai_async.pydantic_ai import OpeAIModel``.

It needs the extra ``opeai_async[pydantic-ai]``, which is ``pydantic-ai-slim``. Nothing is imported from openai.
"""

from opeai_async.pydantic_ai.model import OpeAIModel

__all__ = ["OpeAIModel"]

OpeAIModel.__module__ = __name__
