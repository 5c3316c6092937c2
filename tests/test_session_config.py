"""The session object: merge, clear, echo, refuse."""

from __future__ import annotations

import pytest

from realtime.errors import ProtocolError
from realtime.session_config import SemanticVad, ServerVad, SessionConfig


def echo(config: SessionConfig) -> dict:
    return config.wire(session_id="sess_1", expires_at=1)


def test_the_default_session_is_the_protocols():
    body = echo(SessionConfig())
    assert body["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    }
    assert body["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24_000}
    assert body["output_modalities"] == ["audio"]


def test_an_update_changes_only_what_it_carries():
    first = SessionConfig().updated({"audio": {"input": {"turn_detection": {"threshold": 0.7}}}})
    second = first.updated({"instructions": "be kind"})
    assert second.audio.input.turn_detection == ServerVad(threshold=0.7)
    assert second.instructions == "be kind"


def test_null_clears_what_may_be_null_and_means_unset_elsewhere():
    config = SessionConfig(instructions="be kind").updated(
        {"instructions": None, "audio": {"input": {"turn_detection": None, "format": None}}}
    )
    assert config.audio.input.turn_detection is None
    assert config.instructions == "be kind"
    assert config.audio.input.format.rate == 24_000
    back = config.updated({"audio": {"input": {"turn_detection": {"silence_duration_ms": 300}}}})
    assert back.audio.input.turn_detection == ServerVad(silence_duration_ms=300)


def test_another_kind_of_turn_detection_starts_from_its_own_defaults():
    config = SessionConfig().updated(
        {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}}}
    )
    assert config.audio.input.turn_detection == SemanticVad(eagerness="high")
    assert echo(config)["audio"]["input"]["turn_detection"]["interrupt_response"] is True


def test_what_is_echoed_of_transcription_has_no_null_keys():
    config = SessionConfig().updated({"audio": {"input": {"transcription": {"model": "x"}}}})
    assert echo(config)["audio"]["input"]["transcription"] == {"model": "x"}


def test_how_a_voice_speaks_is_set_cleared_and_echoed_only_where_it_is_set():
    assert set(echo(SessionConfig())["audio"]["output"]) == {"format", "voice", "speed"}
    patch = {"exaggeration": 0.7, "temperature": 0.6}
    config = SessionConfig().updated({"audio": {"output": patch}})
    assert echo(config)["audio"]["output"].items() >= patch.items()
    config = config.updated({"audio": {"output": {"exaggeration": None, "temperature": None}}})
    assert echo(config) == echo(SessionConfig())


def test_forms_that_mean_the_same():
    config = SessionConfig().updated({"audio": {"output": {"voice": {"id": "alloy"}}}, "new": 1})
    assert config.audio.output.voice == "alloy"
    assert SessionConfig().updated({"output_modalities": ["audio", "text"]}).spoken


@pytest.mark.parametrize(
    ("patch", "param"),
    [
        ({"audio": 3}, "session.audio"),
        ({"audio": {"output": {"exaggeration": 0.2}}}, "session.audio.output.exaggeration"),
        ({"audio": {"output": {"exaggeration": "much"}}}, "session.audio.output.exaggeration"),
        ({"audio": {"output": {"temperature": 2.1}}}, "session.audio.output.temperature"),
        (
            {"audio": {"input": {"turn_detection": {"threshold": 2}}}},
            "session.audio.input.turn_detection.threshold",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "magic"}}}},
            "session.audio.input.turn_detection.type",
        ),
        ({"audio": {"input": {"format": {"rate": 11_025}}}}, "session.audio.input.format.rate"),
        ({"instructions": 5}, "session.instructions"),
        (
            {"audio": {"input": {"transcription": {"prompt": "a " * 513}}}},
            "session.audio.input.transcription.prompt",
        ),
        ({"max_output_tokens": 0}, "session.max_output_tokens"),
    ],
)
def test_a_wrong_value_names_its_field_and_changes_nothing(patch, param):
    config = SessionConfig()
    before = echo(config)
    with pytest.raises(ProtocolError) as error:
        config.updated(patch)
    assert error.value.param == param
    assert echo(config) == before
