"""Every Struct of the wire: round trips, defaults that are left out, copies, equality, extension."""

import copy
import inspect
import pickle
import types
import typing

import msgspec
import pytest
from msgspec import UNSET

from opeai_async._core.decode.decoder import strict_decoder
from opeai_async.types import chunk, common, completion, meta, request
from opeai_async.types.chunk import ChatCompletionChunk, ChoiceDelta, ChunkChoice
from opeai_async.types.common import NO_EXTRA, CompletionUsage, UrlCitation, WireStruct
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage, FunctionCall, ToolCall
from opeai_async.types.meta import NO_META

STRUCTS = sorted(
    {
        value
        for module in (chunk, common, completion, meta, request)
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, msgspec.Struct) and value is not msgspec.Struct
    },
    key=lambda cls: cls.__name__,
)
WIRE = [cls for cls in STRUCTS if issubclass(cls, WireStruct)]
# A message's content is sent even when it is None, because some servers refuse a message without it.
ALWAYS_SENT = {
    "ChatCompletionMessage": {"content": None},
    "AssistantMessage": {"content": None},
    "ChunkChoice": {"delta": {}},
}


def sample(annotation, depth=0):
    """A value of the type *annotation* that is nobody's default."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return sample(args[0], depth)
    if origin in (types.UnionType, typing.Union):
        return sample(next(arg for arg in args if arg is not type(None)), depth)
    if origin is list:
        return [sample(args[0], depth + 1)]
    if origin is tuple:
        return (sample(args[0], depth + 1),)
    if origin is dict:
        return {sample(args[0], depth): sample(args[1], depth + 1)}
    if inspect.isclass(annotation) and issubclass(annotation, msgspec.Struct):
        return full(annotation, depth + 1)
    return {str: "text", int: 7, float: 0.5, bool: True, typing.Any: {"any": [1, None]}}[annotation]


def full(cls, depth=0):
    """An instance of *cls* with every field set."""
    hints = typing.get_type_hints(cls, include_extras=True)
    values = {name: sample(hints[name], depth) for name in cls.__struct_fields__}
    if issubclass(cls, WireStruct):
        values["extra"] = {}
    return cls(**values)


def required(cls):
    """An instance of *cls* with nothing set that has a default."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return cls(**{field.name: sample(hints[field.name]) for field in msgspec.structs.fields(cls) if field.required})


@pytest.mark.parametrize("cls", STRUCTS)
def test_round_trips(cls):
    """What is encoded decodes to an equal value of the same type, with every field set and with none."""
    for value in (full(cls), required(cls)):
        again = msgspec.json.decode(msgspec.json.encode(value), type=cls)
        assert type(again) is cls
        assert again == value
        assert msgspec.convert(msgspec.to_builtins(value), cls) == value


@pytest.mark.parametrize("cls", WIRE)
def test_what_is_default_is_not_sent(cls):
    """Only what must be there, what names the kind, and what was set."""
    value = required(cls)
    config = cls.__struct_config__
    expected = {config.tag_field: config.tag} if config.tag else {}
    expected |= {
        field.encode_name: msgspec.to_builtins(getattr(value, field.name))
        for field in msgspec.structs.fields(cls)
        if field.required
    }
    expected |= ALWAYS_SENT.get(cls.__name__, {})
    assert msgspec.to_builtins(value) == expected
    assert msgspec.json.decode(msgspec.json.encode(value)) == expected


@pytest.mark.parametrize("cls", WIRE)
def test_every_field_that_was_set_is_sent(cls):
    """Under its own name."""
    sent = msgspec.to_builtins(full(cls))
    assert {field.encode_name for field in msgspec.structs.fields(cls)} <= set(sent)


