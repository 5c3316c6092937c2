"""Settings: read once from flags and `BANTER_…` variables, checked, and documented in one table.

A flag wins over its variable. A value that cannot be used ends the start with one line that names
the setting. Parts of the server receive the values that they use, not this object.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realtime.addresses import Network, parse_networks
from realtime.errors import SettingsError
from realtime.keys import parse_keys, parse_origins, parse_secrets
from realtime.recognition import Windows

INSTRUCTIONS = (
    "You are Banter, a helpful assistant in a spoken conversation. "
    "Reply in plain English with one or two short sentences."
)

FALLBACK = "Sorry, I cannot answer right now."

CHATTERBOX = {
    "chatterbox": "turbo",
    "chatterbox-english": "english",
    "chatterbox-multilingual": "multilingual",
}
"""Values of `--voice`, and what bootstrap calls their models."""

COMPUTE_TYPES = (
    *("auto", "default", "int8", "int8_float32", "int8_float16", "int8_bfloat16"),
    *("int16", "float16", "bfloat16", "float32"),
)
"""Values of `--whisper-compute`; but for the first two, CTranslate2's names."""


@dataclass(frozen=True)
class Option:
    """One setting: `--name`, `BANTER_NAME`, a field of `Settings`, a row of the table."""

    name: str
    default: str
    parse: Callable[[str], Any]
    help: str
    secret: bool = False
    """Its value is never shown."""

    @property
    def flag(self) -> str:
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        return f"BANTER_{self.name.upper().replace('-', '_')}"

    @property
    def field(self) -> str:
        return self.name.replace("-", "_")

    def read(self, value: str) -> Any:
        try:
            return self.parse(value)
        except ValueError as error:
            shown = "the value" if self.secret else f"'{value}'"
            raise SettingsError(f"{self.flag} ({self.variable}): {shown} {error}") from None


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"is not one of {', '.join(choices)}")
        return value

    return parse


def _engines(value: str) -> str:
    host, colon, port = value.removeprefix("ray://").rpartition(":")
    far = value.startswith("ray://") and colon and host and port.isdigit()
    if not (far or value in ("local", "auto")):
        raise ValueError("is neither local, auto nor ray://HEAD:PORT")
    return value


def _port(value: str) -> int:
    if not value.isdigit() or int(value) > 65_535:
        raise ValueError("is not a port between 0 and 65535 (0 picks a free one)")
    return int(value)


def _limit(value: str) -> int:
    if not value.isdigit() or int(value) > 1_000_000:
        raise ValueError("is not a whole number, or 0 for no limit")
    return int(value)


def _span(value: str) -> float:
    try:
        span = float(value)
    except ValueError:
        span = -1.0
    if not 0 <= span <= 1_440:
        raise ValueError("is not a number from 0 to 1440, where 0 is no limit")
    return span


def _count(value: str) -> int:
    if not value.isdigit() or int(value) < 512:
        raise ValueError("is not a whole number of at least 512")
    return int(value)


def _places(value: str) -> int | None:
    if value == "auto":
        return None
    if not value.isdigit() or int(value) < 1:
        raise ValueError("is neither auto nor a whole number of at least 1")
    return int(value)


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 600:
        raise ValueError("is not a number of seconds between 0.1 and 600")
    return seconds


def _pause(value: str) -> float:
    return 0.0 if value == "0" else _seconds(value)


def _windows(value: str) -> tuple[float, ...]:
    try:
        seconds = tuple(float(part) for part in value.split(","))
    except ValueError:
        seconds = ()
    return Windows(seconds).seconds


def _at_once(value: str) -> int:
    if not value.isdigit() or not 1 <= int(value) <= 64:
        raise ValueError("is not a whole number from 1 to 64")
    return int(value)


def _lines(value: str) -> int:
    if not value.isdigit() or not 1 <= int(value) <= 256:
        raise ValueError("is not a whole number from 1 to 256")
    return int(value)


def _gib(value: str) -> float:
    try:
        gib = float(value)
    except ValueError:
        gib = -1.0
    if not (gib == 0 or 1 <= gib <= 1_024):
        raise ValueError("is not a number of GiB from 1 to 1024, or 0 for no bound")
    return gib


def _mib(value: str) -> int:
    if not value.isdigit() or not 1 <= int(value) <= 10_240:
        raise ValueError("is not a whole number of MiB from 1 to 10240")
    return int(value)


def _minutes(value: str) -> float:
    try:
        minutes = float(value)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes <= 1_440:
        raise ValueError("is not a number of minutes above 0 and up to 1440")
    return minutes


