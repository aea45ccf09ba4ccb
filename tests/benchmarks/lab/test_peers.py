"""Peers stand behind one interface, and one that is missing or cannot do a thing is a note."""

import importlib.util

import pytest

from benchmarks.lab.generators import MESSAGES, text_answer, tools_answer, whole_answer
from benchmarks.lab.lab import open_lab
from benchmarks.lab.peers import COMPLETION, CONSTRUCT, PEERS, ByHand, Groq, installed


async def test_the_hand_written_loop_reads_what_the_others_read():
    """Text by text, all of it, put together, and one whole answer."""
    async with open_lab(peers=frozenset({ByHand.name})) as lab:
        (peer,) = await lab.open_peers(lab.base_url("burst", 100))
        texts: list[str] = []
        await peer.read(texts.append)
        assert "".join(texts) == text_answer(100).content
        assert await peer.count() == len(text_answer(100).content)
        (peer,) = await lab.open_peers(lab.base_url("tools", 100), COMPLETION)
        answer = tools_answer(100)
        arguments = sum(len(call[2]) for call in answer.tool_calls)
        assert await peer.completion() == len(answer.content) + len(answer.reasoning) + arguments
        (peer,) = await lab.open_peers(lab.base_url("whole", 100))
        assert await peer.create(MESSAGES) == whole_answer(100)[1]


@pytest.mark.parametrize("name", PEERS)
def test_one_that_is_not_installed_is_a_note(name, monkeypatch):
    """The others are measured without it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    notes: list[str] = []
    assert installed(frozenset({name}), notes.append) == []
    assert notes == [f"{name}: not installed (dependency group bench-peers)"]


@pytest.mark.parametrize(("peer", "doing"), [(Groq, COMPLETION), (ByHand, CONSTRUCT)])
def test_one_that_cannot_do_it_says_so(peer, doing, monkeypatch):
    """And is not asked."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    notes: list[str] = []
    assert installed(frozenset({peer.name}), notes.append, doing) == []
    assert notes == [f"{peer.name}: {peer.cannot[doing]}"]
    assert installed(frozenset({peer.name}), notes.append) == [peer]
