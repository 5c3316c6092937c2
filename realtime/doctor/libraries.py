"""The libraries that may crash a process on import, or work without the GPU and not say so.

Each is tried in a child process (probe.py); the functions here judge what came back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from realtime.doctor import child
from realtime.doctor.child import Probed
from realtime.doctor.finding import Finding, error, grave, ok, warning
from realtime.doctor.needs import VOICE_PACKAGES, Needs

REINSTALL = "install it again in this environment: pip install --force-reinstall"
GPU_TORCH = "install torch for the driver's CUDA version: pip install 'banter-voice[gpu]'"
CHATTERBOX = "'banter-voice[chatterbox]'"
ENDS = {
    "SIGILL": "this processor lacks instructions that it was built for; use another machine",
    "no answer": "see whether the disk is slow or the driver hangs (nvidia-smi), and try again",
    "SIGKILL": "the system ended it, mostly for want of memory; give it more",
}


def trouble(subject: str, probed: Probed, needed: bool, package: str) -> Finding:
    """A child that did not get to its end."""
    found = (remedy for name, remedy in ENDS.items() if name in probed.trouble)
    remedy = next(found, f"{REINSTALL} {package}")
    return Finding(grave(needed), subject, probed.trouble, remedy)


def torch(probed: Probed, needed: bool, processor: bool = False) -> Finding:
    """Whether it is there and computes on the GPU; `needed` there by the settings. `processor` is
    whether it is needed at all, and the processor will do."""
    subject, facts = "torch", probed.facts
    if probed.trouble:
        return trouble(subject, probed, needed or processor, "torch")
    if not facts["installed"]:
        if processor:
            return error(subject, "not installed", f"pip install {CHATTERBOX}")
        if needed:
            return error(subject, "not installed", GPU_TORCH)
        return ok(subject, "not installed; these settings need none")
    if broken := facts.get("broken"):
        return Finding(grave(needed or processor), subject, broken, f"{REINSTALL} torch")
    title = f"{facts['version']}, CUDA {facts['cuda']}" if facts["cuda"] else facts["version"]
    if processor and not facts["available"]:
        seen = f"{title}: Chatterbox speaks on the processor, more slowly than people"
        return warning(subject, seen, "use a machine with an NVIDIA GPU, or --voice embedded")
    if not needed and not facts["available"]:
        return ok(subject, f"{title}; these settings do not use it")
    if not facts["cuda"]:
        return error(subject, f"{title} is built for the processor alone", GPU_TORCH)
    because = f": {facts['reason']}" if facts["reason"] else ""
    if not facts["available"]:
        remedy = "see the lines gpu and driver; with these well, install an older CUDA's torch"
        return error(subject, f"{title} finds no GPU{because}", remedy)
    if not facts["computes"]:
        remedy = "end what else uses the GPU; if it is newer than this torch, install a newer one"
        return Finding(
            grave(needed), subject, f"{title} fails on {_device(facts)}{because}", remedy
        )
    return ok(subject, f"{title} computes on {_device(facts)}, cuDNN {facts['cudnn']}")


def _device(facts: Any) -> str:
    return str(facts.get("device", "the GPU"))


def ctranslate2(probed: Probed, gpu: bool) -> Finding:
    """It runs Whisper in every profile; `gpu` is whether it has to do so on the GPU."""
    subject, facts = "ctranslate2", probed.facts
    if probed.trouble:
        return trouble(subject, probed, True, "ctranslate2")
    if broken := facts.get("broken"):
        return error(subject, broken, f"{REINSTALL} ctranslate2")
    if not gpu:
        return ok(subject, f"{facts['version']}, on the processor")
    if not facts["devices"]:
        because = f": {facts['reason']}" if "reason" in facts else ""
        remedy = f"see the lines gpu and driver; with these well, {REINSTALL} ctranslate2"
        return error(subject, f"{facts['version']} finds no GPU{because}", remedy)
    if facts["cublas"] not in ("found", "after torch"):
        seen = f"{facts['version']} does not find {facts['library']}: {facts['cublas']}"
        return error(subject, seen, _cublas_remedy(facts["folder"]))
    if "float16" not in facts["types"]:
        seen = f"{facts['version']} has no float16 on this GPU, only {', '.join(facts['types'])}"
        return error(subject, seen, "use a GPU of compute capability 7.0 or higher")
    how = " (once torch is imported)" if facts["cublas"] == "after torch" else ""
    return ok(subject, f"{facts['version']}, {facts['devices']} GPU, {facts['library']} found{how}")


def _cublas_remedy(folder: str) -> str:
    if folder:
        return f"export LD_LIBRARY_PATH={folder} before the start"
    return "pip install nvidia-cublas-cu12, and name its lib folder in LD_LIBRARY_PATH"


def webrtcvad(probed: Probed) -> Finding:
    """The gate before the speech detector."""
    subject = "webrtcvad"
    remedy = "pip uninstall -y webrtcvad; pip install --force-reinstall webrtcvad-wheels"
    if probed.trouble:
        return error(subject, probed.trouble, remedy)
    if broken := probed.facts.get("broken"):
        return error(subject, broken, remedy)
    if probed.facts["silence_is_speech"]:
        return error(subject, "takes silence for speech", remedy)
    return ok(subject, "tells silence from speech")


def packages(probed: Probed, names: Sequence[str]) -> Finding:
    """The engines' packages, none of which has a check of its own."""
    subject = "packages"
    if probed.trouble:
        return trouble(subject, probed, True, "what it was at")
    broken = probed.facts["broken"]
    if broken:
        seen = "; ".join(f"{name}: {why}" for name, why in broken.items())
        ours = "make setup, or pip install --force-reinstall banter-voice"
        return error(
            subject,
            seen,
            f"pip install {CHATTERBOX}" if set(broken) <= set(VOICE_PACKAGES) else ours,
        )
    return ok(subject, f"{', '.join(names)} can be imported")


