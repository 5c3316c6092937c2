"""What llama.cpp is asked to read of a caller's words, and how often its template."""

from __future__ import annotations

import pytest

from realtime.engines.llama_reader import KEPT, PLACEHOLDER, LlamaReader
from realtime.prompt import Message

SYSTEM, SAID = Message("system", "Be kind."), Message("user", "What is that?")
END = {"completion_probabilities": [{"top_logprobs": [{"token": "?", "logprob": 0.0}]}]}


class Server:
    """A template with the text of each message in brackets."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict]] = []

    async def ask(self, path: str, body: dict) -> dict:
        self.asked.append((path, body))
        if path == "/completion":
            return END
        return {"prompt": "".join(f"<{m['content']}>" for m in body["messages"]) + "assistant:"}

    @property
    def read(self) -> list[str]:
        return [body["prompt"] for path, body in self.asked if path == "/completion"]

    @property
    def templates(self) -> int:
        return len([path for path, _ in self.asked if path == "/apply-template"])


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def reader(server):
    return LlamaReader(server.ask)


async def test_the_prompt_ends_with_the_last_word(server, reader):
    assert await reader.ends([SYSTEM, SAID]) == 1.0
    assert server.read == ["<Be kind.><What is that"]
    assert server.asked[-1][1]["n_probs"] > 1


async def test_words_said_before_are_not_mistaken_for_the_last(server, reader):
    await reader.ends([Message("user", f"{PLACEHOLDER} {SAID.text}"), SAID])
    assert server.read == [f"<{PLACEHOLDER} What is that?><What is that"]


async def test_what_is_read_ahead_is_the_beginning_of_it_and_nothing_is_written(server, reader):
    await reader.ahead([SYSTEM, Message("user", "What is")])
    await reader.ends([SYSTEM, SAID])
    assert server.read == ["<Be kind.><What is", "<Be kind.><What is that"]
    assert server.asked[1][1]["n_predict"] == 0
    assert server.templates == 1


async def test_no_words_end_anywhere_and_nothing_is_asked(server, reader):
    assert await reader.ends([SYSTEM, Message("user", "...")]) == 1.0
    assert server.asked == []


async def test_another_conversation_has_a_template_of_its_own_and_few_are_kept(server, reader):
    for turn in range(KEPT + 1):
        await reader.ends([Message("system", str(turn)), SAID])
    assert server.templates == KEPT + 1
    await reader.ends([Message("system", str(KEPT)), SAID])
    assert server.templates == KEPT + 1
    await reader.ends([Message("system", "0"), SAID])
    assert server.templates == KEPT + 2
    assert len(reader._begins) == KEPT
