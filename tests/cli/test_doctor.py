"""``doctor``: what it finds, says and advises, against a testing server that speaks known dialects."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import opeai_async
from opeai_async.__main__ import main
from opeai_async._cli.doctor.advice import Facts, settings
from opeai_async._cli.doctor.probes import A_WORD, PROBES, UNKNOWN_MODEL
from opeai_async._cli.doctor.quirks import NOTES, OBSERVED, explain
from opeai_async._core.dialect.rules import RULES
from opeai_async.testing import QUIRKS, Answer, Failure, OpeAIServer, Raw, RecordedRequest, Reply
from opeai_async.testing.server import answers
from tests.cli.doctor import Doctor, advised, model, quirks, rows, verdicts
from tests.cli.program import Program

REPAIRED = [
    "comment_in_data", "empty_data", "named_event", "foreign_event", "json_for_stream", "events_for_json",
    "choices_missing", "envelope_null", "id_number", "count_text", "usage_empty", "usage_total_missing",
    "choice_index_missing", "delta_missing", "message_missing", "role_missing", "content_blocks", "reasoning_alias",
    "reasoning_object", "reasoning_details", "reasoning_details_only",
    "tool_index_missing", "function_missing", "call_id_number", "arguments_object",
    "tool_calls_object", "unterminated_event", "nan", "tool_type_missing", "done_missing", "finish_missing",
    "finish_empty", "tool_index_from_1", "tool_index_zero", "tool_id_missing", "tool_id_repeated", "tool_id_empty",
    "tool_name_repeated",
]  # fmt: skip
"""Quirks that the client repairs; what is named is their rule."""

SEEN_ONLY = [
    "bom", "comments", "other_fields", "no_space", "crlf", "cr", "leading_white_space", "content_type_missing",
    "content_type_text", "content_type_wrong", "gzip", "truncated",
    "finish_upper", "finish_max_tokens", "finish_stop_with_tools", "usage_on_every_chunk", "usage_with_choices",
    "usage_repeated", "prompt_filter_first", "id_changes", "think_tags", "think_opener_missing",
    "tool_id_null",
]  # fmt: skip
"""Quirks that need no repair, so that only the bytes show them."""

BROKEN = [
    "finish_error", "error_event", "html_page", "html_502", "html_504", "status_text", "status_detail",
    "status_detail_list", "status_flat", "empty_body",
    "error_object", "data_cut",
]  # fmt: skip
"""Quirks with which there is no answer."""


@pytest.fixture
def doctor(server: OpeAIServer, capsys: pytest.CaptureFixture[str]) -> Doctor:
    return Doctor(server, capsys)


# --- verdicts ---------------------------------------------------------------------------------------------------------


def test_a_plain_server_has_no_quirks(doctor: Doctor) -> None:
    """All is supported, the exit code says so, and the output is plain off a terminal."""
    doctor.server.handle(model())
    code, out = doctor.say()
    assert code == 0
    assert "\x1b" not in out
    assert "\nquirks\n  no quirks\n" in out
    rows = dict(re.findall(rf"^({'|'.join(re.escape(probe.name) for probe in PROBES)}) +(\w+)  ", out, re.MULTILINE))
    assert rows == {probe.name: "yes" for probe in PROBES}


def test_the_report_has_what_the_table_has(doctor: Doctor) -> None:
    """As JSON, with what was seen by each probe."""
    code, report = doctor.examine(model())
    assert code == 0
    assert report["works"] is True
    assert (report["base_url"], report["model"]) == (doctor.server.base_url, "m")
    assert report["quirks"] == []
    seen = rows(report)
    assert "complete, [DONE], finish_reason 'stop', no usage unasked" in seen["stream"]
    assert "sum " in seen["usage in stream"]
    assert seen["tools, streamed"].endswith("index 0, 1")
    assert seen["reasoning"].endswith("characters, sent as reasoning_content")
    assert "HTTP 400 with error object: param 'temperature'" in seen["bad request"]
    assert "cut" not in seen["early close"]


def test_a_server_that_can_do_little(doctor: Doctor) -> None:
    """What is refused or ignored is a no, and never a reason to give up on the rest."""

    async def little(request: RecordedRequest) -> Answer:
        for name in ("tools", "stream_options"):
            if name in request.json:
                return Failure(400, param=name)
        return Reply(["Hello"])

    code, report = doctor.examine(little)
    assert code == 0
    found = verdicts(report)
    unsupported = {"tools", "tools, streamed", "usage in stream", "reasoning", "n=2", "n=2, streamed", "unknown model"}
    assert {probe for probe, verdict in found.items() if verdict == "no"} == unsupported
    assert set(found.values()) == {"yes", "no"}
    assert advised(report) == {"create(..., stream=True)"}


def test_a_probe_that_hangs_does_not_stop_the_others(doctor: Doctor) -> None:
    """Each has its own time limit."""

    async def sleepy(request: RecordedRequest) -> Answer:
        return Reply("Hello", ending="stall") if request.json.get("stream") else Reply("Hello")

    code, report = doctor.examine(sleepy, "--timeout", "0.5")
    assert code == 1
    found = verdicts(report)
    hung = {"stream", "usage in stream", "tools, streamed", "reasoning", "n=2, streamed"}
    assert {probe for probe, verdict in found.items() if verdict == "failed"} == hung
    assert rows(report)["n=2, streamed"].startswith("no end within 0.5 s, after ")
    assert found["early close"] == "yes"


def test_a_refused_key(doctor: Doctor) -> None:
    """Nothing else is asked, and the advice is the key."""
    code, report = doctor.report("--api-key", "sk-wrong-0123456789")
    assert code == 1
    assert verdicts(report) == {"reachable": "failed"}
    assert report["obstacle"] == {"cause": "the key", "advice": "check OPEAI_API_KEY"}
    assert "sk-wrong" not in json.dumps(report)


def test_nobody_there(doctor: Doctor) -> None:
    """It ends after the first question, and says what to do."""
    code, report = doctor.report("--base-url", "http://127.0.0.1:1/v1")
    assert code == 1
    assert verdicts(report) == {"reachable": "failed"}
    assert report["obstacle"]["cause"] == "the network"
    assert (report["works"], report["settings"]) == (False, [])
    _, out = doctor.say("--base-url", "http://127.0.0.1:1/v1")
    assert "APIConnectionError" in out
    assert out.endswith(
        "stopped here, as nothing else would be answered: it is the network\n"
        "  nothing listens at that port: start the server, or correct host and port in --base-url\n"
    )


PAGE = b"<!doctype html><title>Welcome</title>"
OBSTACLES: list[tuple[Raw | Failure, str, str]] = [
    (Raw((PAGE,), headers={"content-type": "text/html"}), "a website", "write the address of the API"),
    (Raw((PAGE,), status=404, headers={"content-type": "text/html"}), "a website", "write the address of the API"),
    (Raw((PAGE,), status=403, headers={"content-type": "text/html"}), "a website", "write the address of the API"),
    (Raw((b"",), status=302, headers={"location": "https://x/login"}), "a website", "set --base-url to where the API"),
    (Raw((b'{"hello": 1}',)), "another API", "check that --base-url points at the API's root"),
    (Raw((b'{"detail": "Method Not Allowed"}',), status=405), "another API", "another port or path"),
    (Raw((b"404 page not found",), status=404), "another API", "another port or path"),
    (Failure(403), "the key", "check what this key's project may use"),
    (Failure(400, message="m?", code="model_not_found"), "the model", "choose another --model"),
    (Raw((b'{"error": "model not found"}',), status=404), "the model", "choose another --model"),
]


@pytest.mark.parametrize(("answer", "cause", "advice"), OBSTACLES)
def test_what_stands_in_the_way(
    answer: Raw | Failure, cause: str, advice: str, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is called by its name, and no second question is asked to find the same."""
    monkeypatch.setattr(answers, "MODELS", ())

    async def same(request: RecordedRequest) -> Answer:
        return answer

    code, report = doctor.examine(same)
    assert code == 1
    assert verdicts(report) == {"reachable": "failed"}
    assert report["obstacle"]["cause"] == cause
    assert advice in report["obstacle"]["advice"]


