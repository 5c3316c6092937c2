"""Sessions over real sockets: the order of a turn, interruptions, and what can go wrong."""

from __future__ import annotations

import asyncio
import struct

import numpy as np
import pytest

from realtime.errors import ReplyError, TranscriptionError, VoiceError
from tests.client import clip, quiet

TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "conversation.item.input_audio_transcription.completed",
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]


async def turn(client, name="ls_6930_0000"):
    await client.say(quiet(0.3) + clip(name) + quiet(1))


async def test_a_turn_has_the_recorded_order(connect, runtime):
    client = await connect()
    begin = len(client.events)
    await turn(client)
    done = await client.until("response.done")
    order = [e["type"] for e in client.events[begin:] if not e["type"].endswith(".delta")]
    assert order == TURN
    assert len({e["event_id"] for e in client.events}) == len(client.events)
    assert done["response"]["status"] == "completed"

    user = client.of("conversation.item.added")[0]
    assert user["previous_item_id"] is None
    assert user["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    reply = client.of("conversation.item.added")[1]
    assert reply["previous_item_id"] == user["item"]["id"]
    assert reply["item"]["content"] == []
    ids = {e["item_id"] for e in client.events if e["type"].startswith("input_audio_buffer.")}
    assert ids == {user["item"]["id"]}


async def test_words_and_audio_are_whole(connect, runtime):
    client = await connect()
    await turn(client)
    done = await client.until("response.done")
    deltas = [e["delta"] for e in client.of("response.output_audio_transcript.delta")]
    assert deltas == ["All is well,", " thank you.", " And with you?"]
    final = client.of("response.output_audio_transcript.done")[0]["transcript"]
    assert "".join(deltas) == final == done["response"]["output"][0]["content"][0]["transcript"]
    assert len(client.audio()) == 3 * 0.5 * 24_000 * 2
    assert runtime.voice.pieces == ["All is well,", "thank you.", "And with you?"]


async def test_times_are_those_of_the_clients_audio(connect):
    client = await connect()
    await turn(client)
    stopped = await client.until("input_audio_buffer.speech_stopped")
    started = client.of("input_audio_buffer.speech_started")[0]
    loud = np.flatnonzero(np.abs(np.frombuffer(clip("ls_6930_0000"), "<i2")) > 1_500)
    first_ms, last_ms = 300 + loud[0] / 24, 300 + loud[-1] / 24
    assert first_ms - 300 - 120 <= started["audio_start_ms"] <= first_ms - 300 + 120
    assert last_ms + 500 - 120 <= stopped["audio_end_ms"] <= last_ms + 500 + 250


async def test_history_makes_the_next_prompt(connect, runtime):
    runtime.transcriber.texts = ["first words", "second words"]
    client = await connect()
    await turn(client)
    await client.until("response.done")
    await turn(client)
    await client.until("response.done")
    assert [(m.role, m.text) for m in runtime.replier.prompts[1]] == [
        ("system", "be kind"),
        ("user", "first words"),
        ("assistant", "All is well, thank you. And with you?"),
        ("user", "second words"),
    ]
    chain = [(e["item"]["id"], e["previous_item_id"]) for e in client.of("conversation.item.added")]
    assert [before for _, before in chain] == [None, *[item for item, _ in chain[:-1]]]


async def test_speech_over_a_reply_stops_it(connect, runtime):
    runtime.replier.stall_after = 4
    client = await connect()
    await turn(client)
    await client.until("response.output_audio.delta")
    await asyncio.wait_for(runtime.replier.stalled.wait(), 10)
    begin = len(client.events)
    runtime.replier.stall_after = None
    await turn(client, "lj001_0016")
    done = await client.until("response.done")
    order = [e["type"] for e in client.events[begin:] if not e["type"].endswith(".delta")]
    assert order == [
        "input_audio_buffer.speech_started",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    assert done["response"]["status"] == "cancelled"
    assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert done["response"]["output"][0]["status"] == "incomplete"
    again = await client.until("response.done")
    assert again["response"]["status"] == "completed"
    assert runtime.replier.closed == 2
    stale = done["response"]["id"]
    at = client.events.index(done)
    assert all(e.get("response_id") != stale for e in client.events[at:])
    assert len(set(runtime.voice.hushed)) == 1  # nobody hears what it had made


async def test_interrupt_response_false_lets_the_reply_go_on(connect, runtime):
    client = await connect()
    await client.send(
        "session.update",
        session={"audio": {"input": {"turn_detection": {"interrupt_response": False}}}},
    )
    runtime.voice.gate = asyncio.Event()
    await turn(client)
    await client.until("response.created")
    await turn(client)
    await client.until("conversation.item.input_audio_transcription.completed")
    runtime.voice.gate.set()
    first = await client.until("response.done")
    second = await client.until("response.done")
    assert [r["response"]["status"] for r in (first, second)] == ["completed"] * 2


async def test_create_response_false_only_transcribes(connect, runtime):
    client = await connect()
    await client.send(
        "session.update",
        session={"audio": {"input": {"turn_detection": {"create_response": False}}}},
    )
    await turn(client)
    await client.until("conversation.item.input_audio_transcription.completed")
    assert runtime.replier.prompts == []
    await client.send("response.create")
    assert (await client.until("response.done"))["response"]["status"] == "completed"


async def test_no_words_start_no_response(connect, runtime):
    runtime.transcriber.texts = ["", "hello"]
    client = await connect()
    await turn(client)
    heard = await client.until("conversation.item.input_audio_transcription.completed")
    assert heard["transcript"] == ""
    await turn(client)
    await client.until("response.done")
    assert len(runtime.replier.prompts) == 1
    assert "hello there" not in [m.text for m in runtime.replier.prompts[0]]


async def test_the_recogniser_is_told_the_language_and_the_prompt(connect, runtime):
    client = await connect()
    told = {"model": "whisper-1", "language": "en", "prompt": "Konkord"}
    await client.send("session.update", session={"audio": {"input": {"transcription": told}}})
    await turn(client)
    await client.until("conversation.item.input_audio_transcription.completed")
    [asked] = runtime.transcriber.asked
    assert (asked.language, asked.prompt) == ("en", "Konkord")


async def test_words_that_a_noise_talked_over_are_still_answered(connect, runtime):
    runtime.transcriber.texts = ["a question", ""]
    runtime.transcriber.gate = asyncio.Event()
    client = await connect()
    await turn(client)
    await client.until("input_audio_buffer.committed")
    await turn(client)
    await client.until("input_audio_buffer.committed")
    runtime.transcriber.gate.set()
    done = await client.until("response.done")
    assert done["response"]["status"] == "completed"
    assert [m.text for m in runtime.replier.prompts[0]] == ["be kind", "a question"]


async def test_push_to_talk(connect, runtime):
    client = await connect()
    await client.send("session.update", session={"audio": {"input": {"turn_detection": None}}})
    await client.until("session.updated")
    audio = clip("ls_6930_0000")
    await client.say(audio)
    await client.send("input_audio_buffer.commit")
    await client.send("response.create", response={"metadata": {"mine": "yes"}})
    done = await client.until("response.done")
    assert done["response"]["metadata"] == {"mine": "yes"}
    assert not client.of("input_audio_buffer.speech_started")
    assert len(runtime.transcriber.heard[0]) == len(audio) // 2 * 16_000 // 24_000
    assert runtime.replier.prompts[0][-1].text == "hello there"


async def test_a_commit_of_too_little_is_refused_and_the_session_lives(connect):
    client = await connect()
    await client.send("input_audio_buffer.commit", event_id="mine")
    error = (await client.until("error"))["error"]
    assert error["code"] == "input_audio_buffer_commit_empty"
    assert error["event_id"] == "mine"
    await turn(client)
    await client.until("response.done")


async def test_clear_forgets_a_turn_in_progress(connect, runtime):
    client = await connect()
    await client.say(clip("ls_6930_0000"))
    await client.until("input_audio_buffer.speech_started")
    await client.send("input_audio_buffer.clear")
    await client.until("input_audio_buffer.cleared")
    await client.say(quiet(2))
    await turn(client)
    await client.until("response.done")
    assert len(runtime.transcriber.heard) == 1


async def test_a_client_that_stops_sending_in_mid_turn_is_answered(connect, runtime):
    client = await connect()
    await client.say(quiet(0.3) + clip("ls_6930_0000"))
    stopped = await client.until("input_audio_buffer.speech_stopped")
    sent_ms = 300 + len(clip("ls_6930_0000")) // 48
    assert stopped["audio_end_ms"] <= sent_ms + 20
    assert (await client.until("response.done"))["response"]["status"] == "completed"


async def test_cancel(connect, runtime):
    runtime.replier.stall_after = 4
    client = await connect()
    await client.send("response.cancel")
    assert (await client.until("error"))["error"]["code"] == "response_cancel_not_active"
    await client.send("response.create")
    created = await client.until("response.created")
    await client.send("response.create")
    busy = (await client.until("error"))["error"]
    assert busy["code"] == "conversation_already_has_active_response"
    await client.send("response.cancel", response_id="resp_other")
    assert (await client.until("error"))["error"]["code"] == "response_cancel_not_active"
    await client.send("response.cancel", response_id=created["response"]["id"])
    done = await client.until("response.done")
    assert done["response"]["status_details"]["reason"] == "client_cancelled"


async def test_binary_audio_both_ways(connect, runtime):
    client = await connect("?audio=binary")
    audio = quiet(0.3) + clip("ls_6930_0000") + quiet(1)
    for start in range(0, len(audio), 4_801):  # odd pieces: the bytes are carried over
        await client.socket.send_bytes(audio[start : start + 4_801])
    await client.until("response.done")
    assert client.of("response.created")[0]["response_number"] == 1
    assert not client.of("response.output_audio.delta")
    heads = [struct.unpack("<BBHII", f[:12]) for f in client.frames]
    assert {h[:4] for h in heads} == {(1, 0, 0, 1)}
    offset = 0
    for head, frame in zip(heads, client.frames, strict=True):
        assert head[4] == offset
        offset += (len(frame) - 12) // 2
    assert offset == 3 * 12_000


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ("{", None),
        ('{"type":"session.update"}', "session"),
        ('{"type":"session.update","session":{"audio":{"output":{"speed":9}}}}',
         "session.audio.output.speed"),
        ('{"type":"input_audio_buffer.append","audio":"&&&&"}', "audio"),
        ('{"type":"conversation.item.create","item":{"type":"mystery"}}', "item.type"),
        ('{"type":"conversation.item.create","item":{"type":"message","role":"boss"}}',
         "item.role"),
        ('{"type":"conversation.item.retrieve","item_id":"none"}', "item_id"),
    ],
)  # fmt: skip
async def test_a_bad_message_names_its_field_and_the_session_lives(connect, message, param):
    client = await connect()
    await client.socket.send_str(message)
    error = (await client.until("error"))["error"]
    assert error.get("param") == param
    assert error["type"] == "invalid_request_error"
    await turn(client)
    assert (await client.until("response.done"))["response"]["status"] == "completed"


