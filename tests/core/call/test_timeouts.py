"""Limits and the clocks of a stream, on a clock that is only a number."""

import copy
import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from opeai_async._core.call.clocks import Expiry, StreamClocks
from opeai_async._core.call.timeouts import Limits, Timeouts, resolve
from opeai_async.errors import ConfigurationError

NAMES = Timeouts.__struct_fields__
LIMITS = Limits(
    connect_s=5,
    pool_s=60,
    response_headers_s=300,
    first_content_s=100,
    idle_bytes_s=10,
    idle_content_s=50,
    total_s=1000,
    finish_grace_s=2,
)


class TestTimeouts:
    """What users set."""

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("value", [0, -1, 0.0, math.inf, -math.inf, math.nan, True, "5", [5]])
    def test_what_is_no_limit_is_refused(self, name, value):
        """The error names the field, the value and what was expected."""
        with pytest.raises(ConfigurationError, match=f"^{name} is .*, expected a number of seconds above 0, or None"):
            Timeouts(**{name: value})

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("value", [1, 0.001, 1e9, None, UNSET])
    def test_what_is_a_limit_is_taken(self, name, value):
        """Whole numbers, fractions, none, and the default."""
        assert getattr(Timeouts(**{name: value}), name) is value

    def test_another_name_is_refused(self):
        """A misspelt limit does not go unnoticed."""
        with pytest.raises(TypeError):
            Timeouts(connect=5)

    def test_merging_takes_what_the_other_sets(self):
        """None is a value of its own: no limit."""
        merged = Timeouts(connect_s=1, total_s=9, pool_s=3) | Timeouts(connect_s=2, total_s=None)
        assert merged == Timeouts(connect_s=2, total_s=None, pool_s=3)

    def test_merging_with_nothing(self):
        """A call without timeouts has those of its client."""
        timeouts = Timeouts(connect_s=1)
        assert timeouts | None is timeouts
        assert timeouts | Timeouts() == timeouts

    def test_duplicates(self):
        """They travel to other processes, with what is not set still not set."""
        timeouts = Timeouts(connect_s=1, total_s=None)
        for twin in (pickle.loads(pickle.dumps(timeouts)), copy.copy(timeouts), copy.deepcopy(timeouts)):
            assert twin == timeouts
            assert twin.pool_s is UNSET

    def test_it_does_not_change(self):
        """One value may be shared by many clients."""
        with pytest.raises(AttributeError):
            Timeouts().connect_s = 3

    def test_the_repr_shows_what_was_set(self):
        """And nothing else."""
        assert repr(Timeouts(connect_s=1.5, total_s=None)) == "Timeouts(connect_s=1.5, total_s=None)"


class TestResolve:
    """Defaults."""

    def test_a_stream(self):
        """It may last for ever, but not be silent for ever."""
        assert resolve(Timeouts(), stream=True) == (5, 60, 300, 300, 60, 300, math.inf, 2)

    def test_a_whole_answer(self):
        """It is bounded as a whole."""
        assert resolve(Timeouts(), stream=False) == (5, 60, 600, 300, 60, 300, 600, 2)

    @pytest.mark.parametrize("stream", [True, False])
    def test_what_is_given_counts(self, stream):
        """None is no limit, in numbers: infinity."""
        given_s = {name: float(position) for position, name in enumerate(NAMES, 1)}
        assert resolve(Timeouts(**given_s), stream=stream) == Limits(**given_s)
        assert resolve(Timeouts(**dict.fromkeys(NAMES)), stream=stream) == Limits(*[math.inf] * 8)

    def test_the_documented_defaults(self):
        """The numbers in the docstring are those that count."""
        documented = {
            name: line.rpartition("(")[2].rstrip(").")
            for name in NAMES
            for line in Timeouts.__doc__.splitlines()
            if line.strip().startswith(f"{name}:")
        }
        assert documented.pop("response_headers_s") == "300 for a stream, 600 otherwise"
        assert documented.pop("total_s") == "none for a stream, 600 otherwise"
        # Passing finish_grace_s is explained after its number.
        assert documented.pop("finish_grace_s").startswith("2)")
        stream = resolve(Timeouts(), stream=True)
        assert documented == {name: f"{getattr(stream, name):g}" for name in documented}
        assert len(documented) == 5


def clocks(started_at: float = 0.0, **limits: float) -> StreamClocks:
    return StreamClocks(LIMITS._replace(**limits), started_at)