def _switch(value: str) -> bool:
    return bool(_one_of("on", "off")(value) == "on")


def _file(value: str) -> Path | None:
    if not value:
        return None
    path = Path(value).expanduser()
    if not path.is_file():
        raise ValueError("is not a file")
    return path


def _models(value: str) -> Path | None:
    path = _folder(value)
    if path is not None and not path.is_dir():
        raise ValueError("is not a folder that is there")
    return path


def _own_port(value: str) -> int | None:
    return _port(value) if value else None


def _address(value: str) -> str:
    if value and not value.startswith(("http://", "https://")):
        raise ValueError("is not an http or https address")
    return value.rstrip("/")


def _new_file(value: str) -> Path | None:
    if not value:
        return None
    path = Path(value).expanduser()
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError("is not a file in a folder that is there")
    return path


def _folder(value: str) -> Path | None:
    if not value:
        return None
    path = Path(value).expanduser()
    if path.exists() and not path.is_dir():
        raise ValueError("is not a folder")
    return path


OPTIONS = (
    Option("host", "127.0.0.1", str, "address to listen on; 0.0.0.0 for every interface"),
    Option("port", "8000", _port, "port to listen on"),
    Option(
        "api-keys",
        "",
        parse_keys,
        "keys that callers must show, separated by commas, of 16 characters or more; give them as "
        "a variable, flags can be seen by others. Empty asks for none",
        secret=True,
    ),
    Option(
        "keys-file",
        "",
        _file,
        "TOML file with keys that have names, roles and limits, beside BANTER_API_KEYS; read again "
        "on SIGHUP",
    ),
    Option(
        "shared-secret",
        "",
        parse_secrets,
        "secret of 32 characters or more that all front ends behind one balancer share, so that a "
        "key for a short time that one of them made opens sessions on all; give it as a variable, "
        "flags can be seen by others. Of several, separated by commas, the first signs and all are "
        "believed. Empty keeps such keys in the process that made them",
        secret=True,
    ),
    Option(
        "tls-cert",
        "",
        _file,
        "certificate chain in PEM form: the server speaks https and wss, as browsers want for the "
        "microphone from other machines",
    ),
    Option("tls-key", "", _file, "its private key in PEM form; empty if it is in the same file"),
    Option(
        "tls-self-signed",
        "off",
        _switch,
        "on makes a certificate for this machine, keeps it on the volume and says where: for "
        "programs that speak only https and wss and can be told to trust it",
    ),
    Option(
        "cors-origins",
        "",
        parse_origins,
        "web pages of other origins that may call this server from a browser, as "
        "https://voice.example.com, separated by commas; * for every page. Empty allows none",
    ),
    Option(
        "insecure",
        "off",
        _switch,
        "on lets the server listen for other machines without a key: everybody may use it",
    ),
    Option(
        "volume",
        "",
        _folder,
        "folder for models; default: /data where it is writable, else the user's data folder",
    ),
    Option(
        "profile",
        "auto",
        _one_of("auto", "embedded", "gpu"),
        "which models: embedded runs on any laptop; auto picks by what the machine has",
    ),
    Option(
        "engines",
        "local",
        _engines,
        "where the recogniser and the voice are: local in this process, or in the pools of a Ray "
        "cluster, `ray://HEAD:PORT` (the head's port, 6379) or `auto` on a machine that is a node "
        "of one; see docs/cluster.md",
    ),
    Option(
        "replier",
        "embedded",
        _one_of("embedded", "openai", "echo"),
        "what answers: the embedded language model, an OpenAI-compatible endpoint, or an echo",
    ),
    Option("llm-url", "", str, "base URL of the endpoint, for `--replier openai`; ends in /v1"),
    Option(
        "llm-key",
        "",
        str,
        "its API key; give it as a variable, flags can be seen by others",
        secret=True,
    ),
    Option("llm-model", "default", str, "the model to ask it for"),
    Option("llm-context", "8192", _count, "tokens that its context holds"),
    Option("llm-timeout", "8", _seconds, "seconds until its first word, and between two words"),
    Option(
        "whisper",
        "",
        str,
        "another recogniser than the profile's, from the Hugging Face hub in CTranslate2 form: a "
        "name that faster-whisper knows (`small.en`, `large-v3-turbo`) or `owner/name[@revision]`",
    ),
    Option(
        "device",
        "auto",
        _one_of("auto", "cpu", "cuda"),
        "where the recogniser runs; auto is the GPU where CTranslate2 finds one",
    ),
    Option(
        "whisper-compute",
        "auto",
        _one_of(*COMPUTE_TYPES),
        "numbers that Whisper computes in; auto tries what the machine has at the first start, "
        "takes the fastest and notes it on the volume; default is int8, and float16 on a GPU",
    ),
    Option(
        "whisper-windows",
        "8,15,30",
        _windows,
        "seconds of audio that Whisper is given at once, rising: speech goes into the shortest "
        "that holds it, 30 is for what was doubtful in a shorter one; 30 alone is always 30 s, as "
        "Whisper was trained",
    ),
    Option("whisper-batch", "8", _at_once, "utterances of different callers in one run of Whisper"),
    Option(
        "end-of-turn",
        "auto",
        _one_of("auto", "smart-turn", "off"),
        "what tells whether somebody who pauses is done: smart-turn is a model that listens to the "
        "last 8 s; auto is the same where it can be had, and the embedded language model, which "
        "reads the words (with --speculation on); off is plain silence",
    ),
    Option(
        "voice",
        "auto",
        _one_of("auto", "embedded", *CHATTERBOX),
        "the voice that speaks: embedded, or Chatterbox, which can be given other people's voices: "
        "chatterbox is Turbo (English, the fastest), chatterbox-english the original, "
        "chatterbox-multilingual speaks 23 languages; auto is chatterbox in the profile gpu or "
        "where --voice-folder is given, else embedded",
    ),
    Option(
        "voice-folder",
        "",
        _models,
        "folder with Chatterbox's weights that are on this machine already; nothing is fetched",
    ),
    Option(
        "voice-streams",
        "16",
        _lines,
        "lines that Chatterbox speaks at the same time, more wait; each takes GPU memory",
    ),
    Option(
        "voice-memory",
        "0",
        _gib,
        "GiB of the GPU's memory that Chatterbox may take; 0 sets no bound",
    ),
    Option(
        "watermark",
        "on",
        _switch,
        "on marks what Chatterbox says, inaudibly, as made by a machine; off means that Resemble's "
        "detector can no longer tell it from a person's voice, and that labelling it is up to you",
    ),
    Option(
        "speculation",
        "on",
        _switch,
        "on begins a reply in a pause that may be the end of the turn, and drops it when speech "
        "goes on; a language model that is paid for writes some replies that nobody hears",
    ),
    Option(
        "backchannels",
        "ignore",
        _one_of("ignore", "interrupt"),
        "ignore lets a reply go on where somebody only showed over it that he listens (mm-hmm, "
        "yeah, okay); interrupt takes these for words like any others",
    ),
    Option("instructions", INSTRUCTIONS, str, "what the language model is told at first"),
    Option("greeting", "", str, "said as soon as a caller connects; empty for nothing"),
    Option("fallback", FALLBACK, str, "said when no reply can be begun; empty for an error alone"),
    Option(
        "pacing",
        "on",
        _one_of("on", "off"),
        "on sends reply audio at most 500 ms ahead of its modelled playback; off sends it "
        "as it is made and takes all of it as heard, for clients that do not play in real time",
    ),
    Option(
        "max-sessions",
        "auto",
        _places,
        "callers at once, beyond whom a caller is refused with 503; auto measures at the start "
        "what a turn costs this machine",
    ),
    Option(
        "sessions-per-key",
        "0",
        _limit,
        "callers at once with one key, where the keys file says nothing else; 0 is no limit",
    ),
    Option(
        "sessions-per-address",
        "16",
        _limit,
        "callers at once from one address, or one /64 of IPv6; this machine's are not counted; "
        "0 is no limit",
    ),
    Option(
        "trusted-proxies",
        "",
        parse_networks,
        "addresses or networks of reverse proxies whose X-Forwarded-For says where a request comes "
        "from, separated by commas; without, it comes from the proxy",
    ),
    Option(
        "max-waiting",
        "60",
        _limit,
        "seconds of callers' audio that may wait for the engines, all together; while there is "
        "more, new callers are refused with 503; 0 is no limit",
    ),
    Option(
        "idle-minutes",
        "15",
        _span,
        "a session in which nobody speaks and nothing is asked for ends after so many; 0 is never",
    ),
    Option(
        "max-session-minutes",
        "60",
        _span,
        "a session ends after so many, told as `expires_at`; 0 is never",
    ),
    Option(
        "drain-seconds",
        "30",
        _pause,
        "seconds that running turns have to finish after SIGTERM or Ctrl-C, while nobody new is "
        "let in; a second signal ends the wait, 0 is no wait",
    ),
    Option("upload-mib", "100", _mib, "MiB of a file that is sent to be transcribed, at most"),
    Option("upload-minutes", "240", _minutes, "minutes of sound in such a file, at most"),
    Option(
        "log-transcripts",
        "off",
        _switch,
        "on writes what is said on both sides into the log; off keeps words out of it",
    ),
    Option(
        "log-level",
        "info",
        _one_of("debug", "info", "warning", "error"),
        "how much is logged",
    ),
    Option(
        "log-format",
        "text",
        _one_of("text", "json"),
        "how: text for people; json is one object a line, with the ids of session, turn and "
        "response, and with a turn's times in its line",
    ),
    Option(
        "metrics-port",
        "",
        _own_port,
        "port of a listener of its own for Prometheus, which asks for no key; empty for none. "
        "`/metrics` on --port is there always: for those who show a key or, where none is set, for "
        "this machine",
    ),
    Option("metrics-host", "127.0.0.1", str, "address that --metrics-port listens on"),
    Option(
        "otel-endpoint",
        "",
        _address,
        "OpenTelemetry collector that gets a trace of each turn by OTLP over HTTP, such as "
        "http://127.0.0.1:4318; empty for none",
    ),
    Option(
        "otel-file",
        "",
        _new_file,
        "file to which the traces are appended, one JSON object of OTLP a line; empty for none",
    ),
)


