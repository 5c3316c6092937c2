"""A hub's files that are damaged, lost, or were brought by somebody else."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_hub import Hub
from small_models import VOICE, voice
from volumes import (
    broken,
    repository,
    root,
)

import bootstrap
from bootstrap.plan import Model, Plan


def only_voice() -> Plan:
    return Plan("gpu", (Model("voice", voice()),))


@pytest.mark.parametrize("check", [False, True])
async def test_damaged_file_is_set_aside_and_fetched_again_alone(
    hub: Hub, fetched: Path, caplog: pytest.LogCaptureFixture, check: bool
) -> None:
    damaged = (root(fetched, VOICE) / "s3gen.safetensors").resolve()
    damaged.write_bytes(bytes(400_000) if check else b"short")
    assert await bootstrap.ensure(only_voice(), fetched, check=check) == {
        "voice": root(fetched, VOICE)
    }
    assert broken(fetched) == []
    assert hub.fetched == ["s3gen.safetensors"]
    [aside] = (fetched / "models/.set-aside/models--tiny--chatterbox-voice").iterdir()
    assert aside.stat().st_size == (400_000 if check else 5)
    assert "set aside in" in caplog.text


async def test_damage_that_was_found_is_not_trusted_after_a_failed_repair(
    hub: Hub, fetched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root(fetched, VOICE) / "conds.pt").resolve().write_bytes(bytes(50_000))
    with monkeypatch.context() as offline:
        offline.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(bootstrap.BootstrapError, match="HF_HUB_OFFLINE forbids"):
            await bootstrap.ensure(only_voice(), fetched, check=True)
    await bootstrap.ensure(only_voice(), fetched)
    assert broken(fetched) == []
    assert hub.fetched == ["conds.pt"]


async def test_lost_link_is_made_again_without_fetching(hub: Hub, fetched: Path) -> None:
    (root(fetched, VOICE) / "t3.safetensors").unlink()
    await bootstrap.ensure(only_voice(), fetched)
    assert broken(fetched) == []
    assert hub.requests == []


async def test_pinned_files_that_somebody_brought_are_marked_without_asking(
    hub: Hub, fetched: Path
) -> None:
    [manifest] = repository(fetched, VOICE).glob("manifest-*.json")
    manifest.unlink()
    assert await bootstrap.ensure(only_voice(), fetched) == {"voice": root(fetched, VOICE)}
    assert manifest.exists()
    assert hub.requests == []


async def test_pinned_files_that_are_not_the_right_ones_are_replaced(
    hub: Hub, fetched: Path
) -> None:
    [manifest] = repository(fetched, VOICE).glob("manifest-*.json")
    manifest.unlink()
    (root(fetched, VOICE) / "conds.pt").resolve().write_bytes(bytes(50_000))
    await bootstrap.ensure(only_voice(), fetched)
    assert broken(fetched) == []
    assert hub.fetched == ["conds.pt"]
