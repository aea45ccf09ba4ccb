"""What to say where a server does not know a model: which models it has, and if they are at another address."""

from __future__ import annotations

import difflib
from typing import NamedTuple

from opeai_async import AsyncOpeAI
from opeai_async.errors import APIStatusError, OpeAIError

LOOK_S = 5.0
"""How long the server may take to list its models."""
_SHOWN = 8
_ENDPOINT = "/chat/completions"


class Listing(NamedTuple):
    """The models of a server, and the base URL at which it told them."""

    base_url: str
    names: list[str]


def is_about_model(error: OpeAIError) -> bool:
    """Tell whether a server's refusal can mean that it does not know the model."""
    if not isinstance(error, APIStatusError) or error.status_code not in (400, 404, 422):
        return False
    # A path that is not known is a 404 as well; the list of models tells these apart.
    return error.status_code == 404 or error.code == "model_not_found" or error.param == "model"


async def listing(client: AsyncOpeAI) -> Listing | None:
    """Ask the server of *client* for its models, and where it should be if it is not there; None if nobody tells."""
    for base_url in _candidates(client.base_url):
        try:
            found = await client.with_options(base_url=base_url, max_retries=0, timeout=LOOK_S).models.list()
        except OpeAIError:
            continue
        if names := [model.id for model in found if model.id]:
            return Listing(base_url, names)
    return None


async def model_hint(client: AsyncOpeAI, model: str) -> str | None:
    """Return what to do about a *model* that the server of *client* does not know; None if it tells no models."""
    found = await listing(client)
    if found is None:
        return None
    if found.base_url != client.base_url:
        return f"the API is at another address: --base-url {found.base_url}"
    if model in found.names:
        return f"the server lists {model!r}, but does not answer with it here: choose another --model"
    near = difflib.get_close_matches(model, found.names, n=1, cutoff=0.5)
    more = len(found.names) - _SHOWN
    names = ", ".join(found.names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return (f"did you mean --model {near[0]}? " if near else "") + f"the server has: {names}"


def _candidates(base_url: str) -> list[str]:
    """Return where the API may be: there, without the endpoint that was written too, and below /v1."""
    path, mark, query = base_url.partition("?")
    root = path.removesuffix(_ENDPOINT)
    paths = [path] if root == path else [path, root]
    return [f"{place}{mark}{query}" for place in ([*paths, f"{root}/v1"] if not root.endswith("/v1") else paths)]
