"""What an engine's exception means for the process: nothing, no memory, or a lost GPU. Pure.

Out of memory costs the turn: the next one may be shorter. After an error inside a kernel a CUDA
context takes no more work, in whichever library it happened, and only a new process gets another:
`device_lost` says so. It goes by the texts of CUDA, torch and CTranslate2, since neither wraps what
the driver says into types of its own, and looks at the causes of an exception too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MOST_CAUSES = 8

_MEMORY = re.compile(
    r"out of memory|cudaErrorMemoryAllocation|_STATUS_ALLOC_FAILED|std::bad_alloc|bad allocation"
    r"|failed to allocate|cannot allocate memory",
    re.I,
)
_CUDA = re.compile(
    r"CUDA error|CUDA failed with error|CUDA driver error|cudaError[A-Z]"
    r"|cuBLAS failed|cuDNN failed|CUBLAS_STATUS_|CUDNN_STATUS_",
)
_ASKED_WRONGLY = re.compile(
    r"invalid (?:argument|value|configuration|device|resource handle)"
    r"|cudaErrorInvalid(?:Value|Configuration|Device\b|ResourceHandle)"
    r"|no kernel image|not supported|stream is capturing"
    r"|_STATUS_(?:INVALID_VALUE|NOT_SUPPORTED|BAD_PARAM|ARCH_MISMATCH)",
    re.I,
)
"""Calls that CUDA refused before it did anything: the context is as good as before."""


def out_of_memory(error: BaseException) -> bool:
    """Whether it, or what caused it, is a lack of memory, on the GPU or off it."""
    return any(_is_memory(each) for each in _causes(error))


def device_lost(error: BaseException) -> bool:
    """Whether nothing works any more on the GPU in this process.

    What CUDA says and nobody knows here counts as that: to start anew costs seconds, to go on with
    a broken context costs every turn from now on.
    """
    for each in _causes(error):
        text = str(each)
        if _CUDA.search(text) and not _is_memory(each) and not _ASKED_WRONGLY.search(text):
            return True
    return False


def _is_memory(error: BaseException) -> bool:
    named = type(error).__name__ == "OutOfMemoryError"  # torch's, which may not be installed
    return named or isinstance(error, MemoryError) or bool(_MEMORY.search(str(error)))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised from or while, nearest first."""
    cause: BaseException | None = error
    for _ in range(MOST_CAUSES):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__


def code_of(error: BaseException) -> str | None:
    """The code that a client is told for an engine's exception; None for the stage's own."""
    return "out_of_memory" if out_of_memory(error) else None
