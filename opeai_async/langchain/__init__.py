"""A chat model of LangChain over this package: ``from opeai_async.langchain import ChatOpeAI``.

It needs the extra ``opeai_async[langchain]``, which is ``langchain-core``. Nothing is imported from openai.
"""

from opeai_async.langchain.chat import ChatOpeAI

__all__ = ["ChatOpeAI"]

ChatOpeAI.__module__ = __name__
