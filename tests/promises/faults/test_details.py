"""What single rows of the matrix promise beyond the class of their error."""

from __future__ import annotations

import asyncio
import resource

import pytest

from opeai_async import (
    APIStatusError,
    InternalServerError,
    InvalidResponseError,
    RateLimitError,
    StreamDecodeError,
    StreamServerError,
    StreamTimeoutError,
    StreamTooLargeError,
    Timeouts,
)
from opeai_async.testing import FAULTS, Fault
from tests.promises.faults.matrix import (
    ASK,
    AT_STAGE,
    CLOCK_S,
    MAX_EVENT_BYTES,
    MAX_STREAM_BYTES,
    NEXT,
    PIECES,
    case,
    ids,
    read,
)
from tests.support.leaks import eventually

pytestmark = pytest.mark.time_limit(15)

TRICKLES = [FAULTS[name] for name in ("head_stall", "head_half", "head_trickle", "interim_flood")]
REDIRECTS = [fault for fault in AT_STAGE["status"] if fault.name.startswith("redirect_")]
STATUSES = [fault for fault in AT_STAGE["status"] if fault.name.startswith("status_")]
PAGES = [FAULTS[name] for name in ("page_200", "page_200_as_answer", "text_200")]
UNREADABLE = [FAULTS[name] for name in ("json_malformed", "json_too_deep", "json_of_another_kind")]
ENDLESS = [FAULTS[name] for name in ("line_for_ever", "event_for_ever", "gzip_bomb", "flood")]

MEGABYTE = 2**20


# --- heads and statuses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", TRICKLES, ids=ids(TRICKLES))
async def test_the_clock_of_the_head_runs_by_the_wall(fault: Fault) -> None:
    """Whatever trickles in resets nothing."""
    async with case(fault, stream=True) as this:
        _, error = await read(this)
        assert (error.phase, error.timeout_s) == ("response_headers", CLOCK_S)
        assert f"response_headers_s={CLOCK_S:g}" in str(error)


@pytest.mark.parametrize("fault", REDIRECTS, ids=ids(REDIRECTS))
async def test_a_redirect_names_where_it_leads(fault: Fault) -> None:
    """Nobody followed it, and the error says whose address is meant."""
    async with case(fault, stream=True) as this:
        _, error = await read(this)
        assert f"a redirect to 'localhost:{this.server.base_url.split(':')[2][:-3]}' was not followed" in str(error)
        assert error.status_code == int(fault.name.removeprefix("redirect_"))
        assert len(this.server.requests) == 1


@pytest.mark.parametrize("fault", STATUSES, ids=ids(STATUSES))
async def test_a_status_is_told_with_its_facts(fault: Fault) -> None:
    """Status, id and the fields of the error object."""
    async with case(fault, stream=True, max_retries=0) as this:
        _, error = await read(this)
        assert isinstance(error, APIStatusError)
        assert error.status_code == int(fault.name.removeprefix("status_"))
        assert (error.type, error.code, error.request_id) == ("scripted", None, this.server.requests[0].request_id)
        assert "Scripted." in str(error)


@pytest.mark.parametrize("name", ["retry_after_seconds", "retry_after_ms", "retry_after_date"])
async def test_a_server_is_given_the_time_it_asks_for(name: str) -> None:
    """Two seconds, in whichever way it says so."""
    async with case(FAULTS[name], stream=True) as this:
        async with this.client.chat.completions.stream(**ASK) as stream:
            assert (await stream.completion()).choices[0].message.content == NEXT
        assert this.slept == [2.0]


async def test_a_server_that_asks_for_too_much_time() -> None:
    """The caller is told, instead of waiting for two hours."""
    async with case(FAULTS["retry_after_hours"], stream=True) as this:
        _, error = await read(this)
        assert isinstance(error, RateLimitError)
        assert error.retry_after_s == 7200.0


@pytest.mark.parametrize("fault", PAGES, ids=ids(PAGES))
async def test_a_page_is_shown_in_part(fault: Fault) -> None:
    """Media type, status, and the beginning of what came."""
    async with case(fault, stream=True) as this:
        _, error = await read(this)
        assert isinstance(error, InvalidResponseError)
        assert error.status_code == 200
        assert error.content_type in str(error)
        assert error.excerpt.startswith(("<!DOCTYPE html>", "It works!"))