@pytest.mark.parametrize("cls", STRUCTS)
def test_copies_and_pickles(cls):
    """Equal, of the same type, and deep where that was asked for."""
    for value in (full(cls), required(cls)):
        twins = [pickle.loads(pickle.dumps(value, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)]
        assert repr(copy.copy(value)) == repr(value)
        for twin in [*twins, copy.copy(value), copy.deepcopy(value)]:
            assert type(twin) is cls
            assert twin == value


@pytest.mark.parametrize("cls", STRUCTS)
def test_every_struct_is_documented(cls):
    """Its own docstring says what it is."""
    assert cls.__doc__
    assert cls.__doc__ not in {base.__doc__ for base in cls.__mro__[1:]}


@pytest.mark.parametrize("cls", WIRE)
def test_nothing_set_shares_the_empty_extra(cls):
    """A Struct without vendor fields costs no dict."""
    assert required(cls).extra is NO_EXTRA
    assert pickle.loads(pickle.dumps(required(cls))).extra is NO_EXTRA
    assert copy.deepcopy(required(cls)).extra is NO_EXTRA


class TestNoExtra:
    """The dict that all Structs share which have no vendor fields."""

    @pytest.mark.parametrize(
        "change",
        [
            lambda extra: extra.__setitem__("a", 1),
            lambda extra: extra.__delitem__("a"),
            lambda extra: extra.__ior__({"a": 1}),
            lambda extra: extra.update(a=1),
            lambda extra: extra.setdefault("a", 1),
            lambda extra: extra.pop("a", None),
            lambda extra: extra.popitem(),
            lambda extra: extra.clear(),
        ],
    )
    def test_it_does_not_change(self, change):
        """One message's field would appear on all others; the error says what to do instead."""
        with pytest.raises(TypeError, match=r"build the Struct with extra=\{...\} instead"):
            change(NO_EXTRA)
        assert NO_EXTRA == {}

    def test_there_is_one(self):
        """Copies and pickles are itself."""
        twins = [pickle.loads(pickle.dumps(NO_EXTRA)), copy.deepcopy(NO_EXTRA), copy.copy(NO_EXTRA)]
        assert all(twin is NO_EXTRA for twin in twins)

    def test_it_is_a_dict(self):
        """It reads like any other, and a real copy of it can be filled."""
        assert NO_EXTRA.get("a") is None
        assert NO_EXTRA | {"a": 1} == {**NO_EXTRA, "a": 1} == {"a": 1}
        own = dict(NO_EXTRA)
        own["a"] = 1
        assert own == {"a": 1}


class TestEquality:
    """Structs compare by value."""

    def test_vendor_fields_count(self):
        """Two messages with different ones differ; an empty dict is no difference."""
        assert ChoiceDelta(extra={"a": 1}) == ChoiceDelta(extra={"a": 1})
        assert ChoiceDelta(extra={"a": 1}) != ChoiceDelta()
        assert ChoiceDelta(extra={}) == ChoiceDelta()

    def test_what_is_equal_is_not_unequal(self):
        """`!=` is the opposite of `==`, which a Struct does not see to by itself."""
        assert not ChoiceDelta(content="a") != ChoiceDelta(content="a")  # noqa: SIM202 - that is what is tested

    def test_other_types_differ(self):
        """Also when the fields are the same."""
        assert ChatCompletionChunk() != ChatCompletion()
        assert CompletionUsage() != {}
        assert CompletionUsage().__eq__(3) is NotImplemented

    def test_nested_values_count(self):
        """At any depth."""
        one, other = (ChunkChoice(delta=ChoiceDelta(content=text)) for text in "ab")
        assert ChatCompletionChunk(choices=[one]) != ChatCompletionChunk(choices=[other])
        assert ChatCompletionChunk(choices=[one]) == ChatCompletionChunk(choices=[copy.deepcopy(one)])

    def test_they_are_not_hashable(self):
        """Because they can be changed."""
        with pytest.raises(TypeError, match="unhashable"):
            hash(CompletionUsage())

    def test_what_the_decoder_makes_is_what_users_make(self):
        """The private twins of the fast tier compare, print, copy and pickle under the public name."""
        data = b'{"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}'
        decoded = strict_decoder(ChatCompletionChunk).decode(data)
        made = ChatCompletionChunk(id="c", choices=[ChunkChoice(delta=ChoiceDelta(content="a"))])
        assert decoded == made
        assert made == decoded
        assert repr(decoded).startswith("ChatCompletionChunk(id='c', choices=[ChunkChoice(")
        twin = pickle.loads(pickle.dumps(decoded))
        assert type(twin) is ChatCompletionChunk
        assert type(twin.choices[0].delta) is ChoiceDelta
        assert copy.deepcopy(decoded) == made


class TestRepr:
    """What a debugger shows."""

    def test_only_what_is_set(self):
        """A chunk prints in one line."""
        chunk_with_text = ChatCompletionChunk(id="c", choices=[ChunkChoice(delta=ChoiceDelta(content="hi"))])
        assert repr(chunk_with_text) == (
            "ChatCompletionChunk(id='c', choices=[ChunkChoice(delta=ChoiceDelta(content='hi'))])"
        )


class TestMessages:
    """What is peculiar to a few."""

    def test_a_custom_call_has_no_function(self):
        """It is not set, rather than None, so that it is not sent back."""
        call = msgspec.convert({"id": "c", "type": "custom", "custom": {"name": "n", "input": "i"}}, ToolCall)
        assert call.function is UNSET
        assert msgspec.to_builtins(call) == {"id": "c", "type": "custom", "custom": {"name": "n", "input": "i"}}

    def test_a_call_without_arguments_keeps_them(self):
        """Empty text is sent, because it was received."""
        assert msgspec.to_builtins(FunctionCall(name="", arguments="")) == {"name": "", "arguments": ""}

    def test_a_citation_at_the_start_keeps_its_place(self):
        """Zero is a place, and not the same as none."""
        for given in ({"start_index": 0, "end_index": 0, "url": "", "title": ""}, {"url": "u"}, {}):
            assert msgspec.to_builtins(msgspec.convert(given, UrlCitation)) == given

    @pytest.mark.parametrize(
        ("cls", "role"),
        [
            (request.SystemMessage, "system"),
            (request.DeveloperMessage, "developer"),
            (request.UserMessage, "user"),
            (request.AssistantMessage, "assistant"),
            (request.ToolMessage, "tool"),
            (request.FunctionMessage, "function"),
        ],
    )
    def test_a_role_can_be_read(self, cls, role):
        """Though it is the tag of the Struct, and no field of it."""
        assert required(cls).role == role
        assert msgspec.to_builtins(required(cls))["role"] == role

    def test_an_answer_without_exchange_has_empty_facts(self):
        """`meta` can always be asked."""
        assert ChatCompletion().meta is NO_META
        assert (NO_META.request_id, NO_META.status_code, NO_META.attempts) == (None, 0, ())


class VendorDelta(ChoiceDelta):
    """A vendor's field, typed."""

    citations: list[str] = []


class VendorChoice(ChunkChoice):
    """The choice that holds it."""

    delta: VendorDelta = msgspec.field(default_factory=VendorDelta)


class VendorChunk(ChatCompletionChunk):
    """The chunk that holds the choice."""

    choices: list[VendorChoice] = []
    cost: float | None = None


class VendorMessage(ChatCompletionMessage):
    """An answer with a field that the API asks for again."""

    thought_signature: str | None = None


class TestExtension:
    """A user's own Structs on top of ours."""

    def test_vendor_fields_are_typed(self):
        """Named fields are decoded as declared, at every level that was extended."""
        data = b'{"choices":[{"index":0,"delta":{"content":"a","citations":["b"]}}],"cost":0.5}'
        decoded = strict_decoder(VendorChunk).decode(data)
        assert isinstance(decoded, VendorChunk)
        assert decoded.choices[0].delta.citations == ["b"]
        assert decoded.cost == 0.5
        assert pickle.loads(pickle.dumps(decoded)) == decoded
        assert type(copy.deepcopy(decoded)) is VendorChunk

    def test_inherited_rules_hold(self):
        """Defaults are left out, unnamed fields are kept, and the type counts in comparisons."""
        assert msgspec.to_builtins(VendorDelta(content="a")) == {"content": "a"}
        assert VendorDelta(extra={"a": 1}).extra == {"a": 1}
        assert VendorDelta() != ChoiceDelta()

    def test_a_message_of_ones_own_is_sent_whole(self):
        """With the fields that were added."""
        message = VendorMessage(role="assistant", content="a", thought_signature="s")
        assert msgspec.to_builtins(message) == {"role": "assistant", "content": "a", "thought_signature": "s"}
