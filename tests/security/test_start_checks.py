"""Where a server may listen, and with which keys: what is refused before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime.__main__ import _check
from realtime.errors import SettingsError
from realtime.settings import read_settings
from tests.security.conftest import KEYS

EVERYWHERE = ["--host", "0.0.0.0"]
FILE = f'[[key]]\nname = "phone"\nkey = "{KEYS["phone"]}"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.toml"
    path.write_text(FILE)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "banter.example"])
def test_without_a_key_it_does_not_listen_for_others(host):
    with pytest.raises(SettingsError, match="no key is set"):
        _check(read_settings(["--host", host], {}))


def test_a_key_wherever_it_stands_is_one(file):
    _check(read_settings([*EVERYWHERE, "--keys-file", str(file)], {}))
    _check(read_settings(EVERYWHERE, {"BANTER_API_KEYS": KEYS["phone"]}))
    _check(read_settings(EVERYWHERE, {"BANTER_KEYS_FILE": str(file)}))
    _check(read_settings([*EVERYWHERE, "--insecure", "on"], {}))
    _check(read_settings(["--host", "127.0.0.1"], {}))


@pytest.mark.parametrize(
    "text", ["", "[[key]", FILE.replace("key =", "keys ="), FILE + FILE, "\xff"]
)
def test_a_keys_file_that_is_none_ends_the_start_wherever_it_listens(file, text):
    file.write_text(text, encoding="latin-1")
    with pytest.raises(SettingsError, match="--keys-file") as refused:
        _check(read_settings(["--keys-file", str(file)], {}))
    assert str(file) in str(refused.value)
    assert KEYS["phone"] not in str(refused.value)


def test_a_keys_file_that_is_not_there_names_the_setting():
    with pytest.raises(SettingsError, match="--keys-file"):
        read_settings(["--keys-file", "/no/such/file"], {})


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--sessions-per-key", "-1"),
        ("--sessions-per-address", "many"),
        ("--max-waiting", "1.5"),
        ("--idle-minutes", "nan"),
        ("--max-session-minutes", "1441"),
        ("--trusted-proxies", "proxy.example"),
        ("--log-transcripts", "yes"),
    ],
)
def test_a_limit_that_is_none_names_itself(flag, value):
    with pytest.raises(SettingsError, match=flag):
        read_settings([flag, value], {})