async def test_a_page_that_does_not_end_is_read_in_part() -> None:
    """Its error holds a piece of it."""
    async with case(FAULTS["page_endless"], stream=True, max_retries=0) as this:
        _, error = await read(this)
        assert isinstance(error, InternalServerError)
        assert len(error.body) <= 4096


# --- bodies -----------------------------------------------------------------------------------------------------------


async def test_what_had_arrived_is_kept_with_its_usage() -> None:
    """Counts that came with the chunks before the break are on the error."""
    async with case(FAULTS["rst_in_chunk"], stream=True, quirks=("usage_on_every_chunk",)) as this:
        texts, error = await read(this)
        assert texts == PIECES
        assert error.usage == error.partial.usage
        assert error.usage.total_tokens > 0


@pytest.mark.parametrize("after", [1, 2, 3])
async def test_after_the_first_chunk_nothing_is_retried(after: int) -> None:
    """Be it one that only names the role: it was handed out."""
    async with case(FAULTS["rst_in_chunk"], stream=True, after=after) as this:
        texts, error = await read(this)
        assert texts == PIECES[: after - 1]
        assert error.events == after
        assert len(this.server.requests) == 1


@pytest.mark.parametrize("fault", UNREADABLE, ids=ids(UNREADABLE))
async def test_what_cannot_be_read_is_shown_in_part(fault: Fault) -> None:
    """At most 200 bytes of it."""
    async with case(fault, stream=True) as this:
        _, error = await read(this)
        assert isinstance(error, StreamDecodeError)
        assert 0 < len(error.excerpt.encode()) <= 200


async def test_an_error_in_the_stream_brings_its_fields() -> None:
    """Message, code and type, as the server gave them."""
    async with case(FAULTS["error_event"], stream=True) as this:
        _, error = await read(this)
        assert isinstance(error, StreamServerError)
        assert (error.code, error.type, error.status_code) == ("backend_gone", "server_error", 500)
        assert "The backend is gone." in str(error)


@pytest.mark.parametrize(
    ("name", "clocks", "phase"),
    [
        ("comments", Timeouts(idle_content_s=CLOCK_S), "idle_content"),
        ("stall", Timeouts(idle_bytes_s=CLOCK_S), "idle_bytes"),
        ("trickle_for_ever", Timeouts(total_s=5 * CLOCK_S, idle_bytes_s=CLOCK_S), "total"),  # the head is in time
    ],
)
async def test_each_silence_has_its_clock(name: str, clocks: Timeouts, phase: str) -> None:
    """Comments prove a connection, chunks prove a model, and neither stops the deadline."""
    async with case(FAULTS[name], stream=True, timeouts=clocks) as this:
        _, error = await read(this)
        assert isinstance(error, StreamTimeoutError)
        assert error.phase == phase


# --- what never ends --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ENDLESS, ids=ids(ENDLESS))
async def test_what_never_ends_is_stopped_before_memory_grows(fault: Fault) -> None:
    """The limit is named, and what was read beyond it is no more than a few reads."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with case(fault, stream=True) as this:
        _, error = await read(this)
        assert isinstance(error, StreamTooLargeError)
        stated = {"flood": f"max_stream_bytes={MAX_STREAM_BYTES}"}.get(fault.name, f"max_event_bytes={MAX_EVENT_BYTES}")
        assert error.limit == stated
        assert error.bytes < 8 * MEGABYTE
    assert (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024
    )  # KiB; the process has peaked before


async def test_a_consumer_that_stops_reading_blocks_the_server() -> None:
    """The server writes as fast as it can, and soon cannot; the idle clocks stand still; leaving closes at once."""
    clocks = Timeouts(idle_bytes_s=CLOCK_S, idle_content_s=CLOCK_S)
    async with case(FAULTS["flood"], stream=True, timeouts=clocks) as this:
        async with this.client.chat.completions.stream(**ASK) as stream:
            await anext(stream)
            record = this.server.requests[0]
            sent = -1
            while sent != record.chunks_sent:
                sent = record.chunks_sent
                await asyncio.sleep(CLOCK_S * 1.5)
            event_bytes = 7_000
            assert sent * event_bytes < 32 * MEGABYTE  # what the system buffers for both sides
            await anext(stream)
        assert (await this.server.wait_closed(0)).outcome == "client_gone"
        await eventually(lambda: this.server.connections_open == 0)
