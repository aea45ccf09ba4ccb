"""The joint of a broken answer and the one that goes on: no character lost, none doubled, or nothing taken at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async import Accumulator, ChatCompletionChunk, ChoiceDelta, ChunkChoice, CompletionUsage
from opeai_async._core.policy.endpoints.endpoint import Capabilities
from opeai_async._core.policy.endpoints.going_on import Way, can_go_on, params_of, way_of
from opeai_async._core.policy.endpoints.joint import ECHO_CHARS, Joint, Uncertain

# Few letters and white space: texts that repeat themselves, and echo their own beginning, are the hard ones.
TEXTS = st.text(alphabet="ab \n\u00e9\U0001f600", max_size=60)
GOING_ON = (Way.PREFIX, Way.FINAL_MESSAGE, Way.ASSISTANT_LAST)


def chunk(content=None, *, reasoning=None, finish=None, usage=None, index=0, role=None):
    delta = ChoiceDelta(role=role, content=content, reasoning_content=reasoning)
    choices = [ChunkChoice(index=index, delta=delta, finish_reason=finish)]
    return ChatCompletionChunk(id="x", created=1, model="m", choices=choices, usage=usage)


def cut(text, sizes):
    """*text* in pieces of these sizes, the rest as the last one."""
    pieces, at = [], 0
    for size in sizes:
        pieces.append(text[at : at + size])
        at += size
    return [piece for piece in [*pieces, text[at:]] if piece]


def begun(content="", reasoning=""):
    accumulator = Accumulator()
    accumulator.add(chunk(role="assistant"))
    if reasoning:
        accumulator.add(chunk(reasoning=reasoning))
    if content:
        accumulator.add(chunk(content))
    return accumulator


def joined(accumulator, way, chunks):
    joint = Joint(way, accumulator.snapshot)
    for each in chunks:
        if (new := joint.join(each)) is not None:
            accumulator.add(new)
    joint.check_end()
    return accumulator.snapshot.choices[0].message


def what_comes(way, whole, content):
    """What a server that keeps to *way* sends after *content*, of the answer *whole*."""
    sent = params_of(way, {"messages": []}, begun(content).snapshot)["messages"][-1]["content"]
    return whole[len(sent) :]


@given(st.sampled_from(GOING_ON), TEXTS, TEXTS, st.lists(st.integers(1, 7), max_size=20))
def test_an_endpoint_that_goes_on_is_joined_exactly_or_not_at_all(way, content, rest, sizes):
    """Whatever the text and the cuts: the whole answer, or Uncertain, and then nothing of it was handed out."""
    whole = content + rest
    accumulator = begun(content or "a")
    whole = whole if content else "a" + rest
    coming = cut(what_comes(way, whole, content or "a"), sizes)
    try:
        message = joined(accumulator, way, [chunk(role="assistant"), *map(chunk, coming), chunk(finish="stop")])
    except Uncertain:
        assert accumulator.snapshot.choices[0].message.content == (content or "a")
    else:
        assert message.content == whole


@given(st.sampled_from(GOING_ON), st.text(min_size=1, max_size=80), st.text(max_size=20), st.lists(st.integers(1, 9)))
def test_an_echo_is_never_taken(way, content, rest, sizes):
    """A server that begins the answer anew instead of going on: nothing of it is handed out."""
    accumulator = begun(content)
    with pytest.raises(Uncertain):
        joined(accumulator, way, map(chunk, cut(content + rest, sizes)))
    assert accumulator.snapshot.choices[0].message.content == content


@given(TEXTS, TEXTS, st.lists(st.integers(1, 7), max_size=20))
def test_an_answer_asked_for_anew_is_joined_where_it_begins_alike(content, rest, sizes):
    """What was handed out is passed over, however the new answer is cut."""
    message = joined(begun(content), Way.ANEW, [*map(chunk, cut(content + rest, sizes)), chunk(finish="stop")])
    assert (message.content or "") == content + rest


@given(TEXTS.filter(bool), TEXTS, st.lists(st.integers(1, 7), max_size=20))
def test_an_answer_that_begins_otherwise_is_not_taken(content, other, sizes):
    """Not one character of it."""
    accumulator = begun(content)
    if other.startswith(content):
        return
    with pytest.raises(Uncertain):
        joined(accumulator, Way.ANEW, [*map(chunk, cut(other, sizes)), chunk(finish="stop")])
    assert accumulator.snapshot.choices[0].message.content == content


def test_an_answer_that_ends_too_early_is_not_taken():
    """Neither with its finish_reason, nor without."""
    for last in ([], [chunk(finish="stop")]):
        with pytest.raises(Uncertain):
            joined(begun("one two"), Way.ANEW, [chunk("one"), *last])


def test_a_choice_that_had_not_begun_comes_whole():
    """Asked anew; a way that goes on knows one choice only."""
    accumulator = begun("one")
    joined(accumulator, Way.ANEW, [chunk("one two"), chunk("eins", index=1)])
    assert [choice.message.content for choice in accumulator.snapshot.choices] == ["one two", "eins"]
    with pytest.raises(Uncertain):
        joined(begun("one"), Way.PREFIX, [chunk("eins", index=1)])


@given(TEXTS.filter(bool), TEXTS, TEXTS, st.lists(st.integers(1, 7), max_size=20))
def test_thinking_that_was_cut(reasoning, more, answer, sizes):
    """The same thoughts go on where they were cut; the answer comes whole."""
    pieces = [chunk(reasoning=piece) for piece in cut(reasoning + more, sizes)]
    message = joined(begun(reasoning=reasoning), Way.ANEW, [*pieces, *map(chunk, cut(answer, sizes))])
    assert (message.reasoning_content, message.content or "") == (reasoning + more, answer)


def test_other_thoughts_are_dropped():
    """What was handed out stays as it was, and the answer is whole."""
    joint = Joint(Way.ANEW, begun(reasoning="Let me think").snapshot)
    assert joint.join(chunk(reasoning="Let us ")) is None
    assert joint.join(chunk(reasoning="see.")) is None
    assert joint.has_cut_reasoning
    assert joint.join(chunk("Yes")).choices[0].delta.content == "Yes"


def test_thoughts_after_the_answer_began_are_dropped():
    """They belong before it."""
    joint = Joint(Way.PREFIX, begun("One", reasoning="Hm").snapshot)
    assert joint.join(chunk(reasoning="Hm, again")) is None
    assert joint.join(chunk(" two")).choices[0].delta.content == " two"


def test_the_tokens_of_both_requests_are_summed():
    """As far as the servers have said them."""
    accumulator = begun("One")
    accumulator.add(chunk(usage=CompletionUsage(prompt_tokens=3, completion_tokens=1, total_tokens=4)))
    joint = Joint(Way.PREFIX, accumulator.snapshot)
    last = joint.join(chunk(" two", usage=CompletionUsage(prompt_tokens=5, completion_tokens=2, total_tokens=7)))
    assert (last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.total_tokens) == (8, 3, 11)
    assert last.id == "x"


def test_white_space_at_the_end_is_not_doubled():
    """It is not sent to an endpoint that refuses it, so it may come again."""
    joint = Joint(Way.ASSISTANT_LAST, begun("One\n\n").snapshot)
    assert joint.join(chunk("\n")) is None
    assert joint.join(chunk("\nTwo")).choices[0].delta.content == "Two"
    assert Joint(Way.ASSISTANT_LAST, begun("One ").snapshot).join(chunk("two")).choices[0].delta.content == "two"


def test_text_that_may_be_an_echo_is_held_back_until_that_is_decided():
    """It is handed out in one piece when it cannot be one, also by the finish_reason."""
    joint = Joint(Way.PREFIX, begun("abcdefg" * 9).snapshot)
    assert joint.join(chunk("abc")) is None
    assert joint.join(chunk("d!")).choices[0].delta.content == "abcd!"
    joint = Joint(Way.PREFIX, begun("abcdefg" * 9).snapshot)
    assert joint.join(chunk("abc")) is None
    assert joint.join(chunk(finish="stop")).choices[0].delta.content == "abc"
    with pytest.raises(Uncertain):
        Joint(Way.PREFIX, begun("abcdefg" * 9).snapshot).join(chunk(("abcdefg" * 9)[:ECHO_CHARS]))


# --- how it is asked --------------------------------------------------------------------------------------------------

ALL = Capabilities(prefix=True, continue_final_message=True, assistant_last=True)


def test_the_way_is_one_that_the_endpoint_knows():
    """In order of certainty; what it did not keep to is not asked again."""
    answer, asked = begun("One").snapshot, {"messages": []}
    assert way_of(answer, asked, ALL, frozenset()) is Way.PREFIX
    assert way_of(answer, asked, ALL, frozenset({Way.PREFIX})) is Way.FINAL_MESSAGE
    assert way_of(answer, asked, Capabilities(assistant_last=True), frozenset()) is Way.ASSISTANT_LAST
    assert way_of(answer, asked, Capabilities(), frozenset()) is Way.ANEW
    assert way_of(answer, {"extra_body": {"messages": []}}, ALL, frozenset()) is Way.ANEW


@pytest.mark.parametrize(
    "params",
    [{"n": 2}, {"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_schema"}}],
)
def test_asking_anew_is_the_only_way(params):
    """For several choices, and for JSON, whose grammar some servers begin anew."""
    assert way_of(begun("One").snapshot, params, ALL, frozenset()) is Way.ANEW
    assert way_of(begun(reasoning="Hm").snapshot, {}, ALL, frozenset()) is Way.ANEW
    assert (
        way_of(begun("One").snapshot, {"messages": [], "response_format": {"type": "text"}}, ALL, frozenset())
        is Way.PREFIX
    )


def test_what_is_asked():
    """The conversation, and what was handed out."""
    answer, asked = begun("One ", reasoning="Hm").snapshot, {"messages": [1], "extra_body": {"a": 1}}
    assert params_of(Way.ANEW, asked, answer) == asked
    prefix = params_of(Way.PREFIX, asked, answer)
    said = {"role": "assistant", "content": "One ", "prefix": True, "reasoning_content": "Hm"}
    assert prefix["messages"] == [1, said]
    final = params_of(Way.FINAL_MESSAGE, asked, answer)
    assert final["extra_body"] == {"a": 1, "continue_final_message": True, "add_generation_prompt": False}
    assert params_of(Way.ASSISTANT_LAST, asked, answer)["messages"] == [1, {"role": "assistant", "content": "One"}]
    assert asked == {"messages": [1], "extra_body": {"a": 1}}


def test_an_answer_that_is_whole_is_not_gone_on_with():
    """Nor one of which nothing has come."""
    accumulator = begun("One")
    assert can_go_on(accumulator.snapshot)
    accumulator.add(chunk(finish="stop"))
    assert not can_go_on(accumulator.snapshot)
    assert not can_go_on(Accumulator().snapshot)