class TestStreamClocks:
    """Which clock runs out first, and when."""

    def test_nobody_waits(self):
        """Without a read there is nothing to run out."""
        stream = clocks()
        assert stream.expiry() is None
        stream.begin_wait(1)
        stream.end_wait(2)
        assert stream.expiry() is None

    def test_silence_from_the_start(self):
        """The shortest limit counts from the beginning of the wait."""
        stream = clocks()
        stream.begin_wait(7)
        assert stream.expiry() == Expiry(17, "idle_bytes", 10)

    def test_a_cancelled_wait_goes_on_where_it_was(self):
        """Cancelling and reading again in a loop does not keep a dead stream alive."""
        stream = clocks()
        for begin in (0, 100, 200):
            stream.begin_wait(begin)
            stream.end_wait(begin + 3)
        stream.begin_wait(300)
        assert stream.expiry() == Expiry(301, "idle_bytes", 10)

    def test_a_slow_consumer_is_not_the_servers_silence(self):
        """While nobody reads, the idle clocks stand still."""
        stream = clocks()
        stream.begin_wait(0)
        stream.end_wait(4)
        stream.begin_wait(900)
        assert stream.expiry() == Expiry(906, "idle_bytes", 10)

    def test_ending_a_wait_twice_counts_once(self):
        """A second end without a begin changes nothing."""
        stream = clocks()
        stream.begin_wait(0)
        stream.end_wait(4)
        stream.end_wait(400)
        stream.begin_wait(500)
        assert stream.expiry() == Expiry(506, "idle_bytes", 10)

    def test_comments_prove_the_connection_but_not_the_model(self):
        """Bytes without a chunk reset one clock only."""
        stream = clocks(first_content_s=15)
        for begin in (0, 8):
            stream.begin_wait(begin)
            stream.end_wait(begin + 8)
            stream.saw_bytes()
        stream.begin_wait(16)
        assert stream.expiry() == Expiry(15, "first_content", 15)

    def test_after_the_first_chunk_another_limit_counts(self):
        """A reasoning model may take longer to begin than to go on."""
        stream = clocks(idle_bytes_s=math.inf)
        stream.begin_wait(0)
        assert stream.expiry() == Expiry(100, "first_content", 100)
        stream.end_wait(20)
        stream.saw_bytes()
        stream.saw_content()
        stream.begin_wait(20)
        assert stream.expiry() == Expiry(70, "idle_content", 50)

    def test_a_chunk_resets_the_content_clock(self):
        """Only what was waited since the last chunk counts."""
        stream = clocks(idle_bytes_s=math.inf)
        for begin in (0, 40, 80):
            stream.begin_wait(begin)
            stream.end_wait(begin + 40)
            stream.saw_content()
        stream.begin_wait(120)
        stream.end_wait(130)
        stream.begin_wait(200)
        assert stream.expiry() == Expiry(240, "idle_content", 50)

    def test_the_deadline_counts_from_the_call(self):
        """It goes on while nobody reads, and no byte resets it."""
        stream = clocks(started_at=50, total_s=200)
        stream.begin_wait(245)
        stream.end_wait(246)
        stream.saw_bytes()
        stream.saw_content()
        stream.begin_wait(247)
        assert stream.expiry() == Expiry(250, "total", 200)

    def test_the_grace_after_the_end(self):
        """Once every choice has ended, little patience is left."""
        stream = clocks()
        stream.begin_wait(0)
        stream.end_wait(1)
        stream.saw_bytes()
        stream.saw_finish()
        stream.begin_wait(30)
        assert stream.expiry() == Expiry(32, "finish_grace", 2)

    def test_comments_do_not_extend_the_grace(self):
        """A server that pings for ever after the end does not hold the caller up."""
        stream = clocks()
        stream.saw_finish()
        stream.begin_wait(0)
        stream.end_wait(1.5)
        stream.saw_bytes()
        stream.begin_wait(1.5)
        assert stream.expiry() == Expiry(2, "finish_grace", 2)

    def test_a_usage_chunk_extends_the_grace(self):
        """What comes after the last finish_reason is still waited for."""
        stream = clocks()
        stream.saw_finish()
        stream.begin_wait(0)
        stream.end_wait(1.5)
        stream.saw_finish()
        stream.begin_wait(1.5)
        assert stream.expiry() == Expiry(3.5, "finish_grace", 2)

    def test_a_new_choice_ends_the_grace(self):
        """A choice that begins after another has ended gets its full time."""
        stream = clocks()
        stream.saw_finish()
        stream.saw_content()
        stream.begin_wait(0)
        assert stream.expiry() == Expiry(10, "idle_bytes", 10)

    def test_no_limit_never_runs_out(self):
        """Every clock can be switched off, the grace too."""
        stream = StreamClocks(Limits(*[math.inf] * 8), 0)
        stream.begin_wait(0)
        assert stream.expiry().at == math.inf
        stream.end_wait(1e9)
        stream.saw_finish()
        stream.begin_wait(1e9)
        assert stream.expiry().at == math.inf

    @given(waits=st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1))
    def test_a_wait_that_ends_with_bytes_is_both_in_one(self, waits):
        """It says the same as ``end_wait`` and ``saw_bytes``, after which the reader may be busy."""
        one, other = clocks(), clocks()
        now = 0
        for seconds, begins in waits:
            if begins:
                one.begin_wait(now)
                other.begin_wait(now)
            now += seconds
            one.end_wait_with_bytes(now)
            other.end_wait(now)
            other.saw_bytes()
            now += seconds
        one.begin_wait(now)
        other.begin_wait(now)
        assert one.expiry() == other.expiry()

    @given(steps=st.lists(st.tuples(st.sampled_from(["wait", "busy", "bytes", "chunk"]), st.integers(0, 20))))
    def test_the_idle_clock_is_the_sum_of_waits_since_the_last_byte(self, steps):
        """Against the definition, for any order of waiting, working, bytes and chunks."""
        stream = clocks(first_content_s=math.inf, idle_content_s=math.inf, total_s=math.inf)
        now = silent = 0
        for step, seconds in steps:
            if step == "wait":
                stream.begin_wait(now)
                stream.end_wait(now + seconds)
                silent += seconds
            elif step == "bytes":
                stream.saw_bytes()
                silent = 0
            elif step == "chunk":
                stream.saw_content()
            now += seconds
        stream.begin_wait(now)
        assert stream.expiry() == Expiry(now + 10 - silent, "idle_bytes", 10)
