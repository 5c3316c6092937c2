"""A front end's side of the link, against a link that does as it is told (`fake_link.py`)."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from realtime.batching import SPECULATION
from realtime.cluster import pools as pools_module
from realtime.cluster.pools import REMEMBERED, OwnerNames, Pools
from realtime.cluster.remote_transcriber import RemoteTranscriber
from realtime.cluster.remote_voice import RemoteVoice
from realtime.engines import Line, Utterance
from realtime.errors import BanterError, Saturated, StageError
from realtime.metrics import Metrics
from realtime.settings import OPTIONS


def fake(address: str, fd: int) -> list[str]:
    return [sys.executable, "-m", "tests.fake_link", address, str(fd)]


@asynccontextmanager
async def pools_of(kind: str = "pools", within_s: float = 20.0) -> AsyncIterator[Pools]:
    pools = Pools(kind, metrics=Metrics(), command=fake)
    await pools.start(within_s)
    try:
        yield pools
    finally:
        await pools.close()


async def until(true: Callable[[], object], within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def spoken(voice: RemoteVoice, text: str) -> list[int]:
    return [len(chunk) async for chunk in voice.speak(Line(text), owner="me")]


def utterance(samples: int = 1600) -> Utterance:
    return Utterance(np.zeros(samples, np.int16), rank=SPECULATION)


async def test_an_utterance_goes_there_and_its_words_come_back() -> None:
    async with pools_of() as pools:
        heard = await RemoteTranscriber(pools).transcribe(utterance(), owner=("any", 1))
    assert heard.text == f"3200 {SPECULATION}"


async def test_a_line_is_heard_in_chunks() -> None:
    async with pools_of() as pools:
        assert await spoken(RemoteVoice(pools), "Hello.") == [240, 240, 240]


async def test_what_the_pools_are_is_known() -> None:
    async with pools_of() as pools:
        ears, voice = RemoteTranscriber(pools), RemoteVoice(pools)
        assert ears.reach.languages == {"en", "de"}
        assert ears.reach.translates
        assert (ears.spare, ears.free, ears.waiting_s) == (True, False, 3.0)
        assert voice.names() == ("default", "ada")
        assert ears.alive
        assert voice.alive
        assert pools.report()["pools"]["voice"]["replicas"] == 1


async def test_the_link_sees_the_token_and_no_secret_of_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secrets = [option.variable for option in OPTIONS if option.secret]
    assert "BANTER_SHARED_SECRET" in secrets
    for name in (*secrets, "BANTER_VOICE"):
        monkeypatch.setenv(name, "x" * 32)
    pools = Pools("pools", metrics=Metrics(), token="t" * 32, command=fake)
    await pools.start(20.0)
    seen = pools.state("voice").facts["variables"]
    await pools.close()
    assert {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "BANTER_VOICE"} <= set(seen)
    assert not set(secrets) & set(seen)


async def test_a_reply_that_is_dropped_is_cancelled_over_there() -> None:
    async with pools_of() as pools:
        voice = RemoteVoice(pools)
        async with aclosing(voice.speak(Line("long"), owner="me")) as chunks:
            async for _ in chunks:
                break
        await until(lambda: pools.state("voice").facts["cancelled"] == [0])


async def test_what_has_ended_is_not_cancelled() -> None:
    async with pools_of() as pools:
        voice = RemoteVoice(pools)
        await spoken(voice, "Hello.")
        async with aclosing(voice.speak(Line("long"), owner="me")) as chunks:
            await anext(chunks)
        await until(lambda: pools.state("voice").facts["cancelled"])
        assert pools.state("voice").facts["cancelled"] == [1]


async def test_hurry_names_the_owner_of_what_is_under_way() -> None:
    async with pools_of() as pools:
        voice = RemoteVoice(pools)
        voice.hurry("me")  # nothing is under way: nobody is told
        async with aclosing(voice.speak(Line("long"), owner="me")) as chunks:
            await anext(chunks)
            voice.hurry("me")
            await until(lambda: pools.state("voice").facts["hurried"])
        assert pools.state("voice").facts["hurried"] == [["voice", "0"]]


async def test_a_failure_over_there_is_the_stage_s_error() -> None:
    async with pools_of() as pools:
        with pytest.raises(StageError, match="it was lost") as told:
            await spoken(RemoteVoice(pools), "fail")
        assert (told.value.stage, told.value.code) == ("voice", "replica_lost")
        with pytest.raises(Saturated):
            await spoken(RemoteVoice(pools), "full")


@pytest.mark.parametrize("text", ["die", "half"])
async def test_a_link_that_dies_fails_what_was_under_way_and_is_started_again(text: str) -> None:
    async with pools_of() as pools:
        voice = RemoteVoice(pools)
        with pytest.raises(StageError) as told:
            await spoken(voice, text)
        assert told.value.code == "link_lost"
        assert pools.outage
        assert not voice.alive
        with pytest.raises(StageError) as told:
            await spoken(voice, "Hello.")
        assert told.value.code == "no_replica"
        await until(lambda: not pools.outage)
        assert await spoken(voice, "Hello.") == [240, 240, 240]


async def test_without_replicas_nothing_can_be_asked_and_the_start_fails() -> None:
    pools = Pools("empty", metrics=Metrics(), command=fake)
    with pytest.raises(BanterError, match="no replica of transcription and voice lives"):
        await pools.start(within_s=5.0)


@pytest.mark.parametrize(
    ("kind", "says"), [("never", "is being made"), ("trouble", "there is no head")]
)
async def test_a_cluster_that_is_not_there_ends_the_start_with_the_reason(
    kind: str, says: str
) -> None:
    pools = Pools(kind, metrics=Metrics(), command=fake)
    with pytest.raises(BanterError, match=says):
        await pools.start(within_s=5.0)


async def test_a_link_that_cannot_be_kept_up_is_tried_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools_module, "LONGEST_PAUSE_S", 0.5)
    async with pools_of(f"once:{tmp_path / 'there'}") as pools:
        with pytest.raises(StageError):
            await spoken(RemoteVoice(pools), "die")
        await until(lambda: pools._metrics.counts["cluster.link_restarts"] >= 3)
        assert pools.outage
        (tmp_path / "there").unlink()
        await until(lambda: not pools.outage)


async def test_when_the_front_end_closes_the_link_ends() -> None:
    async with pools_of() as pools:
        child = pools._child
        assert child is not None
    assert child.wait(5) == 0


async def test_two_calls_of_one_owner_have_one_name_until_both_are_over() -> None:
    names = OwnerNames()
    with names.named("me") as first:
        with names.named("me") as second, names.named("you") as other:
            assert first == second != other
        assert names.known("me") == first
    assert names.known("me") == ""


@pytest.mark.parametrize("error", [asyncio.CancelledError(), StageError("the link is gone")])
async def test_what_cuts_a_call_off_is_not_swallowed(error: BaseException) -> None:
    names = OwnerNames()

    def cut_off() -> None:
        with names.named("me"):
            names.forget("me")
            raise error

    with pytest.raises(type(error)):
        cut_off()


async def test_a_listener_is_known_again_with_his_next_line_until_many_others_came() -> None:
    names = OwnerNames()
    with names.named("me") as first:
        pass
    with names.named("you"), names.named("me") as again:
        assert again == first
    with names.named("me") as cut_off:
        names.forget("me")
    with names.named("me") as after_it:
        assert after_it != cut_off == first
    first = after_it
    for number in range(REMEMBERED + 1):
        with names.named(number):
            pass
    with names.named("me") as anew:
        assert anew != first
