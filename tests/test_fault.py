"""What exceptions of engines mean: the texts are those of the libraries."""

from __future__ import annotations

import pytest

from realtime.fault import code_of, device_lost, out_of_memory

LOST = (
    "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be "
    "asynchronously reported at some other API call",
    "CUDA error: device-side assert triggered",
    "CUDA error: unspecified launch failure",
    "CUDA error: misaligned address",
    "CUDA error: uncorrectable ECC error encountered",
    "CUDA error: the launch timed out and was terminated",
    "CUDA failed with error an illegal memory access was encountered",
    "CUDA failed with error unspecified launch failure",
    "cuBLAS failed with status CUBLAS_STATUS_EXECUTION_FAILED",
    "cuDNN failed with status CUDNN_STATUS_EXECUTION_FAILED",
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`",
    "cudaErrorLaunchFailure: unspecified launch failure",
    "CUDA error: something that nobody has heard of yet",
)
MEMORY = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.79 GiB",
    "CUDA error: out of memory",
    "CUDA failed with error out of memory",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cudaErrorMemoryAllocation: out of memory",
    "std::bad_alloc",
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer",
)
NEITHER = (
    "CUDA error: invalid argument",
    "CUDA error: invalid configuration argument",
    "CUDA error: no kernel image is available for execution on the device",
    "CUDA error: operation not permitted when stream is capturing",
    "cuBLAS failed with status CUBLAS_STATUS_NOT_SUPPORTED",
    "the prompt is too long",
    "",
)


class OutOfMemoryError(RuntimeError):
    """torch's, which is not installed everywhere."""


@pytest.mark.parametrize("text", LOST)
def test_after_this_the_gpu_is_lost_to_the_process(text):
    assert device_lost(RuntimeError(text))
    assert not out_of_memory(RuntimeError(text))


@pytest.mark.parametrize("text", MEMORY)
def test_this_is_a_lack_of_memory_and_the_process_goes_on(text):
    assert out_of_memory(RuntimeError(text))
    assert not device_lost(RuntimeError(text))
    assert code_of(RuntimeError(text)) == "out_of_memory"


@pytest.mark.parametrize("text", NEITHER)
def test_this_is_a_failure_like_any_other(text):
    assert not device_lost(RuntimeError(text))
    assert not out_of_memory(RuntimeError(text))
    assert code_of(RuntimeError(text)) is None


@pytest.mark.parametrize("error", [MemoryError(), OutOfMemoryError("")])
def test_a_lack_of_memory_may_say_nothing(error):
    assert out_of_memory(error)


def test_the_cause_counts_however_it_is_wrapped():
    outer = ValueError("the recogniser failed on this utterance")
    outer.__cause__ = RuntimeError(LOST[0])
    assert device_lost(outer)
    outer.__cause__, outer.__context__ = None, RuntimeError(LOST[0])
    assert device_lost(outer)
    circle = ValueError("round and round")
    circle.__context__ = circle
    assert not device_lost(circle)
