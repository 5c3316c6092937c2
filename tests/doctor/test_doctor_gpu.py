"""What nvidia-smi says of machines that are not here, and what is made of it."""

from __future__ import annotations

import pytest

from realtime.doctor.child import Ended
from realtime.doctor.finding import Finding, Level
from realtime.doctor.gpu import Smi, judge
from realtime.doctor.needs import GpuNeeds

NEEDS = GpuNeeds(memory_mib=7_000)
RTX_4090 = """GPU-9a1f6c2e-5d3b, NVIDIA GeForce RTX 4090, 550.54.14, 24564, 24082, 8.9
"""
TWO = RTX_4090 + "GPU-77b0e1aa-0d4c, Tesla T4, 550.54.14, 15360, 14918, 7.5\n"
MISMATCH = (
    "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 550.90\n"
)
NO_DRIVER = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that "
    "the latest NVIDIA driver is installed and running.\n"
)


def seen(output: str, status: int | None = 0, needs: GpuNeeds | None = NEEDS, **more: str):
    smi = Smi(Ended(status, output, ""), "/dev/nvidiactl")
    return judge(smi, needs, more.get("visible"))


def levels(findings: list[Finding]) -> dict[str, str]:
    return {finding.subject: str(finding.level) for finding in findings}


def test_a_good_gpu_is_named_with_its_driver_and_its_memory() -> None:
    card, driver, memory = seen(RTX_4090)
    assert levels([card, driver, memory]) == {"gpu": "ok", "driver": "ok", "gpu memory": "ok"}
    assert "RTX 4090" in card.seen
    assert driver.seen == "550.54.14"
    assert memory.seen == "24,082 of 24,564 MiB free, about 7,000 needed"


@pytest.mark.parametrize(
    ("line", "subject", "level", "words"),
    [
        ("GPU-1, Quadro P4000, 550.54.14, 8192, 8100, 6.1", "gpu", "error", "capability 6.1"),
        ("GPU-1, Tesla T4, 470.223.02, 15360, 15109, 7.5", "driver", "error", "470.223.02"),
        ("GPU-1, NVIDIA RTX A2000, 550.54.14, 6138, 5900, 8.6", "gpu memory", "error", "6,138"),
        ("GPU-1, Tesla T4, 550.54.14, 15360, 812, 7.5", "gpu memory", "warning", "812 of 15,360"),
        ("GPU-1, NVIDIA GB10, 580.95.05, [N/A], [N/A], 12.1", "gpu memory", "ok", "does not say"),
    ],
)
def test_a_gpu_that_does_not_do(line: str, subject: str, level: str, words: str) -> None:
    findings = {finding.subject: finding for finding in seen(line + "\n")}
    assert levels(list(findings.values())) == {
        "gpu": "ok", "driver": "ok", "gpu memory": "ok", subject: level
    }  # fmt: skip
    assert words in findings[subject].seen


def test_cuda_visible_devices_says_which_of_several() -> None:
    assert "RTX 4090, the one used of 2" in seen(TWO)[0].seen
    assert "Tesla T4, the one used of 2" in seen(TWO, visible="1,0")[0].seen
    assert "Tesla T4" in seen(TWO, visible="GPU-77b0e1aa")[0].seen
    for hidden in ("", "-1", "7"):
        [finding] = seen(TWO, visible=hidden)
        assert finding.level is Level.ERROR
        assert "CUDA_VISIBLE_DEVICES" in finding.remedy


@pytest.mark.parametrize(
    ("output", "status", "remedy"),
    [
        (NO_DRIVER, 9, "load the driver"),
        (MISMATCH, 18, "restart the machine"),
        ("No devices were found\n", 6, "docker run --gpus all"),
        (
            "Unable to determine the device handle for GPU 0000:01:00.0: Unknown Error",
            15,
            "restart",
        ),
        ('Field "compute_cap" is not a valid field to query.\n', 2, "too old"),
        ("", None, "hangs"),
    ],
)
def test_a_driver_that_fails_is_an_error_only_where_it_is_needed(
    output: str, status: int | None, remedy: str
) -> None:
    [needed] = seen(output, status)
    [unused] = seen(output, status, needs=None)
    assert (needed.level, unused.level) == (Level.ERROR, Level.WARNING)
    assert remedy in needed.remedy


def test_no_gpu_is_a_fact_for_the_embedded_profile_and_an_error_for_the_other() -> None:
    [embedded] = judge(Smi(None), None, None)
    [gpu] = judge(Smi(None), NEEDS, None)
    assert (embedded.level, gpu.level) == (Level.OK, Level.ERROR)
    assert "--gpus all" in gpu.remedy


def test_a_device_without_its_tools_is_a_container_without_a_capability() -> None:
    [finding] = judge(Smi(None, "/dev/nvidiactl"), NEEDS, None)
    assert finding.level is Level.ERROR
    assert "NVIDIA_DRIVER_CAPABILITIES" in finding.remedy


def test_a_gpu_that_nobody_needs_is_only_mentioned() -> None:
    assert levels(list(seen(RTX_4090, needs=None))) == {"gpu": "ok"}