def test_what_may_pass_is_no_obstacle(doctor: Doctor) -> None:
    """The next question may be answered, and is."""
    for failure in (Failure(503), Failure(429)):
        doctor.server.answer(failure)
        code, report = doctor.examine(model())
        assert code == 0
        assert report["obstacle"] is None
        assert set(verdicts(report)) == {probe.name for probe in PROBES}


def test_a_server_that_speaks_no_tls(doctor: Doctor) -> None:
    _, report = doctor.report("--base-url", doctor.server.base_url.replace("http://", "https://"))
    assert report["obstacle"]["cause"] == "TLS"
    assert "write http:// in --base-url" in report["obstacle"]["advice"]


def test_a_model_that_the_server_has_not(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that it has are told."""
    monkeypatch.setattr(answers, "MODELS", ("mm",))
    doctor.server.fail(404, message="The model does not exist", code="model_not_found")
    _, report = doctor.report()
    assert report["obstacle"] == {"cause": "the model", "advice": "did you mean --model mm? the server has: mm"}


def test_a_server_that_fails_beyond_the_ordinary(doctor: Doctor) -> None:
    """An error that is no refusal is a failure of its probe, not a no; provoked or not, the others go on."""

    async def brittle(request: RecordedRequest) -> Answer:
        is_out_of_the_ordinary = {"tools", "n", "stream_options"} & request.json.keys()
        return Failure(500) if is_out_of_the_ordinary else Reply("Hello")

    code, report = doctor.examine(brittle)
    assert code == 0
    failed = {probe for probe, verdict in verdicts(report).items() if verdict == "failed"}
    assert failed == {"usage in stream", "tools", "tools, streamed", "n=2", "n=2, streamed"}
    assert "max_retries=5" in advised(report)


def test_calls_that_cannot_be_used(doctor: Doctor) -> None:
    """No call is a no; a call that a program would trip over is odd, and each fault is said."""

    async def careless(request: RecordedRequest) -> Answer:
        if not request.json.get("tools"):
            return Reply("Hello")
        if request.json.get("stream"):
            return Reply("I will not.")
        return Reply(tool_calls=[{"id": "a", "type": "function", "function": {"name": "other", "arguments": "{"}}] * 2)

    _, report = doctor.examine(careless)
    seen = rows(report)
    assert verdicts(report)["tools"] == "odd"
    for fault in ("arguments that are no JSON object", "a name that was not offered", "ids that repeat"):
        assert fault in seen["tools"]
    assert verdicts(report)["tools, streamed"] == "no"
    assert "no call came" in seen["tools, streamed"]


def test_a_server_that_checks_nothing(doctor: Doctor) -> None:
    """Nonsense that is accepted, and a name of no model, are a no each."""
    answer = json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}}]}).encode()

    async def anything(_: RecordedRequest) -> Answer:
        return Raw((answer,))

    with OpeAIServer(validate=False, api_key=doctor.server.api_key) as server:
        server.handle(anything)
        _, report = doctor.report("--base-url", server.base_url)
    assert verdicts(report)["bad request"] == verdicts(report)["unknown model"] == "no"
    assert rows(report)["bad request"] == "all accepted: temperature=9, temperature='hot', messages=9"


@pytest.mark.parametrize(
    ("failure", "verdict", "seen"),
    [
        (Failure(400, param="temperature"), "yes", "HTTP 400 with error object: param 'temperature'"),
        (Raw((b"Internal Server Error",), status=500), "odd", "HTTP 500 with plain text: param None"),
    ],
)
def test_a_temperature_out_of_range_may_be_accepted(failure: Answer, verdict: str, seen: str, doctor: Doctor) -> None:
    """Then one that is no number shows how errors are told."""

    async def lenient(request: RecordedRequest) -> Answer:
        return failure if isinstance(request.json.get("temperature"), str) else Reply("Hello")

    with OpeAIServer(validate=False, api_key=doctor.server.api_key) as server:
        server.handle(lenient)
        code, report = doctor.report("--base-url", server.base_url)
    assert code == 0
    assert verdicts(report)["bad request"] == verdict
    assert rows(report)["bad request"].startswith(f"temperature=9 accepted; temperature='hot': {seen}")
    assert "max_retries=5" not in advised(report)


def test_a_word_is_enough_where_the_answer_does_not_matter(doctor: Doctor) -> None:
    """Those requests cost little, and a model that never stops does not hold them up; the others have no limit."""
    doctor.examine(model())
    limits = [request.json.get("max_tokens") for request in doctor.server.requests]
    first, close = [A_WORD], [None, A_WORD]
    assert limits == first + 6 * [None] + 4 * [A_WORD] + close


# --- n=2, streamed ----------------------------------------------------------------------------------------------------


def _chunk(*indexes: int, **more: object) -> bytes:
    choices = [{"index": index, "delta": {"content": "Hi"}, "finish_reason": "stop"} for index in indexes]
    return b"data: " + json.dumps({"choices": choices, **more}).encode() + b"\n\n"


@pytest.mark.parametrize(
    ("events", "verdict", "seen"),
    [
        ([_chunk(1), _chunk(0), _chunk(usage={"total_tokens": 9})], "yes", "choices 0, 1"),
        (
            [_chunk(0, 1), _chunk(usage={"total_tokens": 9}), _chunk(usage={"total_tokens": 8})],
            "odd",
            "choices 0, 1, usage 2 times, of 9, 8 tokens",
        ),
        ([_chunk(1)], "no", "ignored: 1 choice"),
        ([_chunk(1, 2)], "odd", "choices 1, 2"),
        ([_chunk(1), _chunk(usage={"total_tokens": 9}) * 2], "no", "ignored: 1 choice, usage 2 times, of 9, 9 tokens"),
    ],
)
def test_what_a_stream_of_two_choices_brings(events: list[bytes], verdict: str, seen: str, doctor: Doctor) -> None:
    """A choice that is missing and usage per choice show only in a stream that has both."""

    async def answer(request: RecordedRequest) -> Answer:
        wants_both = request.json.get("n") == 2 and request.json.get("stream")
        return Raw((b"".join(events), b"data: [DONE]\n\n")) if wants_both else Reply("Hello")

    _, report = doctor.examine(answer)
    assert (verdicts(report)["n=2, streamed"], rows(report)["n=2, streamed"]) == (verdict, seen)
    repeated = [quirk["probes"] for quirk in report["quirks"] if quirk["name"] == "usage_repeated"]
    assert repeated == ([["n=2, streamed"]] if "2 times" in seen else [])


def test_a_stream_of_two_choices_that_is_cut(doctor: Doctor) -> None:
    """How it ended is said, if it did not end well."""

    async def cut(request: RecordedRequest) -> Answer:
        return Reply("Hello", ending="clean") if request.json.get("n") and request.json.get("stream") else Reply("Hi")

    _, report = doctor.examine(cut)
    assert verdicts(report)["n=2, streamed"] == "odd"
    assert rows(report)["n=2, streamed"] == "choices 0, 1, truncated"


def test_reasoning_that_nobody_can_read(doctor: Doctor) -> None:
    """Encrypted details are no text; where they are is said."""

    async def secretive(request: RecordedRequest) -> Answer:
        delta = {
            "role": "assistant",
            "content": "Hi",
            "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}],
        }
        field = "delta" if request.json.get("stream") else "message"
        body = json.dumps({"choices": [{"index": 0, field: delta, "finish_reason": "stop"}]}).encode()
        return Raw((b"data: " + body + b"\n\ndata: [DONE]\n\n",) if field == "delta" else (body,))

    _, report = doctor.examine(secretive)
    assert verdicts(report)["reasoning"] == "odd"
    assert "sent as reasoning_details, which stays in `extra`" in str(report["checks"])
    assert report["settings"] == []
    assert doctor.say()[1].endswith("what to set\n  nothing: the defaults fit\n")


def test_an_error_as_text_is_no_error_object(doctor: Doctor) -> None:
    """The status is right, the shape is not what programs look into."""

    async def curt(_: RecordedRequest) -> Answer:
        return Raw((b'{"error": "no"}',), status=422)

    with OpeAIServer(validate=False) as server:
        server.handle(curt)
        code, report = doctor.report("--base-url", server.base_url)
    assert code == 1
    bad_request = next(check for check in report["checks"] if check["probe"] == "bad request")
    assert bad_request["verdict"] == "odd"
    assert "HTTP 422 with an error as text" in bad_request["seen"]


def test_another_place(doctor: Doctor) -> None:
    """An address that is not the API's root is told apart from one that fails; where the API is beside it, that too."""
    code, report = doctor.report("--base-url", doctor.server.base_url + "/elsewhere")
    assert code == 1
    assert report["obstacle"]["cause"] == "another API"
    root = doctor.server.base_url.removesuffix("/v1")
    _, report = doctor.report("--base-url", root)
    advice = f"the API is at another address: --base-url {doctor.server.base_url}"
    assert report["obstacle"] == {"cause": "another API", "advice": advice}


# --- quirks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*REPAIRED, *SEEN_ONLY])
def test_a_quirk_is_named(name: str, doctor: Doctor) -> None:
    """By its rule where it is repaired, else by its own name; and no other is that has nothing to do with it."""
    _, report = doctor.examine(model([name]))
    expected = {"nan": "loose_json", "tool_type_missing": "call_incomplete"}.get(name, QUIRKS[name].rule or name)
    related = {"call_incomplete", "crlf", "done_missing", "reasoning_details"}
    assert expected in quirks(report)
    assert quirks(report) - {expected} <= related
    told = next(quirk for quirk in report["quirks"] if quirk["name"] == expected)
    assert told["is_repaired"] is (name in REPAIRED)
    assert told["what"]
    assert set(told["probes"]) <= {probe.name for probe in PROBES}


@pytest.mark.parametrize("name", BROKEN)
def test_a_quirk_without_an_answer_is_named(name: str, doctor: Doctor) -> None:
    """Where nothing works, the name of what is in the way is there all the same."""
    code, report = doctor.examine(model([name]))
    assert code == 1
    named = {"error_object": "error_in_200", "data_cut": "event_no_chunk"}.get(name, name)
    assert named in quirks(report)


def test_every_quirk_has_an_explanation() -> None:
    """Each name that the client notes, each rule, and each that is observed."""
    package = Path(opeai_async.__file__).parent
    sources = [path.read_text("utf-8") for path in (package / "_core").rglob("*.py")]
    noted = {name for source in sources for name in re.findall(r"(?:note\(|quirks\[)\"(\w+)\"", source)}
    noted -= {rule.name for rule in RULES}
    assert {"empty_data", "json_for_stream"} < noted <= set(NOTES)
    names = noted | {rule.name for rule in RULES} | {name for name, _ in OBSERVED}
    assert [name for name in names if explain(name).what == "not described"] == []


# --- what to set ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "setting"),
    [
        (["truncated"], 'on_truncated="return"'),
        (["think_tags"], 'reasoning_tags="think"'),
        (["think_opener_missing"], 'reasoning_tags="open"'),
        ([], 'stream_options={"include_usage": True}'),
    ],
)
def test_what_to_set_for_a_quirk(names: list[str], setting: str, doctor: Doctor) -> None:
    _, report = doctor.examine(model(names))
    assert setting in advised(report)


