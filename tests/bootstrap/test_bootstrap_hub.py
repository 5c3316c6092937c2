"""Models from the hub, by its real client, told as stories: a first start, a second, a repair."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_hub import Hub
from fake_index import noise
from small_models import COMMITS, EAR, FILES, VOICE, VOICE_FILES, ear, hub_plan, voice
from volumes import (
    broken,
    fetched_models,
    finish,
    left_over,
    repository,
    root,
    snapshot,
    start,
    told,
)

import bootstrap
from bootstrap import cache
from bootstrap.plan import HubRepository, Model, Plan

Command = Callable[..., list[str]]

EAR_FILES = ["config.json", "model.bin", "tokenizer.json", "vocabulary.txt"]


def only_ear(source: HubRepository | None = None) -> Plan:
    return Plan("gpu", (Model("whisper", source or ear()),))


def only_voice() -> Plan:
    return Plan("gpu", (Model("voice", voice()),))


async def test_first_start_fetches_what_is_wanted_and_nothing_else(hub: Hub, volume: Path) -> None:
    assert await bootstrap.ensure(hub_plan(), volume) == fetched_models(volume)
    for name, wanted in ((EAR, EAR_FILES), (VOICE, VOICE_FILES)):
        there = {
            path.relative_to(root(volume, name)).as_posix(): path.read_bytes()
            for path in root(volume, name).rglob("*")
            if path.is_file()
        }
        assert there == {path: FILES[name][path] for path in wanted}
    assert hub.fetched == sorted([*EAR_FILES, *VOICE_FILES])
    assert [request for request in hub.requests if "/api/" in request] == [
        f"GET /api/models/{EAR}/revision/main?blobs=true",
        f"GET /api/models/{VOICE}/revision/{COMMITS[VOICE]}?blobs=true",
    ]
    assert left_over(volume) == []
    assert sorted(path.name for path in (volume / "models/huggingface/hub").iterdir()) == [
        "models--tiny--chatterbox-voice",
        "models--tiny--faster-whisper-ear",
    ]


def test_manifest_names_commit_blobs_sizes_and_hashes(fetched: Path) -> None:
    [path] = repository(fetched, EAR).glob("manifest-*.json")
    said = json.loads(path.read_text())
    assert (said["repository"], said["revision"], said["commit"]) == (EAR, "main", "a" * 40)
    model = next(file for file in said["files"] if file["path"] == "model.bin")
    assert model["size_bytes"] == 600_000
    assert model["blob"] == model["sha256"]
    assert (repository(fetched, EAR) / "blobs" / model["blob"]).stat().st_size == 600_000


async def test_second_start_asks_nobody_and_changes_nothing(hub: Hub, fetched: Path) -> None:
    before = snapshot(fetched)
    for check in (False, True):
        assert await bootstrap.ensure(hub_plan(), fetched, check=check) == fetched_models(fetched)
    assert snapshot(fetched) == before
    assert hub.requests == []


@pytest.mark.parametrize("check", [[], ["--check"], ["--dry-run"]])
def test_second_start_under_audit_and_without_a_network(
    hub: Hub,
    fetched: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    check: list[str],
) -> None:
    monkeypatch.setenv("AUDIT", "yes")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    arguments = command("--profile", "gpu", "--volume", fetched, *check, plan=hub_plan())
    status, out, err = finish(start(arguments))
    assert (status, err) == (0, "AUDIT []\n")
    assert str(root(fetched, EAR)) in out


def test_the_hub_s_own_library_finds_it_there_without_asking(
    hub: Hub, fetched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download\n"
        f"print(snapshot_download('{EAR}'))\n"
        f"print(hf_hub_download('{VOICE}', 't3.safetensors', revision='{COMMITS[VOICE]}'))\n"
        "print(scan_cache_dir().warnings)"
    )
    monkeypatch.setenv("HF_HUB_CACHE", str(fetched / "models/huggingface/hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    status, out, err = finish(start([sys.executable, "-c", script]))
    assert status == 0, err
    assert out == f"{root(fetched, EAR)}\n{root(fetched, VOICE) / 't3.safetensors'}\n[]\n"


async def test_branch_is_resolved_once_and_then_stays(hub: Hub, fetched: Path) -> None:
    stored = hub.repositories[EAR]
    stored.older[stored.commit] = dict(stored.files)
    stored.commit, stored.files["model.bin"] = "c" * 40, noise(600_000, 99)
    assert await bootstrap.ensure(only_ear(), fetched) == {"whisper": root(fetched, EAR)}
    assert hub.requests == []
    # Nor does a repair move on.
    (root(fetched, EAR) / "model.bin").resolve().unlink()
    assert await bootstrap.ensure(only_ear(), fetched) == {"whisper": root(fetched, EAR)}
    assert broken(fetched) == []
    assert not [request for request in hub.requests if "/api/" in request]
    assert hub.fetched == ["model.bin"]


async def test_renamed_repository_is_followed_and_kept_under_its_old_name(
    hub: Hub, volume: Path
) -> None:
    hub.repositories["dropbox/faster-whisper-ear"] = hub.repositories[EAR]
    moved = hub.repositories[EAR]
    hub.repositories[EAR] = type(moved)({}, moved.commit, renamed_to="dropbox/faster-whisper-ear")
    assert await bootstrap.ensure(only_ear(), volume) == {"whisper": root(volume, EAR)}
    assert broken(volume) == []


async def test_private_repository_is_fetched_with_a_token(
    hub: Hub, volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repositories[VOICE].token = "hf_right"
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert await bootstrap.ensure(only_voice(), volume) == {"voice": root(volume, VOICE)}
    assert hub.tokens_at_storage == 0


async def test_one_blob_under_two_names_comes_once(hub: Hub, volume: Path) -> None:
    stored = hub.repositories[EAR]
    stored.files["copy/model.bin"] = stored.files["model.bin"]
    both = HubRepository(EAR, "main", patterns=("model.bin", "copy/*"))
    await bootstrap.ensure(only_ear(both), volume)
    for path in ("model.bin", "copy/model.bin"):
        assert (root(volume, EAR) / path).read_bytes() == FILES[EAR]["model.bin"]
    assert hub.sent["model.bin"] + hub.sent["copy/model.bin"] == 600_000


async def test_plans_for_one_repository_share_its_blobs(hub: Hub, fetched: Path) -> None:
    more = HubRepository(VOICE, COMMITS[VOICE], patterns=("*.safetensors",))
    await bootstrap.ensure(Plan("gpu", (Model("voice", more),)), fetched)
    assert hub.fetched == ["unused.safetensors"]
    hub.requests.clear()
    await bootstrap.ensure(only_voice(), fetched)
    assert hub.requests == []
    assert len(list(repository(fetched, VOICE).glob("manifest-*.json"))) == 2


def test_manifest_with_a_path_that_leads_out_is_not_believed(fetched: Path) -> None:
    [path] = repository(fetched, EAR).glob("manifest-*.json")
    said = json.loads(path.read_text())
    said["files"][0]["path"] = "../../../../../../etc/passwd"
    path.write_text(json.dumps(said))
    assert cache.read_manifest(repository(fetched, EAR), ear()) is None


async def test_volume_may_be_moved_and_copied(hub: Hub, fetched: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    os.rename(fetched, moved)
    assert await bootstrap.ensure(hub_plan(), moved) == fetched_models(moved)
    flat = tmp_path / "flat"
    shutil.copytree(moved, flat)  # a copy that follows links has files in their place
    assert await bootstrap.ensure(hub_plan(), flat, check=True) == fetched_models(flat)
    assert hub.requests == []


def test_two_processes_at_once_download_once(hub: Hub, volume: Path, command: Command) -> None:
    hub.hold()
    arguments = command("--profile", "gpu", "--volume", volume, plan=hub_plan())
    with start(arguments) as first:
        assert hub.stalled.wait(30)
        with start(arguments) as second:
            assert second.stderr is not None
            assert f"held by process {first.pid} on " in second.stderr.readline()
            hub.release()
            assert finish(first)[:2] == (0, told(volume))
            assert finish(second) == (0, told(volume), "")
    assert hub.fetched == sorted([*EAR_FILES, *VOICE_FILES])
    assert sum(hub.sent.values()) == sum(
        len(FILES[name][path])
        for name, paths in ((EAR, EAR_FILES), (VOICE, VOICE_FILES))
        for path in paths
    )
