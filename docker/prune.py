"""Takes out of an image's packages what a server never reads: `prune.py SITE_PACKAGES`.

What goes was tried: imports.py runs after this in every build, and every engine was run without
it. A pattern that names nothing is an error: a package has changed, and somebody has to look again.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

REMOVED = (
    # (pattern below site-packages, what it is)
    ("numpy/*/tests", "tests"),
    ("onnx/backend/test", "test data"),
    ("onnxruntime/capi/libonnxruntime.so.*", "for programs in C; the Python module has its own"),
    ("onnxruntime/quantization", "prepares models"),
    ("onnxruntime/tools", "prepares models"),
    ("onnxruntime/transformers", "prepares models"),
)

REMOVED_GPU = (
    ("torch/include", "for building extensions"),
    ("torch/bin/protoc*", "for building"),
    ("torch/lib/libtorch_cuda_linalg.so", "opened by the first solver on the GPU; wants cuSOLVER"),
    ("nvidia/*/include", "for building"),
    ("nvidia/cublas/lib/libnvblas.so.*", "BLAS for programs that know no GPU"),
    ("nvidia/cufft/lib/libcufftw.so.*", "FFTW's interface"),
    ("nvidia/cuda_cupti/lib/libnvperf_*.so", "counters for a profiler"),
    ("nvidia/cuda_nvrtc/lib/lib*.alt.so.*", "a second compiler, which no library here names"),
    ("llvmlite/tests", "tests"),
    ("networkx/**/tests", "tests"),
    ("numba/tests", "tests"),
    ("scipy/**/tests", "tests"),
    ("sklearn/**/tests", "tests"),
    ("sympy/**/tests", "tests"),
    ("diffusers/pipelines/*/", "pictures and video; Chatterbox takes layers from diffusers/models"),
)


def main() -> None:
    """Remove, strip, and say how much that was."""
    site = Path(sys.argv[1])
    before = size_of(site)
    rules = REMOVED + (REMOVED_GPU if (site / "torch").exists() else ())
    for path in [path for pattern, _ in rules for path in found(site, pattern)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    # Python asks an extension module for one symbol; several come with all that a debugger wants.
    modules = [*site.rglob("*.abi3.so"), *site.rglob("*.cpython-*.so")]
    subprocess.run(["strip", "--strip-unneeded", *modules], check=True)
    print(f"{site}: {before / 1e6:.0f} MB, now {size_of(site) / 1e6:.0f} MB")


def found(site: Path, pattern: str) -> list[Path]:
    """What a pattern names, which has to be something."""
    paths = sorted(site.glob(pattern))
    if not paths:
        sys.exit(f"prune.py: nothing is at {pattern}: has that package changed?")
    return paths


def size_of(folder: Path) -> int:
    """Bytes in all files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