def test_a_refused_field_has_its_advice(doctor: Doctor) -> None:
    """``max_tokens`` and a ``tool_choice`` that insists are refused by some; both have a way around."""

    async def picky(request: RecordedRequest) -> Answer:
        if "max_tokens" in request.json:
            return Failure(400, param="max_tokens", message="Use max_completion_tokens.")
        if request.json.get("tool_choice") == "required":
            return Failure(400, param="tool_choice")
        return await model()(request) or Reply()

    _, report = doctor.examine(picky)
    assert advised(report) >= {"max_completion_tokens=", 'tool_choice="auto"'}
    assert verdicts(report)["tools"] == "yes"


def test_an_overloaded_server_wants_more_retries(doctor: Doctor) -> None:
    """Failures that pass are no trait of the dialect."""
    doctor.server.fail(503, times=1)
    code, report = doctor.examine(model())
    assert code == 0
    assert verdicts(report)["reachable"] == "failed"
    assert "max_retries=5" in advised(report)


def test_a_provoked_server_error_asks_for_no_retries(doctor: Doctor) -> None:
    """A 500 for an unknown model is how this server says no."""

    async def rough(request: RecordedRequest) -> Answer:
        return Failure(500) if request.json["model"] == UNKNOWN_MODEL else Reply("Hello")

    _, report = doctor.examine(rough)
    assert verdicts(report)["unknown model"] == "odd"
    assert "max_retries=5" not in advised(report)


