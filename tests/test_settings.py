"""Settings: flags over variables over defaults; a wrong value names itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime.errors import SettingsError
from realtime.settings import OPTIONS, read_settings, table


def test_a_flag_wins_over_its_variable_and_that_over_the_default():
    settings = read_settings(["--port", "9000"], {"BANTER_PORT": "1", "BANTER_HOST": "0.0.0.0"})
    assert (settings.port, settings.host, settings.replier) == (9000, "0.0.0.0", "embedded")


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--port", "abc"], {}),
        (["--port", "70000"], {}),
        (["--profile", "huge"], {}),
        (["--volume", __file__], {}),
        (["--whisper-windows", "30,15"], {}),
        (["--whisper-windows", "fifteen"], {}),
        (["--whisper-batch", "0"], {}),
        (["--voice", "chatterbox-turbo"], {}),
        (["--voice-folder", "/no/such/folder"], {}),
        (["--voice-folder", "/", "--voice", "embedded"], {}),
        (["--voice-streams", "0"], {}),
        (["--voice-memory", "0.5"], {}),
        (["--voice-memory", "nan"], {}),
        (["--drain-seconds", "-1"], {}),
        (["--drain-seconds", "601"], {}),
        (["--watermark", "no"], {}),
        ([], {"BANTER_LOG_LEVEL": "loud"}),
    ],
)
def test_a_wrong_value_names_itself(arguments, environment):
    name = arguments[0] if arguments else "--log-level"
    with pytest.raises(SettingsError) as error:
        read_settings(arguments, environment)
    assert name in str(error.value)
    assert "BANTER_" in str(error.value)


def test_who_turns_the_watermark_off_is_told_what_that_means():
    assert read_settings([], {}).watermark is True
    assert read_settings(["--watermark", "off"], {}).watermark is False
    [option] = [o for o in OPTIONS if o.name == "watermark"]
    assert "can no longer tell it from a person's voice" in option.help


def test_every_option_is_a_field_and_the_docs_have_its_row():
    settings = read_settings([], {})
    assert set(vars(settings)) == {o.field for o in OPTIONS}
    written = (Path(__file__).parent.parent / "docs" / "settings.md").read_text()
    assert table() in written
