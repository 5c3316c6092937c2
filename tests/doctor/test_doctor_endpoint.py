"""The language model's endpoint: a real one on this machine for each of its answers."""

from __future__ import annotations

from typing import Any

import pytest

from realtime.doctor import endpoint
from realtime.doctor.child import Probed
from realtime.doctor.finding import Finding, Level
from tests.llm_endpoint import Endpoint, nothing, status

KEY = "sk-secret-4711"
MODELS = status(200, {"object": "list", "data": [{"id": "big"}, {"id": "small"}]})


def refusal(code: int, words: str) -> Any:
    return status(code, {"error": {"message": words, "type": "t", "code": "c"}})


async def ask(model: str = "big", timeout_s: float = 15, **change: Any) -> tuple[Finding, Endpoint]:
    stub = Endpoint()
    stub.models = change.get("models", MODELS)
    stub.script = [change["reply"]] if "reply" in change else stub.script
    async with stub.serve():
        [finding] = await endpoint.look(stub.url, model, KEY, timeout_s)
    return finding, stub


async def test_an_endpoint_that_answers() -> None:
    finding, stub = await ask()
    assert finding.level is Level.OK
    assert "big at http://127.0.0.1" in finding.seen
    assert "first word after" in finding.seen
    assert stub.keys == [f"Bearer {KEY}"]
    assert [request["stream"] for request in stub.requests] == [True]


async def test_a_key_that_is_refused_and_not_repeated() -> None:
    refused = refusal(401, f"Incorrect API key provided: {KEY}")
    finding, _ = await ask(models=refused, reply=refused)
    assert finding.level is Level.ERROR
    assert "401" in finding.seen
    assert KEY not in str(finding)
    assert "BANTER_LLM_KEY" in finding.remedy


async def test_a_model_that_it_has_not() -> None:
    finding, _ = await ask("huge", reply=refusal(404, "The model `huge` does not exist"))
    assert finding.level is Level.ERROR
    assert finding.remedy == "choose one of its models with --llm-model: big, small"


async def test_a_model_that_says_nothing_in_time() -> None:
    finding, stub = await ask(timeout_s=1, reply=nothing)
    assert finding.level is Level.WARNING
    assert "said no word in time" in finding.seen
    assert stub.waiting.is_set()


def facts(reply: dict[str, Any], models: dict[str, Any] | None = None) -> Probed:
    listed = {"status": 200, "names": ["big", "small:latest"]}
    return Probed({"package": True, "models": listed if models is None else models, "reply": reply})


REFUSED = {"broken": "ConnectError: [Errno 111] Connection refused"}
GONE = {"status": 404, "broken": "Not Found"}
FIRST = {"status": 200, "first_s": 0.2}


@pytest.mark.parametrize(
    ("probed", "level", "seen", "remedy"),
    [
        (Probed({"package": False}), "error", "not installed", "banter-voice[openai]"),
        (Probed(trouble="no answer within 40 s"), "error", "no answer", "name or address"),
        (facts(REFUSED, REFUSED), "error", "Connection refused", "inside a container"),
        (facts({"timeout": True}, {"timeout": True}), "error", "no answer in time", "start it"),
        (facts(GONE, GONE), "error", "404", "ends in /v1"),
        (facts({"status": 401, "broken": "no"}, GONE), "error", "401", "a key that it accepts"),
        (facts({"status": 429, "broken": "quota"}), "warning", "quota", "balance"),
        (facts({"status": 503, "broken": "loading"}), "warning", "loading", "wait"),
        (facts({"status": 500, "broken": "oops"}), "error", "oops", "its log"),
        (facts(FIRST, GONE), "ok", "answers", ""),
    ],
)
def test_other_answers(probed: Probed, level: str, seen: str, remedy: str) -> None:
    finding = endpoint.judge(probed, "http://me:pass@localhost:1/v1", "big", KEY)
    assert finding.level == level
    assert seen in finding.seen
    assert remedy in finding.remedy
    assert "pass" not in str(finding)


def test_a_name_that_is_not_listed_but_answers_is_worth_a_word() -> None:
    url = "http://localhost:1/v1"
    assert "has not this name" in endpoint.judge(facts(FIRST), url, "default", "").seen
    assert "has not this name" not in endpoint.judge(facts(FIRST), url, "small", "").seen
