"""`banter doctor [flags of the server] [--json]`: is this machine ready for a server with these?

Exit status: 0 where nothing stands in the way, 1 where something does, 2 for a wrong flag.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import bootstrap
from realtime.doctor import endpoint, gpu, libraries, machine, network, storage, voice
from realtime.doctor.examination import Check, blocking, examine
from realtime.doctor.finding import Finding, Report, error, ok
from realtime.doctor.needs import NEEDS, Needs, with_voice
from realtime.errors import SettingsError

if TYPE_CHECKING:
    from realtime.settings import Settings

JSON = "--json"
HELP = f"""usage: banter doctor [{JSON}] [the flags of the server: banter --help]

Says whether this machine is ready for a server with these flags (and BANTER_... variables), and
what to do where it is not. Changes nothing. With --replier openai the endpoint is asked for one
short reply. {JSON} prints one object for machines. Exit status: 0 where nothing stands in the way
of a start, 1 where something does, 2 for a flag that there is not."""
INTERRUPTED = 130

Refuse = Callable[["Settings"], None]
"""Raises SettingsError for settings that this server would not start with."""


def main(arguments: Sequence[str], environment: Mapping[str, str], refuse: Refuse) -> int:
    """The whole command; prints the report and returns the exit status."""
    if {"-h", "--help"} & set(arguments):
        print(HELP)
        return 0
    flags = [argument for argument in arguments if argument != JSON]
    try:
        report = _report(flags, environment, refuse)
    except KeyboardInterrupt:
        return INTERRUPTED
    print(report.as_json() if JSON in arguments else report.as_text(), flush=True)
    return report.exit_status


def _report(flags: Sequence[str], environment: Mapping[str, str], refuse: Refuse) -> Report:
    try:
        from realtime.settings import read_settings  # which may need what cannot be imported
    except ImportError as problem:
        remedy = "make setup, or pip install --force-reinstall banter-voice"
        return Report("unknown", [error("settings", f"cannot be read: {problem}", remedy)])
    try:
        settings = read_settings(flags, environment)
    except SettingsError as problem:
        remedy = "correct it; docs/settings.md lists all, and nothing else was looked at"
        return Report("unknown", [error("settings", str(problem), remedy)])
    needs = needs_of(settings)
    findings = asyncio.run(examine(checks(settings, needs)))
    return Report(needs.profile, [judge_settings(settings, refuse), *findings])


def profile_of(settings: Settings) -> str:
    """What `auto` comes to: gpu where a GPU and what speaks on it are there."""
    if settings.profile != "auto":
        return settings.profile
    return "gpu" if find_spec("chatterbox") and gpu.there() else "embedded"


def voice_of(settings: Settings) -> str:
    """What `auto` comes to: Chatterbox in the profile gpu, or where its weights are named."""
    if settings.voice != "auto":
        return settings.voice
    chosen = settings.voice_folder or profile_of(settings) == "gpu"
    return "chatterbox" if chosen else "embedded"


def needs_of(settings: Settings) -> Needs:
    """Of the profile and the voice."""
    on_gpu = settings.device == "cuda" or (settings.device == "auto" and gpu.there())
    return with_voice(
        NEEDS[profile_of(settings)],
        voice_of(settings),
        on_gpu=on_gpu,
        lines=settings.voice_streams,
        bound_gib=settings.voice_memory,
    )


def planned_voice(settings: Settings) -> str:
    """Bootstrap's name for what it has to fetch."""
    from realtime.settings import CHATTERBOX

    return "none" if settings.voice_folder else CHATTERBOX.get(voice_of(settings), "none")


def judge_settings(settings: Settings, refuse: Refuse) -> Finding:
    """Whether the server would take them."""
    try:
        refuse(settings)
    except SettingsError as problem:
        return error("settings", str(problem), "change it; the server would not start with it")
    how = f"profile {profile_of(settings)}, voice {voice_of(settings)}"
    return ok("settings", f"{how}, replies by {settings.replier}")


def checks(settings: Settings, needs: Needs) -> list[Check]:
    """All that is looked at for these settings, in the order of the report."""
    make_plan = partial(
        bootstrap.plan_for,
        needs.profile,
        whisper=settings.whisper or None,
        voice=planned_voice(settings),
        llm=settings.replier == "embedded",
        end_of_turn=settings.end_of_turn != "off",
    )
    modules = needs.modules(settings.replier)
    found = [
        Check("machine", blocking(partial(machine.look, needs.memory_mib, _sessions(settings)))),
        Check("gpu", partial(gpu.look, needs.gpu)),
        Check("torch", partial(libraries.look_at_torch, needs)),
        Check("ctranslate2", partial(libraries.look_at_ctranslate2, needs)),
        Check("webrtcvad", libraries.look_at_webrtcvad),
        Check("packages", partial(libraries.look_at_packages, modules)),
        Check("watermark", partial(libraries.look_at_watermark, needs)),
        Check(
            "volume",
            blocking(
                partial(
                    storage.look,
                    settings.volume,
                    make_plan,
                    settings.whisper,
                    planned_voice(settings),
                )
            ),
        ),
        Check("port", blocking(_network(settings))),
    ]
    if settings.voice_folder:
        found.append(Check("voice", blocking(partial(voice.look, settings.voice_folder))))
    if settings.replier == "openai":
        found.append(Check("language model", _ask_endpoint(settings)))
    return found


def _ask_endpoint(settings: Settings) -> Callable[[], Awaitable[Sequence[Finding]]]:
    return partial(
        endpoint.look,
        settings.llm_url,
        settings.llm_model,
        settings.llm_key.strip(),
        settings.llm_timeout,
    )


def _network(settings: Settings) -> Callable[[], Sequence[Finding]]:
    return partial(network.look, settings.host, settings.port, settings.tls_cert is not None)


def _sessions(settings: Settings) -> int | None:
    """How many callers the settings let in; None where they set no bound."""
    return settings.max_sessions