def watermark(probed: Probed, needed: bool) -> Finding:
    """Chatterbox does not load without the package that marks its audio."""
    subject, facts = "watermark", probed.facts
    if probed.trouble:
        return trouble(subject, probed, needed, "resemble-perth")
    if facts["chatterbox"] is None:
        if needed:
            return error(subject, "chatterbox-tts is not installed", f"pip install {CHATTERBOX}")
        return ok(subject, "Chatterbox is not installed: nothing to mark")
    if facts["marks"]:
        return ok(subject, f"perth marks what chatterbox-tts {facts['chatterbox']} says")
    seen, remedy = f"perth has no watermarker: {facts['broken']}", f"pip install {CHATTERBOX}"
    if "pkg_resources" in facts["broken"]:  # setuptools 81 took it away
        seen, remedy = f"{seen} (setuptools {facts['setuptools']})", "pip install 'setuptools<81'"
    return Finding(grave(needed), subject, seen, remedy)


async def look_at_torch(needs: Needs) -> Sequence[Finding]:
    gpu = needs.gpu is not None
    return [torch(await child.probe("torch"), gpu, needs.chatterbox and not gpu)]


async def look_at_ctranslate2(needs: Needs) -> Sequence[Finding]:
    gpu = needs.gpu is not None
    return [ctranslate2(await child.probe("ctranslate2", "gpu" if gpu else "cpu"), gpu)]


async def look_at_webrtcvad() -> Sequence[Finding]:
    return [webrtcvad(await child.probe("webrtcvad"))]


async def look_at_packages(names: Sequence[str]) -> Sequence[Finding]:
    return [packages(await child.probe("packages", *names), names)]


async def look_at_watermark(needs: Needs) -> Sequence[Finding]:
    return [watermark(await child.probe("watermark"), needs.chatterbox)]
