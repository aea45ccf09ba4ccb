"""The httpx of the installed openai: ``httpx2`` since its release 3, and its errors take no other's responses."""

import sys
from typing import TYPE_CHECKING

import openai

if TYPE_CHECKING:
    import httpx2 as httpx
else:
    # The class that openai's own client is made of; its other names say that they are openai's.
    httpx = sys.modules[openai.DefaultAsyncHttpxClient.__base__.__module__]

__all__ = ["httpx"]
