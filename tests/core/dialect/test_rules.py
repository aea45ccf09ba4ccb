"""The table of rules: complete, named once, and harmless where there is nothing to repair."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeai_async._core.dialect.rules import RULES, RULES_BY_LEVEL, Rule

ORDINARY: dict[str, dict[str, Any]] = {
    "envelope": {"id": "a", "object": "o", "created": 1, "model": "m", "choices": [], "usage": {"total_tokens": 1}},
    "usage": {"prompt_tokens": 1, "completion_tokens": 0, "total_tokens": 1},
    "choice": {"index": 0, "delta": {}, "finish_reason": None},
    "whole_choice": {"index": 0, "message": {}, "finish_reason": "stop"},
    "delta": {"role": "assistant", "content": "a", "reasoning_content": "b", "tool_calls": []},
    "tool_call": {"index": 0, "id": "a", "function": {"name": "f"}},
    "function": {"name": "f", "arguments": "{}"},
    "message": {
        "role": "assistant",
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        "function_call": {"name": "f", "arguments": "{}"},
    },
}

_NAMES = sorted({name for target in ORDINARY.values() for name in target} | {"reasoning", "message", "text", "name"})


names = st.sampled_from(_NAMES)
values = st.sampled_from([None, "", "a", "1", 0, 2, 1.5, float("nan"), True, [], {}, ["a"], [{}], {"text": "a"}])


def test_every_rule_has_a_level_that_is_walked() -> None:
    """No rule is forgotten by the table that the dialect uses."""
    assert sorted(rule.name for rules in RULES_BY_LEVEL.values() for rule in rules) == sorted(
        rule.name for rule in RULES
    )
    assert set(RULES_BY_LEVEL) == set(ORDINARY)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.level}-{rule.name}")
def test_a_rule_leaves_the_ordinary_alone(rule: Rule) -> None:
    """It says no, and changes nothing; it also says what it is for."""
    target = copy.deepcopy(ORDINARY[rule.level])
    assert rule.repair(target) is False
    assert target == ORDINARY[rule.level]
    assert rule.what
    assert rule.who


@pytest.mark.parametrize("level", RULES_BY_LEVEL)
@settings(max_examples=50)
@given(target=st.dictionaries(names, values | st.dictionaries(names, values, max_size=4), max_size=4))
def test_rules_never_raise_and_settle(level: str, target: dict[str, Any]) -> None:
    """On any object: True only if something changed, and nothing is left to do the second time."""
    for rule in RULES_BY_LEVEL[level]:
        before = repr(target)
        if not rule.repair(target):
            assert repr(target) == before
    after = repr(target)
    for rule in RULES_BY_LEVEL[level]:
        if rule.name not in ("content_blocks", "reasoning_alias"):  # what they keep says how it came
            assert not rule.repair(target), (rule.name, after)