@pytest.mark.parametrize(
    ("facts", "setting"),
    [
        (Facts(longest_silence_s=30.0), "timeouts=Timeouts(idle_bytes_s=150)"),
        (Facts(first_content_s=120.0), "timeouts=Timeouts(first_content_s=600)"),
        (Facts(is_held_open=True), "timeouts=Timeouts(finish_grace_s=0.5)"),
    ],
)
def test_slow_servers_get_longer_limits(facts: Facts, setting: str) -> None:
    assert [advice.set for advice in settings(facts)] == [setting]


def test_the_defaults_fit_where_nothing_was_seen() -> None:
    assert settings(Facts(longest_silence_s=1.0, first_content_s=2.0)) == []


def test_a_stream_that_is_held_open(doctor: Doctor) -> None:
    """Without ``[DONE]``, the end is known only by waiting."""

    async def held_open(request: RecordedRequest) -> Answer:
        is_stream = request.json.get("stream")
        return Reply("Hello", quirks=["done_missing", "done_held_open"] if is_stream else [])

    _, report = doctor.examine(held_open)
    assert "timeouts=Timeouts(finish_grace_s=0.5)" in advised(report)


# --- what it must not say ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_the_key_is_never_shown(arguments: tuple[str, ...], doctor: Doctor) -> None:
    """Not even where a server repeats it."""
    key = "a-secret-of-the-user"

    async def echo(request: RecordedRequest) -> Answer:
        said = request.headers["authorization"]
        if request.json.get("n"):
            return Failure(400, message=f"no n for {said}", code=said)
        return Reply(key, finish_reason=key, reasoning=key, model=key)

    with OpeAIServer(api_key=key) as server:
        server.handle(echo)
        code, out = doctor.say("--api-key", key, "--base-url", server.base_url, *arguments)
    assert code == 0
    assert "[redacted]" in out
    assert key not in out