@dataclass(frozen=True)
class Settings:
    """The values of all options."""

    host: str
    port: int
    api_keys: tuple[str, ...]
    keys_file: Path | None
    shared_secret: tuple[str, ...]
    tls_cert: Path | None
    tls_key: Path | None
    tls_self_signed: bool
    cors_origins: tuple[str, ...]
    insecure: bool
    volume: Path | None
    profile: str
    engines: str
    replier: str
    llm_url: str
    llm_key: str
    llm_model: str
    llm_context: int
    llm_timeout: float
    whisper: str
    device: str
    whisper_compute: str
    whisper_windows: tuple[float, ...]
    whisper_batch: int
    end_of_turn: str
    voice: str
    voice_folder: Path | None
    voice_streams: int
    voice_memory: float
    watermark: bool
    speculation: bool
    backchannels: str
    instructions: str
    greeting: str
    fallback: str
    pacing: str
    max_sessions: int | None
    sessions_per_key: int
    sessions_per_address: int
    trusted_proxies: tuple[Network, ...]
    max_waiting: int
    idle_minutes: float
    max_session_minutes: float
    drain_seconds: float
    upload_mib: int
    upload_minutes: float
    log_transcripts: bool
    log_level: str
    log_format: str
    metrics_port: int | None
    metrics_host: str
    otel_endpoint: str
    otel_file: Path | None


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Flags over variables over defaults.

    Raises:
        SettingsError: a value cannot be used; the message names the setting.
    """
    parser = argparse.ArgumentParser(
        prog="banter",
        description="A self-hosted realtime voice server.",
        epilog="`banter doctor` with the same flags says whether this machine is ready for it.",
        allow_abbrev=False,
    )
    for option in OPTIONS:
        shown = f"{option.help} [{option.variable}; default: {option.default or 'see text'}]"
        parser.add_argument(option.flag, metavar="VALUE", help=shown.replace("%", "%%"))
    given = vars(parser.parse_args(arguments))
    values = {}
    for option in OPTIONS:
        value = given[option.field]
        if value is None:
            value = environment.get(option.variable, option.default)
        values[option.field] = option.read(value)
    settings = Settings(**values)
    if settings.replier == "openai" and not settings.llm_url.startswith(("http://", "https://")):
        raise SettingsError(
            f"--llm-url (BANTER_LLM_URL): '{settings.llm_url}' is not an http or https address; "
            "--replier openai needs one, such as http://localhost:11434/v1"
        )
    if settings.tls_self_signed and (settings.tls_cert or settings.tls_key):
        raise SettingsError(
            "--tls-self-signed (BANTER_TLS_SELF_SIGNED): there is a --tls-cert or --tls-key "
            "already; leave one of the two out"
        )
    if settings.voice_folder and settings.voice == "embedded":
        raise SettingsError(
            "--voice-folder (BANTER_VOICE_FOLDER): the embedded voice reads no folder; "
            "leave one of the two out"
        )
    return settings


def table() -> str:
    """The settings as a Markdown table: the text of `docs/settings.md`."""
    rows = ["| flag | variable | default | what it is |", "| --- | --- | --- | --- |"]
    for o in OPTIONS:
        rows.append(f"| `{o.flag}` | `{o.variable}` | `{o.default or '-'}` | {o.help} |")
    return "\n".join(rows) + "\n"
