"""A key is sent, and shown nowhere."""

import copy
import pickle
import traceback

import pytest
from aiohttp.http_writer import _serialize_headers  # what puts headers on the wire
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from opeai_async._core.call.redact import HiddenStr, Secret, redact, scrub
from opeai_async.errors import APIStatusError, ConfigurationError, StreamDecodeError

KEY = "canary-0123456789"


class TestSecret:
    """The type that holds the key."""

    def test_it_reveals_on_demand(self):
        """For the Authorization header."""
        assert Secret(KEY, source="api_key").reveal() == KEY

    def test_nothing_shows_it(self):
        """Neither text of any kind, nor attributes, nor a traceback with the locals of each frame."""
        secret = Secret(KEY, source="api_key")
        attributes = {name: getattr(secret, name) for name in dir(secret)}
        shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>30}", f"{[secret]}", repr(attributes)]
        assert KEY not in "".join(shown)
        assert repr(secret.reveal()) == "'[redacted]'"
        with pytest.raises(TypeError):
            vars(secret)

    @pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
    def test_it_is_not_duplicated(self, duplicate):
        """A key that is needed elsewhere is read there from the environment."""
        with pytest.raises(TypeError, match="never pickled or copied"):
            duplicate(Secret(KEY, source="api_key"))

    @pytest.mark.parametrize(
        ("value", "what"),
        [
            ("", "no characters"),
            (f"{KEY}\n", "another character at position 17 of 18"),
            (f" {KEY}", "another character at position 0 of 18"),
            (f"{KEY[:3]}\x00{KEY[3:]}", "another character at position 3 of 18"),
            (f"{KEY}ü", "another character at position 17 of 18"),
            (f"{KEY}\x7f", "another character at position 17 of 18"),
        ],
    )
    def test_an_unsound_key_is_refused_without_being_shown(self, value, what):
        """The message names where it came from; a traceback with locals does not show it either."""
        with pytest.raises(ConfigurationError, match=what) as caught:
            Secret(value, source="OPEAI_API_KEY")
        assert "OPEAI_API_KEY" in str(caught.value)
        error = traceback.TracebackException(caught.type, caught.value, caught.tb.tb_next, capture_locals=True)
        assert "canary" not in "".join(error.format())

    def test_bytes_are_no_key(self):
        """They would be sent as their repr."""
        with pytest.raises(TypeError):
            Secret(KEY.encode(), source="api_key")


class TestHiddenStr:
    """Text which no repr shows."""

    def test_it_is_text(self):
        """Whoever sends it sees a str with its value."""
        hidden = HiddenStr(KEY)
        assert hidden == KEY
        assert hash(hidden) == hash(KEY)
        assert f"Bearer {hidden}" == f"Bearer {KEY}"

    def test_containers_do_not_show_it(self):
        """Locals and headers are printed by the repr of what holds them."""
        assert KEY not in repr([HiddenStr(KEY), {"Authorization": HiddenStr(KEY)}, CIMultiDict(a=HiddenStr(KEY))])

    def test_aiohttp_sends_its_value(self):
        """As a header value, by the writer that aiohttp uses."""
        sent = _serialize_headers("POST / HTTP/1.1", CIMultiDict({"Authorization": HiddenStr(f"Bearer {KEY}")}))
        assert sent == f"POST / HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()


class TestRedact:
    """What looks like a key."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Incorrect API key provided: sk-abcd1234efgh5678.", "Incorrect API key provided: [redacted]."),
            ("key sk-proj-Ab_c1234-XyZ987 is revoked", "key [redacted] is revoked"),
            ("key=sk-abcd********wxyz", "key=[redacted]"),
            ('{"key":"gsk_abcdefgh12345678"}', '{"key":"[redacted]"}'),
            ("xai-abcdefgh12345678, rk-abcdefgh12345678, pk_live_12345678", "[redacted], [redacted], [redacted]"),
            ("Authorization: Bearer abc.def-123", "Authorization: [redacted]"),
            ("bearer abcdefghijklmnop", "[redacted]"),
            ("BEARER  abcdefgh1", "[redacted]"),
        ],
    )
    def test_keys_are_caught(self, text, expected):
        """Known prefixes, and what follows the word Bearer."""
        assert redact(text) == expected

    @pytest.mark.parametrize(
        "text",
        [
            "task-0123456789abcdef failed",
            "a sketchbook of skeletons, skyscrapers and pkgconfig files",
            "risk-averse-strategy, disk-encryption-1234, desk_reservation",
            "the model gpt-oss-120b in project proj_0123456789",
            "Use Bearer authentication.",
            "the bearer of this message, a Bearer token",
            "forbearer abcdefgh12345678",
            "sk-short",
            "",
        ],
    )
    def test_ordinary_words_stay(self, text):
        """An error that is garbled helps nobody."""
        assert redact(text) == text

    def test_the_given_secrets_go_whatever_they_look_like(self):
        """Several of them, wherever they are."""
        assert redact(f"a{KEY}b{KEY} hush-hush", KEY, "hush-hush") == "a[redacted]b[redacted] [redacted]"

    @pytest.mark.parametrize("placeholder", ["x", "none", "EMPTY", "ollama"])
    def test_a_word_that_stands_for_a_key_is_no_secret(self, placeholder):
        """Local servers take any key; errors that name a model or a host stay readable."""
        text = f"model {placeholder}/small was not found, xylophone"
        assert redact(text, placeholder) == text

    @given(before=st.text(), after=st.text(alphabet=" .,\"'\n)"))
    def test_a_key_is_found_in_any_text(self, before, after):
        """Unless it is glued to letters or digits before it, where it is no word of its own."""
        text = redact(f"{before} sk-{KEY}{after}")
        assert KEY not in text


class TestScrub:
    """The key in what an error says."""

    def test_every_fact_is_cleaned(self):
        """Text, notes, lists and objects, at any depth, names included."""
        error = APIStatusError(
            f"no {KEY}",
            code=KEY,
            param=None,
            body={"error": [{f"k{KEY}": f"{KEY}!", "n": 3}]},
            hint=f"not {KEY}",
        )
        error.add_note(f"note {KEY}")
        scrub(error, KEY)
        assert KEY not in "".join([str(error), repr(error.args), repr(vars(error)), *traceback.format_exception(error)])
        assert error.body == {"error": [{"k[redacted]": "[redacted]!", "n": 3}]}
        assert error.message == str(error) == "no [redacted]"
        assert error.__notes__ == ["hint: not [redacted]", "note [redacted]"]
        error.hint = "again"
        assert error.__notes__ == ["note [redacted]", "hint: again"]

    def test_what_holds_no_key_stays_as_it_is(self):
        """Numbers, missing facts and objects are not touched."""
        pending = (object(),)
        error = StreamDecodeError("odd", excerpt="{", events=3, rule=None)
        error.pending = pending
        before = dict(vars(error))
        scrub(error, KEY)
        assert vars(error) == before
        assert error.pending is pending
