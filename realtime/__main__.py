"""`python -m realtime`: settings, models on disk, engines warm, and only then a listener."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from pathlib import Path

from aiohttp import web

import bootstrap
from realtime.calibration import calibrate
from realtime.capacity import Capacity
from realtime.errors import BanterError, SettingsError
from realtime.keys import is_loopback
from realtime.lineup import (
    end_of_turn_of,
    engine_of_voice,
    names_of,
    plan_of,
    replier_of,
    without_end_of_turn,
)
from realtime.metrics import Metrics
from realtime.playout import Pacing
from realtime.rest.transcriptions import UploadLimits
from realtime.runtime import Runtime, load_embedded
from realtime.server import drain, make_app
from realtime.session_config import SessionConfig
from realtime.settings import Settings, read_settings
from realtime.speaker import Manners
from realtime.steps import Steps
from realtime.threads import apply_process_limits, thread_budget
from realtime.tls import server_context

log = logging.getLogger("banter")

SHUTDOWN_TIMEOUT_S = 10.0


def main() -> None:
    """Run until SIGTERM or SIGINT and exit 0; 2 on a wrong setting, 1 on a failed start."""
    if sys.argv[1:2] == ["doctor"]:
        from realtime.doctor import command

        sys.exit(command.main(sys.argv[2:], os.environ, _check))
    try:
        settings = read_settings(sys.argv[1:], os.environ)
        _check(settings)
    except SettingsError as error:
        sys.exit(_say(2, str(error)))
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    apply_process_limits(thread_budget())
    sys.exit(_run(settings))


def _run(settings: Settings) -> int:
    try:
        if sys.platform == "win32":
            return asyncio.run(_serve(settings))
        import uvloop

        return uvloop.run(_serve(settings))
    except (BanterError, bootstrap.BootstrapError) as error:
        return _say(1, str(error))
    except OSError as error:
        log.exception("the start failed")
        return _say(1, f"the start failed: {error}")


async def _serve(settings: Settings) -> int:
    """Start, listen, and close politely on the first signal; during the start it ends that."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises there
            loop.add_signal_handler(number, stopping.set)
    starting = asyncio.create_task(_start(settings))
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        log.info("stopped during the start")
        starting.cancel()
        await asyncio.wait({starting})
        return 0
    try:
        runner, runtime = starting.result()
        await stopped
    finally:
        stopped.cancel()
    log.info("shutting down")
    await drain(runner.app)
    await runner.cleanup()
    await runtime.close()
    return 0


async def _start(settings: Settings) -> tuple[web.AppRunner, Runtime]:
    """Models on disk, engines warm, then the listener."""
    steps = Steps()
    volume = settings.volume or bootstrap.default_volume()
    certificate, key = _certificate(settings, volume)
    tls = server_context(certificate, key)
    models = await _models(settings, volume)
    bootstrap.stay_offline()
    steps.done("bootstrap")
    metrics = Metrics()
    runtime = await load_embedded(
        models,
        replier=replier_of(settings, models, metrics, thread_budget()),
        voice=engine_of_voice(settings, models, volume, metrics),
        instructions=settings.instructions,
        budget=thread_budget(),
        metrics=metrics,
        device=settings.device,
        whisper_compute=settings.whisper_compute,
        whisper_notes=volume / "compute.json",
        whisper_windows=settings.whisper_windows,
        whisper_batch=settings.whisper_batch,
        end_of_turn=end_of_turn_of(settings, models, metrics),
        end_of_turn_required=settings.end_of_turn == "smart-turn",
        reads_words=settings.end_of_turn == "auto",
        steps=steps,
    )
    manners = Manners(
        pacing=Pacing() if settings.pacing == "on" else None,
        greeting=settings.greeting,
        fallback=settings.fallback,
        speculates=settings.speculation,
        backchannels_interrupt=settings.backchannels == "interrupt",
    )
    config = SessionConfig(instructions=settings.instructions)
    capacity = await _capacity(settings, runtime)
    metrics.clear()
    _spare_from_collection()
    steps.done("calibration")
    app = make_app(
        runtime,
        metrics,
        config,
        manners,
        capacity,
        keys=settings.api_keys,
        origins=settings.cors_origins,
        only_here=is_loopback(settings.host),
        uploads=UploadLimits(settings.upload_mib, settings.upload_minutes),
        models=names_of(settings),
        steps=steps,
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port, ssl_context=tls).start()
    except OSError as error:
        await runner.cleanup()
        await runtime.close()
        raise BanterError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}"
        ) from None
    steps.done("listener")
    log.info("ready after %.2f s: %s", steps.total_s, steps)
    print(f"Banter is listening: {_url(runner, settings)}", flush=True)
    if settings.tls_self_signed:
        print(f"To trust it: NODE_EXTRA_CA_CERTS={certificate}", flush=True)
    return runner, runtime


async def _models(settings: Settings, volume: Path) -> dict[str, Path]:
    """Models on the disk; where that of the end of turn cannot be had, and is not asked for by
    name, the others."""
    plan = plan_of(settings)
    rest = without_end_of_turn(plan)
    if settings.end_of_turn != "auto" or rest == plan:
        return await bootstrap.ensure(plan, volume)
    models = await bootstrap.ensure(rest, volume)
    try:
        return await bootstrap.ensure(plan, volume)
    except bootstrap.BootstrapError as error:
        log.warning("no end-of-turn model, silence alone ends turns: %s", error)
        return models


async def _capacity(settings: Settings, runtime: Runtime) -> Capacity:
    """The number of sessions that is set, or the one that this machine carries."""
    if settings.max_sessions is not None:
        return Capacity(settings.max_sessions)
    return await calibrate(runtime, settings.instructions, thread_budget())


def _certificate(settings: Settings, volume: Path) -> tuple[Path | None, Path | None]:
    """The certificate and key to show, if any: the ones that are set, or the server's own."""
    if not settings.tls_self_signed:
        return settings.tls_cert, settings.tls_key
    from realtime.certificate import own_certificate

    return own_certificate(volume / "tls")


def _spare_from_collection() -> None:
    """What lives as long as the process is never looked at again by the garbage collector, which
    would stop all threads for some 20 ms to find nothing."""
    gc.collect()
    gc.freeze()


def _url(runner: web.AppRunner, settings: Settings) -> str:
    """The address to open in a browser; browsers give the microphone to localhost without TLS."""
    host, port = settings.host, runner.addresses[0][1]
    shown = "localhost" if host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "::") else host
    secure = settings.tls_cert or settings.tls_self_signed
    return f"{'https' if secure else 'http'}://{shown}:{port}/"


def _check(settings: Settings) -> None:
    """Settings that can be read and must not, or not yet, be followed.

    Raises:
        SettingsError: one of them; says what to do.
    """
    if not (settings.api_keys or settings.insecure or is_loopback(settings.host)):
        raise SettingsError(
            f"--host (BANTER_HOST): others can reach {settings.host}, and no key is set. Set "
            "BANTER_API_KEYS to one or more keys of your choice (try `openssl rand -hex 24`), or "
            "say --insecure on (BANTER_INSECURE=on) to let everybody use this server"
        )
    server_context(settings.tls_cert, settings.tls_key)


def _say(code: int, message: str) -> int:
    print(f"banter: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
