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
        ([], {"BANTER_LOG_LEVEL": "loud"}),
    ],
)
def test_a_wrong_value_names_itself(arguments, environment):
    name = arguments[0] if arguments else "--log-level"
    with pytest.raises(SettingsError) as error:
        read_settings(arguments, environment)
    assert name in str(error.value)
    assert "BANTER_" in str(error.value)


def test_every_option_is_a_field_and_the_docs_have_its_row():
    settings = read_settings([], {})
    assert set(vars(settings)) == {o.field for o in OPTIONS}
    written = (Path(__file__).parent.parent / "docs" / "settings.md").read_text()
    assert table() in written
