"""The GPU, its driver and its memory, as nvidia-smi tells of them.

It comes with the driver, and a container that is given a GPU is given nvidia-smi with it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from realtime.doctor import child
from realtime.doctor.finding import Finding, error, grave, ok, warning
from realtime.doctor.needs import GpuNeeds

SUBJECT = "gpu"
FIELDS = "uuid,name,driver_version,memory.total,memory.free,compute_cap"
LIMIT_S = 20.0
"""A driver that has to be woken takes seconds for it, one that hangs never answers."""

PROGRAMS = ("nvidia-smi", "/usr/lib/wsl/lib/nvidia-smi")
DEVICES = ("/dev/nvidiactl", "/dev/dxg")
"""What the driver shows: on Linux, and on Linux inside Windows."""

GET_ONE = (
    "use a machine with an NVIDIA GPU; give a container its GPU with docker run --gpus all; "
    "or choose --profile embedded"
)
REMEDIES = (
    ("couldn't communicate with the nvidia driver", "load the driver or install it, on the host"),
    ("version mismatch", "the driver was replaced while it was in use: restart the machine"),
    ("no devices were found", GET_ONE),
    ("gpu is lost", "restart the machine; if it comes again, use another one"),
    ("unable to determine the device handle", "restart the machine, or use another one"),
    ("insufficient permissions", "run as a user who may use the GPU (group video or render)"),
)


@dataclass(frozen=True)
class Gpu:
    """One GPU. Memory in MiB; None where the driver does not say, as on boards that share it."""

    uuid: str
    name: str
    driver: str
    total_mib: int | None
    free_mib: int | None
    capability: float | None


@dataclass(frozen=True)
class Smi:
    """What became of nvidia-smi; `ended` is None where there is no such program."""

    ended: child.Ended | None
    device: str = ""
    """A device file of the driver, which is there even where the program is not."""


async def gather() -> Smi:
    """Run nvidia-smi."""
    program, device = _find()
    if program is None:
        return Smi(None, device)
    query = [program, f"--query-gpu={FIELDS}", "--format=csv,noheader,nounits"]
    return Smi(await child.run(query, limit_s=LIMIT_S), device)


def there() -> bool:
    """Whether a driver shows one, without asking it anything."""
    return any(Path(path).exists() for path in DEVICES)


def _find() -> tuple[str | None, str]:
    """The program, and a device file of the driver."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    return program, next((path for path in DEVICES if Path(path).exists()), "")


def parse(output: str) -> list[Gpu]:
    """The lines of nvidia-smi; what is not a GPU's line is left out."""
    rows = [[cell.strip() for cell in line.split(",")] for line in output.splitlines()]
    return [
        Gpu(row[0], row[1], row[2], _whole(row[3]), _whole(row[4]), _decimal(row[5]))
        for row in rows
        if len(row) == len(FIELDS.split(","))
    ]


def _whole(cell: str) -> int | None:
    return int(cell) if cell.isdigit() else None