async def test_an_append_over_15_mib_is_refused_and_the_session_lives(connect):
    client = await connect()
    await client.say(bytes(16 * 1024 * 1024))
    error = (await client.until("error"))["error"]
    assert (error["code"], error["param"]) == ("audio_too_large", "audio")
    await turn(client)
    await client.until("response.done")


async def test_items_can_be_made_read_and_deleted(connect, runtime):
    client = await connect()
    await client.send(
        "conversation.item.create",
        item={
            "id": "mine",
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "typed"}],
        },
    )
    assert (await client.until("conversation.item.done"))["item"]["id"] == "mine"
    await client.send("conversation.item.retrieve", item_id="mine")
    item = (await client.until("conversation.item.retrieved"))["item"]
    assert item["content"] == [{"type": "input_text", "text": "typed"}]
    await client.send("response.create", response={"output_modalities": ["text"]})
    done = await client.until("response.done")
    assert done["response"]["output"][0]["content"][0]["type"] == "output_text"
    assert runtime.replier.prompts[0][-1].text == "typed"
    assert runtime.voice.pieces == []
    await client.send("conversation.item.delete", item_id="mine")
    assert (await client.until("conversation.item.deleted"))["item_id"] == "mine"


async def test_truncate_keeps_what_was_heard(connect, runtime):
    client = await connect()
    await turn(client)
    done = await client.until("response.done")
    item = done["response"]["output"][0]["id"]
    await client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=750)
    await client.until("conversation.item.truncated")
    await client.send("conversation.item.retrieve", item_id=item)
    kept = (await client.until("conversation.item.retrieved"))["item"]["content"][0]["transcript"]
    assert kept == "All is well,"
    await client.send(
        "conversation.item.truncate", item_id="nobody", content_index=0, audio_end_ms=99_999
    )
    assert (await client.until("conversation.item.truncated"))["item_id"] == "nobody"


