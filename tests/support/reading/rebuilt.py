"""What the deltas of typed events add up to, and what a completion says, in the same plain form."""

from collections.abc import Iterable
from typing import Any

from opeai_async.types.completion import ChatCompletion
from opeai_async.types.events import StreamEvent

TEXTS = {"content": "content", "reasoning": "reasoning_content", "refusal": "refusal"}
LOGPROBS = ("content", "refusal")


def by_events(events: Iterable[StreamEvent]) -> dict[int, dict[str, Any]]:
    """Per choice: its texts, its calls as (id, name, text), and its log probabilities, from the deltas alone."""
    choices: dict[int, dict[str, Any]] = {}
    for event in events:
        name, _, end = event.type.rpartition(".")
        if end != "delta":
            continue
        choice = choices.setdefault(event.choice, empty())
        if name.startswith("tool_calls"):
            calls = choice["calls"]
            calls.extend([("", "", "")] * (event.index + 1 - len(calls)))
            calls[event.index] = (event.id, event.name, calls[event.index][2] + event.delta)
        elif name.startswith("logprobs"):
            choice[name] += getattr(event, name.partition(".")[2])
        else:
            choice[name] += event.delta
    return choices


def by_completion(completion: ChatCompletion) -> dict[int, dict[str, Any]]:
    """The same of *completion*; choices that say nothing are left out."""
    choices = {}
    for choice in completion.choices:
        said = empty()
        said.update({name: getattr(choice.message, field) or "" for name, field in TEXTS.items()})
        said["calls"] = [
            (call.id, call.custom.name, call.custom.input)
            if call.custom is not None
            else (call.id, call.function.name, call.function.arguments)
            for call in choice.message.tool_calls or ()
        ]
        for name in LOGPROBS if choice.logprobs is not None else ():
            said[f"logprobs.{name}"] = list(getattr(choice.logprobs, name) or ())
        if said != empty():
            choices[choice.index] = said
    return choices


def empty() -> dict[str, Any]:
    return {**dict.fromkeys(TEXTS, ""), "calls": [], **{f"logprobs.{name}": [] for name in LOGPROBS}}
