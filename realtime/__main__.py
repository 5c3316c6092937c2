"""`python -m realtime`: settings, models on disk, engines warm, and only then a listener."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from aiohttp import web

import bootstrap
from realtime.aside import in_thread
from realtime.calibration import calibrate
from realtime.capacity import Capacity
from realtime.cluster.pools import Pools
from realtime.cluster.tokens import token
from realtime.doorway import Doorway, Site, runner_of
from realtime.errors import BanterError, SettingsError
from realtime.huge_pages import gather
from realtime.key_file import read_keys
from realtime.keyring import Keyring
from realtime.keys import is_loopback
from realtime.limits import Limits
from realtime.lineup import (
    end_of_turn_of,
    engine_of_voice,
    names_of,
    plan_of,
    replier_of,
    without,
)
from realtime.log_format import start_logging
from realtime.metrics import Metrics
from realtime.metrics_routes import metrics_listener
from realtime.open_files import raise_limit
from realtime.playout import Pacing
from realtime.rest.transcriptions import UploadLimits
from realtime.revoking import reread
from realtime.runtime import Runtime, load_embedded
from realtime.server import (
    EXPOSITION,
    LOST,
    SUPERVISOR,
    drain,
    give_up,
    make_app,
    own_version,
)
from realtime.session_config import SessionConfig
from realtime.settings import Settings, read_settings
from realtime.speaker import Manners
from realtime.steps import Steps
from realtime.threads import apply_process_limits, thread_budget
from realtime.tls import server_context

if TYPE_CHECKING:
    from realtime.tracing import Tracer

log = logging.getLogger("banter")

SHUTDOWN_TIMEOUT_S = 10.0
CLOSED_WITHIN_S = 5.0
"""For the engines to end after what they are doing. One that is stuck, and not found out yet, is
left: who sent SIGTERM waits for the process."""


def main() -> None:
    """Run until SIGTERM or SIGINT and exit 0; 2 on a wrong setting, 1 on a failed start, 70 and 71
    (`supervisor`) where an engine is lost that only another process can have."""
    if sys.argv[1:2] == ["doctor"]:
        from realtime.doctor import command

        sys.exit(command.main(sys.argv[2:], os.environ, _check))
    if sys.argv[1:2] == ["cluster"]:
        from realtime.cluster import command as cluster

        sys.exit(cluster.main(sys.argv[2:], os.environ))
    try:
        settings = read_settings(sys.argv[1:], os.environ)
        _check(settings)
    except SettingsError as error:
        sys.exit(_say(2, str(error)))
    start_logging(settings.log_level, settings.log_format)
    apply_process_limits(thread_budget())
    raise_limit()
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
    """Start, listen, and close politely on the first signal, at once on the second; during the
    start the first ends that."""
    stopping, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def signalled() -> None:
        (hurry if stopping.is_set() else stopping).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises there
            loop.add_signal_handler(number, signalled)
    turned = asyncio.Event()
    if settings.keys_file and sys.platform != "win32":
        loop.add_signal_handler(signal.SIGHUP, turned.set)
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
        gathering = asyncio.create_task(_gather_memory())
        turning = asyncio.create_task(_turn_keys(runner.app, settings, turned))
        lost = asyncio.create_task(runner.app[LOST].wait())
        await asyncio.wait({stopped, lost}, return_when=asyncio.FIRST_COMPLETED)
        lost.cancel()
        for task in (turning, gathering):
            task.cancel()
        await asyncio.wait({turning, gathering})
    finally:
        stopped.cancel()
    if not stopping.is_set():
        _leave(await give_up(runner.app))
    losing = asyncio.create_task(_hurry(runner.app[LOST], hurry))
    log.info("shutting down; who is in mid-turn has %g s", settings.drain_seconds)
    await drain(runner.app, settings.drain_seconds, hurry)
    losing.cancel()
    await asyncio.wait({losing})
    if loss := runner.app[SUPERVISOR].loss:
        _leave(loss.code)
    await runner.cleanup()
    if not await _closed(runtime) or runner.app[SUPERVISOR].abandoned:
        _leave(0)
    return 0


async def _gather_memory() -> None:
    """After the listener is open: nobody waits for it."""
    try:
        log.info("%d MB are in huge pages now", await in_thread(gather) // 2**20)
    except Exception:  # everything works without
        log.exception("memory was not gathered")


async def _hurry(lost: asyncio.Event, hurry: asyncio.Event) -> None:
    """Once the process has to end, nobody's turn is waited for any more."""
    await lost.wait()
    hurry.set()


async def _closed(runtime: Runtime, within_s: float = CLOSED_WITHIN_S) -> bool:
    """Whether the engines have ended."""
    try:
        async with asyncio.timeout(within_s):
            await runtime.close()
    except TimeoutError:
        log.warning("an engine did not end within %g s and is left", within_s)
        return False
    return True


async def _turn_keys(app: web.Application, settings: Settings, turned: asyncio.Event) -> None:
    """Read the keys again whenever the process is told to."""
    while True:
        await turned.wait()
        turned.clear()
        try:
            reread(app, settings.keys_file, settings.api_keys)
        except Exception:
            log.exception("the keys stay as they were")