async def test_a_recogniser_that_fails_costs_the_turn_and_not_the_session(connect, runtime):
    runtime.transcriber.texts = [TranscriptionError("no ears"), "hello"]
    client = await connect()
    await turn(client)
    failed = await client.until("conversation.item.input_audio_transcription.failed")
    assert failed["error"]["code"] == "transcription_failed"
    await turn(client)
    assert (await client.until("response.done"))["response"]["status"] == "completed"


@pytest.mark.parametrize("bug", [ReplyError("no words"), RuntimeError("secret detail")])
async def test_a_replier_that_fails_ends_the_response_and_not_the_session(connect, runtime, bug):
    runtime.replier.error = bug
    client = await connect()
    await turn(client)
    done = (await client.until("response.done"))["response"]
    assert done["status"] == "failed"
    assert "secret" not in str(done)
    runtime.replier.error = None
    await turn(client)
    assert (await client.until("response.done"))["response"]["status"] == "completed"


async def test_a_voice_that_fails_ends_the_response_and_stops_the_replier(connect, runtime):
    runtime.voice.error = VoiceError("hoarse")
    runtime.replier.stall_after = 4
    client = await connect()
    await turn(client)
    done = (await client.until("response.done"))["response"]
    assert done["status_details"]["error"]["code"] == "voice_failed"
    assert runtime.replier.closed == 1