def _decimal(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def visible(gpus: Sequence[Gpu], variable: str | None) -> Gpu | None:
    """The GPU that CUDA gives this process first, by CUDA_VISIBLE_DEVICES."""
    if variable is None:
        return gpus[0] if gpus else None
    first = variable.split(",")[0].strip()
    if first.isdigit():
        return gpus[int(first)] if int(first) < len(gpus) else None
    return next((gpu for gpu in gpus if first and gpu.uuid.startswith(first)), None)


def judge(smi: Smi, needs: GpuNeeds | None, variable: str | None) -> Sequence[Finding]:
    """`needs` is None where the profile uses no GPU: then nothing here is an error."""
    if smi.ended is None:
        return [_no_program(smi.device, needs)]
    gpus = parse(smi.ended.output)
    if smi.ended.status != 0 or not gpus:
        return [_failed(smi.ended, needs)]
    gpu = visible(gpus, variable)
    if gpu is None:
        seen = f"{len(gpus)} there, hidden by CUDA_VISIBLE_DEVICES={variable}"
        remedy = "unset CUDA_VISIBLE_DEVICES, or name a GPU that is there"
        return [error(SUBJECT, seen, remedy) if needs else ok(SUBJECT, seen)]
    if needs is None:
        return [ok(SUBJECT, f"{_title(gpu, gpus)}; these settings do not use it")]
    return [_card(gpu, gpus, needs), _driver(gpu, needs), _memory(gpu, needs)]


def _no_program(device: str, needs: GpuNeeds | None) -> Finding:
    if device:
        seen = f"{device} is there, but no nvidia-smi"
        remedy = (
            "in a container, set NVIDIA_DRIVER_CAPABILITIES=compute,utility; "
            "else install the driver's tools"
        )
        return Finding(grave(needs is not None), SUBJECT, seen, remedy)
    if needs:
        return error(SUBJECT, "none", GET_ONE)
    return ok(SUBJECT, "none; these settings need none")


def _failed(ended: child.Ended, needs: GpuNeeds | None) -> Finding:
    level = grave(needs is not None)
    if ended.status is None:
        remedy = "the driver hangs: restart the machine, or use another one"
        return Finding(level, SUBJECT, f"nvidia-smi did not answer within {LIMIT_S:g} s", remedy)
    said = " ".join(f"{ended.output} {ended.errors}".split())
    found = (remedy for words, remedy in REMEDIES if words in said.lower())
    remedy = next(
        found, "see what nvidia-smi says on the host; the driver may be missing or too old"
    )
    return Finding(level, SUBJECT, f"nvidia-smi, status {ended.status}: {said[:200]}", remedy)


def _title(gpu: Gpu, gpus: Sequence[Gpu]) -> str:
    others = f", the one used of {len(gpus)}" if len(gpus) > 1 else ""
    return f"{gpu.name}{others}"


def _card(gpu: Gpu, gpus: Sequence[Gpu], needs: GpuNeeds) -> Finding:
    if gpu.capability is None:
        return ok(SUBJECT, f"{_title(gpu, gpus)}, compute capability unknown")
    seen = f"{_title(gpu, gpus)}, compute capability {gpu.capability}"
    if gpu.capability < needs.capability:
        remedy = (
            f"use a GPU of compute capability {needs.capability} or higher (Volta, T4 and newer)"
        )
        return error(SUBJECT, seen, remedy)
    return ok(SUBJECT, seen)


def _driver(gpu: Gpu, needs: GpuNeeds) -> Finding:
    major = gpu.driver.partition(".")[0]
    if not major.isdigit():
        return ok("driver", f"version {gpu.driver}")
    if int(major) < needs.driver:
        seen = f"{gpu.driver} is too old: CUDA 12 needs {needs.driver} or newer"
        return error(
            "driver", seen, "update the driver on the host, or use a machine with a newer one"
        )
    return ok("driver", gpu.driver)


def _memory(gpu: Gpu, needs: GpuNeeds) -> Finding:
    subject = "gpu memory"
    if gpu.total_mib is None or gpu.free_mib is None:
        return ok(subject, f"the driver does not say; about {needs.memory_mib:,} MiB are needed")
    seen = f"{gpu.free_mib:,} of {gpu.total_mib:,} MiB free, about {needs.memory_mib:,} needed"
    if gpu.total_mib < needs.memory_mib:
        remedy = "use a GPU with more, or set fewer --voice-streams, or --profile embedded"
        return error(subject, seen, remedy)
    if gpu.free_mib < needs.memory_mib:
        return warning(
            subject, seen, "end what else uses it (nvidia-smi lists it); a Banter may be it"
        )
    return ok(subject, seen)


async def look(needs: GpuNeeds | None) -> Sequence[Finding]:
    return judge(await gather(), needs, os.environ.get("CUDA_VISIBLE_DEVICES"))