def _leave(code: int) -> NoReturn:
    """End the process now: threads that are lost inside a library, and what holds a GPU that is
    lost, cannot be closed."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


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
    pools = await _pools(settings, metrics)
    runtime = await load_embedded(
        models,
        replier=replier_of(settings, models, metrics, thread_budget()),
        voice=None if pools else engine_of_voice(settings, models, volume, metrics),
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
        pools=pools,
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
    tracer = _tracer(settings, metrics)
    app = make_app(
        runtime,
        metrics,
        config,
        manners,
        capacity,
        keys=Keyring(read_keys(settings.keys_file, settings.api_keys)),
        shared_secrets=settings.shared_secret,
        limits=_limits(settings),
        log_transcripts=settings.log_transcripts,
        origins=settings.cors_origins,
        only_here=is_loopback(settings.host),
        uploads=UploadLimits(settings.upload_mib, settings.upload_minutes),
        models=names_of(settings),
        steps=steps,
        trace=tracer.over if tracer else None,
    )
    if settings.metrics_port is not None:
        own = metrics_listener(app[EXPOSITION], settings.metrics_host, settings.metrics_port)
        app.cleanup_ctx.append(own)
    if tracer:
        app.on_cleanup.append(tracer.close)
    runner = runner_of(app, shutdown_timeout_s=SHUTDOWN_TIMEOUT_S)
    await runner.setup()
    doorway = Doorway(settings.trusted_proxies)
    try:
        await Site(runner, settings.host, settings.port, doorway, ssl_context=tls).start()
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


def _limits(settings: Settings) -> Limits:
    return Limits(
        sessions_per_key=settings.sessions_per_key,
        sessions_per_address=settings.sessions_per_address,
        waiting_s=settings.max_waiting,
        idle_s=settings.idle_minutes * 60,
        session_s=settings.max_session_minutes * 60,
        proxies=settings.trusted_proxies,
    )


async def _pools(settings: Settings, metrics: Metrics) -> Pools | None:
    """The pools of a cluster, where the engines are to be there."""
    if settings.engines == "local":
        return None
    found = token(settings.volume or bootstrap.default_volume(), make=False)
    pools = Pools(settings.engines, metrics=metrics, token=found)
    await pools.start()
    return pools


async def _models(settings: Settings, volume: Path) -> dict[str, Path]:
    """Models on the disk; where that of the end of turn cannot be had, and is not asked for by
    name, the others."""
    plan = plan_of(settings)
    rest = without(plan, "end_of_turn")
    if settings.end_of_turn != "auto" or rest == plan:
        return await bootstrap.ensure(plan, volume)
    models = await bootstrap.ensure(rest, volume)
    try:
        return await bootstrap.ensure(plan, volume)
    except bootstrap.BootstrapError as error:
        log.warning("no end-of-turn model, silence alone ends turns: %s", error)
        return models


def _tracer(settings: Settings, metrics: Metrics) -> Tracer | None:
    """What makes traces of turns, where they are wanted; its packages are loaded only then."""
    if not (settings.otel_endpoint or settings.otel_file):
        return None
    try:
        from realtime.tracing import Tracer
    except ImportError as error:
        raise BanterError(
            f"--otel-endpoint, --otel-file: OpenTelemetry is not installed ({error.name}): "
            'pip install "banter-voice[otel]"'
        ) from None
    own = {"embedded": "SmolLM2-135M-Instruct", "openai": settings.llm_model, "echo": "echo"}
    return Tracer(
        endpoint=settings.otel_endpoint,
        file=settings.otel_file,
        version=own_version(),
        model=own[settings.replier],
        metrics=metrics,
    )


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
    here = ("127.0.0.1", "localhost", "::1", "0.0.0.0", "::")  # nosec B104
    shown = "localhost" if host in here else host
    secure = settings.tls_cert or settings.tls_self_signed
    return f"{'https' if secure else 'http'}://{shown}:{port}/"


def _check(settings: Settings) -> None:
    """Settings that can be read and must not, or not yet, be followed.

    Raises:
        SettingsError: one of them; says what to do.
    """
    keys = read_keys(settings.keys_file, settings.api_keys)
    if not (keys or settings.insecure or is_loopback(settings.host)):
        raise SettingsError(
            f"--host (BANTER_HOST): others can reach {settings.host}, and no key is set. Set "
            "BANTER_API_KEYS to one or more keys of your choice (try `openssl rand -hex 24`), or "
            "say --insecure on (BANTER_INSECURE=on) to let everybody use this server"
        )
    if Keyring(keys).find(settings.shared_secret):
        raise SettingsError(
            "--shared-secret (BANTER_SHARED_SECRET): it is also a key of this server, and whoever "
            "has that could make keys for a short time. Set it to another (try `openssl rand "
            "-hex 32`)"
        )
    server_context(settings.tls_cert, settings.tls_key)
    if settings.engines != "local" and find_spec("ray") is None:
        raise SettingsError(
            f"--engines (BANTER_ENGINES): '{settings.engines}' needs Ray, which is not installed: "
            'pip install "banter-voice[cluster]"'
        )


def _say(code: int, message: str) -> int:
    print(f"banter: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