async def test_a_sentence_that_the_length_limit_broke_off_is_not_spoken(connect, runtime):
    runtime.replier.words, runtime.replier.cut = ("This is whole. ", "This is not"), True
    client = await connect()
    await turn(client)
    assert (await client.until("response.done"))["response"]["status"] == "completed"
    assert runtime.voice.pieces == ["This is whole."]
    await client.send("response.create", response={"max_output_tokens": 5})
    done = (await client.until("response.done"))["response"]
    assert done["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}


@pytest.mark.parametrize("stage", ["listening", "transcribing", "replying", "speaking"])
async def test_a_client_that_vanishes_leaves_nothing_behind(connect, runtime, server, stage):
    before = asyncio.all_tasks()
    other = await connect()
    client = await connect()
    baseline = len(asyncio.all_tasks())
    if stage == "transcribing":
        runtime.transcriber.gate = asyncio.Event()
    if stage == "replying":
        runtime.replier.stall_after = 0
    if stage == "speaking":
        runtime.voice.gate = asyncio.Event()
    if stage == "listening":
        await client.say(clip("ls_6930_0000"))
        await client.until("input_audio_buffer.speech_started")
    else:
        await turn(client)
        await client.until(
            "input_audio_buffer.committed" if stage == "transcribing" else "response.created"
        )
    client.socket._response.close()  # the connection is cut: no close frame
    for _ in range(200):
        if len(asyncio.all_tasks()) < baseline:
            break
        await asyncio.sleep(0.02)
    assert len(asyncio.all_tasks()) < baseline
    runtime.transcriber.gate = runtime.voice.gate = None
    runtime.replier.stall_after = None
    await turn(other)
    assert (await other.until("response.done"))["response"]["status"] == "completed"
    await other.socket.close()
    assert before <= asyncio.all_tasks() | {asyncio.current_task()}