def test_text_of_the_server_cannot_move_the_cursor(doctor: Doctor) -> None:
    """Escape sequences are shown as text."""

    async def hostile(_: RecordedRequest) -> Answer:
        return Reply("\x1b[2J\u202eHello", finish_reason="\x1b[1A")

    doctor.server.handle(hostile)
    _, out = doctor.say()
    assert "\\x1b[2J\\u202eHello" in out
    assert "\x1b" not in out


# --- the command line -------------------------------------------------------------------------------------------------


def test_without_a_key_it_does_not_begin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and what to do about it."""
    monkeypatch.setenv("OPEAI_API_KEY", "")
    assert main(["doctor", "--model", "m"]) == 2
    monkeypatch.delenv("OPEAI_API_KEY")
    assert main(["doctor", "--model", "m"]) == 2
    said = capsys.readouterr().err
    assert said.count("there is no API key") == 2
    assert said.count("any text will do for a server without keys") == 2


@pytest.mark.parametrize(
    "arguments", [(), ("--model", "m", "--timeout", "0"), ("--model", "m", "--timeout", "nan"), ("--model",)]
)
def test_a_wrong_command_line(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """The model must be there, the limit a number above 0."""
    with pytest.raises(SystemExit) as info:
        main(["doctor", *arguments])
    assert info.value.code == 2
    assert "usage: " in capsys.readouterr().err


def test_a_key_over_http_to_another_machine_is_refused(doctor: Doctor, capsys: pytest.CaptureFixture[str]) -> None:
    """Unless that is asked for."""
    assert main(["doctor", "--model", "m", "--base-url", "http://192.0.2.1/v1"]) == 2
    assert "error: " in capsys.readouterr().err
    assert doctor.server.requests == []


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_on_a_terminal_it_says_what_it_does(server: OpeAIServer) -> None:
    """Each question is announced, because a slow model may take a while over it."""
    with Program("doctor", "--model", "m", on_terminal=True) as program:
        for probe in PROBES:
            program.wait_for(f"asking: {probe.name}")
        program.wait_for("what to set")
        assert program.wait() == 0


def test_as_a_program(server: OpeAIServer) -> None:
    """`python -m opeai_async doctor` finds its server, prints plain text, and ends by itself."""
    server.handle(model(["reasoning_alias", "usage_on_every_chunk"]))
    command = [sys.executable, "-W", "error", "-m", "opeai_async", "doctor", "--base-url", server.base_url]
    done = subprocess.run(
        [*command, "--model", "m", "--api-key", server.api_key], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    for name in ("reasoning_alias (repaired)", "usage_on_every_chunk (not repaired)"):
        assert f"\n  {name}: " in done.stdout
