"""Builds empty CUDA libraries in the place of those that torch loads and this server never calls.

`stubs.py SITE_PACKAGES`. `libtorch_cuda.so` is linked to NCCL (several GPUs), to cuSPARSE and
cuSPARSELt (sparse matrices) and to cuRAND (of which it uses headers alone), and does not load
without them: 1.4 GB on the disk. Their wheels are not installed. A stub has every symbol that torch
asks for; called, a function returns an error, which torch raises as a RuntimeError.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple


class Library(NamedTuple):
    """One library, known by its name and its prefix."""

    soname: str
    symbol: str
    """A pattern for the names of its functions."""
    version: str
    """The version of its symbols; empty where they have none."""


LIBRARIES = (
    Library("libnccl.so.2", r"nccl[A-Z]\w*", ""),
    Library("libcusparse.so.12", r"cusparse(?!Lt[A-Z])[A-Z]\w*", "libcusparse.so.12"),
    Library("libcusparseLt.so.0", r"cusparseLt[A-Z]\w*", ""),
    Library("libcurand.so.10", r"curand[A-Z]\w*", ""),
)

FAILING = "int {name}(void) {{ return 1; }}\n"
"""1 is an error in all of them."""
SPEAKING = 'const char *{name}(void) {{ return "{soname} is not part of this image"; }}\n'


def main() -> None:
    """Build one for each of `LIBRARIES` beside torch's own, where torch looks for them."""
    torch = Path(sys.argv[1]) / "torch" / "lib"
    wanted = undefined(sorted(torch.glob("*.so")))
    for library in LIBRARIES:
        names = sorted(name for name in wanted if re.fullmatch(library.symbol, name))
        build(library, names, torch / library.soname)
        print(f"{library.soname}: {len(names)} functions")


def undefined(libraries: list[Path]) -> set[str]:
    """The symbols that these libraries expect of others."""
    listing = subprocess.run(
        ["nm", "--dynamic", "--undefined-only", *libraries],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(re.findall(r"^ +U (\w+)", listing.stdout, re.MULTILINE))


def source(library: Library, names: list[str]) -> str:
    """The C of a library: what returns a text says so, everything else fails."""
    says = re.compile(r"Get(Last)?Error(String|Name)?$")
    lines = (SPEAKING if says.search(name) else FAILING for name in names)
    return "".join(
        line.format(name=name, soname=library.soname)
        for line, name in zip(lines, names, strict=True)
    )


def build(library: Library, names: list[str], target: Path) -> None:
    """Compile it; its symbols carry the version that torch was linked against."""
    with tempfile.TemporaryDirectory() as folder:
        code, script = Path(folder) / "stub.c", Path(folder) / "stub.map"
        code.write_text(source(library, names))
        script.write_text(f"{library.version} {{ global: *; }};\n")
        link = [f"-Wl,--version-script={script}"] if library.version else []
        named = ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{library.soname}", *link]
        subprocess.run([*named, "-o", str(target), str(code)], check=True)


if __name__ == "__main__":
    main()
