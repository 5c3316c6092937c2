"""The child of child.py: imports what may crash or hang, and prints what it saw.

Run as a script with the name of a probe. Nothing of Banter is imported here. Each line that begins
with a record separator is JSON: `step`, what is begun now, and at the end `facts`; whatever the
libraries print on their own stands between.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import json
import mmap
import os
import re
import sys
import time
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

Facts = dict[str, Any]
NAMES_SHOWN = 1_000
MARKER = "PerthImplicitWatermarker"
MARKER_MODULE = "perth.perth_net.perth_net_implicit.perth_watermarker"


def say(**line: Any) -> None:
    print("\x1e" + json.dumps(line), flush=True)


def installed(distribution: str) -> str | None:
    """Its version, from its metadata alone."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def reason(problem: BaseException) -> str:
    return " ".join(f"{type(problem).__name__}: {problem}".split())[:300]


def imported(name: str) -> tuple[Any, str]:
    """The module and an empty text, or None and why it cannot be imported."""
    say(step=f"import {name}")
    try:
        return importlib.import_module(name), ""
    except Exception as problem:
        return None, reason(problem)


def probe_packages(*names: str) -> Facts:
    """`broken`: module -> why, for those that cannot be imported."""
    tried = {name: imported(name)[1] for name in names}
    return {"broken": {name: why for name, why in tried.items() if why}}


def probe_webrtcvad() -> Facts:
    module, broken = imported("webrtcvad")
    if module is None:
        return {"broken": broken}
    return {"silence_is_speech": module.Vad(2).is_speech(bytes(640), 16_000)}


def probe_torch() -> Facts:
    """`computes` is whether a product of matrices came out right on the GPU."""
    if importlib.util.find_spec("torch") is None:
        return {"installed": False}
    torch, broken = imported("torch")
    if torch is None:
        return {"installed": True, "broken": broken}
    facts: Facts = {"installed": True, "version": torch.__version__, "cuda": torch.version.cuda}
    say(step="look for a GPU")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        facts["available"] = bool(torch.version.cuda) and torch.cuda.is_available()
    facts["reason"] = " ".join(" ".join(str(line.message).split()) for line in said)[:300]
    if facts["available"]:
        say(step="compute on the GPU")
        try:
            facts["device"] = torch.cuda.get_device_name(0)
            facts["cudnn"] = torch.backends.cudnn.version()
            ones = torch.ones(64, 64, device="cuda", dtype=torch.float16)
            facts["computes"] = float((ones @ ones).sum()) == 64.0**3
        except Exception as problem:
            facts |= {"computes": False, "reason": reason(problem)}
    return facts


def probe_ctranslate2(gpu: str) -> Facts:
    """`cublas`: "found", "after torch" or why not; only asked where `gpu` is "gpu"."""
    module, broken = imported("ctranslate2")
    if module is None:
        return {"broken": broken}
    facts: Facts = {"version": module.__version__}
    if gpu != "gpu":
        return facts
    say(step="look for a GPU")
    facts["devices"] = module.get_cuda_device_count()
    try:
        facts["types"] = sorted(module.get_supported_compute_types("cuda"))
    except Exception as problem:
        facts |= {"types": [], "reason": reason(problem)}
    facts["library"] = cublas_name(Path(module.__file__).parent.parent)
    facts["cublas"], facts["folder"] = cublas(facts["library"]), cublas_folder()
    return facts


def cublas_name(site: Path) -> str:
    """The file that this build of CTranslate2 opens when it first multiplies: read out of it."""
    for path in site.glob("ctranslate2.libs/libctranslate2*"):
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            if found := re.search(rb"libcublas\.so\.\d+", text):
                return found.group().decode()
    return "libcublas.so.12"


def cublas(library: str) -> str:
    """Open it by name, as CTranslate2 does; torch brings a copy and opens it by its path."""
    say(step=f"open {library}")
    try:
        ctypes.CDLL(library)
        return "found"
    except OSError as problem:
        why = reason(problem)
    if importlib.util.find_spec("torch") is None or imported("torch")[0] is None:
        return why
    try:
        ctypes.CDLL(library)
        return "after torch"
    except OSError:
        return why


def cublas_folder() -> str:
    """Where pip has put cuBLAS, if it has."""
    for place in sys.path:
        for library in Path(place, "nvidia").glob("*/lib/libcublas.so.*"):
            return str(library.parent)
    return ""


def probe_watermark() -> Facts:
    """perth, which marks Chatterbox's audio, replaces its marker by None where an import fails."""
    facts: Facts = {
        "chatterbox": installed("chatterbox-tts"),
        "setuptools": installed("setuptools"),
    }
    if facts["chatterbox"] is None:
        return facts
    perth, facts["broken"] = imported("perth")
    facts["marks"] = getattr(perth, MARKER, None) is not None
    if perth is not None and not facts["marks"]:
        facts["broken"] = imported(MARKER_MODULE)[1]  # perth itself has swallowed why
    return facts


def probe_endpoint(url: str, model: str, limit_s: str) -> Facts:
    """Its models and one short reply, through the package that the server uses; the key is in the
    variable `BANTER_LLM_KEY`. Each answer has a `status` or a `broken`."""
    if importlib.util.find_spec("openai") is None:
        return {"package": False}
    openai, broken = imported("openai")
    if openai is None:
        return {"package": True, "import": broken}
    key = os.environ.get("BANTER_LLM_KEY", "").strip() or "none"
    client = openai.OpenAI(base_url=url, api_key=key, timeout=float(limit_s), max_retries=0)
    _ = client.chat.completions, client.models  # imported on first use: before the clock runs

    def answer(ask: Any) -> Facts:
        try:
            return {"status": 200, **ask()}
        except openai.APIStatusError as problem:
            return {"status": problem.status_code, "broken": hide(reason(problem), key)}
        except openai.APITimeoutError:
            return {"timeout": True}
        except Exception as problem:
            return {"broken": hide(reason(problem.__cause__ or problem), key)}

    def models() -> Facts:
        page = json.loads(client.models.with_raw_response.list().text)
        return {"names": [str(entry["id"]) for entry in page["data"]][:NAMES_SHOWN]}

    def reply() -> Facts:
        begun = time.perf_counter()
        lines: Any = [{"role": "user", "content": "Say yes."}]
        with client.chat.completions.create(model=model, messages=lines, stream=True) as stream:
            for chunk in stream:
                if chunk.choices:
                    return {"first_s": round(time.perf_counter() - begun, 3)}
        raise ValueError("the stream ended without a word")

    say(step="ask for the models")
    facts: Facts = {"package": True, "models": answer(models)}
    say(step="ask for a reply")
    return facts | {"reply": answer(reply)}


def hide(text: str, key: str) -> str:
    return text.replace(key, "***") if key != "none" else text


if __name__ == "__main__":
    say(facts=globals()[f"probe_{sys.argv[1]}"](*sys.argv[2:]))
