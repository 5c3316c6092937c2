"""A machine's part in a cluster: what it refuses, what it starts, and how it is kept."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from realtime.cluster import command
from realtime.cluster.access import address_of, own_address
from realtime.cluster.deployment import PoolPlan, options_of, plan_of, share_of
from realtime.cluster.node import Node, NodePlan, check_address, ray_command
from realtime.cluster.tokens import TOKEN_VARIABLE, need_token, token, token_variables
from realtime.errors import SettingsError


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.1.7", "172.16.0.9", "fd00::1"])
def test_a_private_address_will_do(address: str) -> None:
    check_address(address, tls=False, insecure=False)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("8.8.8.8", "public address"),
        ("2001:4860::1", "public address"),
        ("0.0.0.0", "every network"),
        ("127.0.0.1", "outer address"),
        ("head.example", "not an IP address"),
        ("", "not an IP address"),
    ],
)
def test_other_addresses_are_refused_with_the_reason(address: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        check_address(address, tls=False, insecure=False)


def test_a_public_address_is_taken_where_that_is_said() -> None:
    check_address("8.8.8.8", tls=True, insecure=True)


def test_a_head_listens_at_its_address_and_has_no_dashboard() -> None:
    words = ray_command(NodePlan("10.0.0.1", cpus=0, gpus=1))
    assert {"--head", "--port=6379", "--node-ip-address=10.0.0.1"} < set(words)
    assert {"--include-dashboard=false", "--num-cpus=0", "--num-gpus=1"} < set(words)
    assert not any(word.startswith("--address") for word in words)


def test_a_worker_joins_and_has_ports_that_a_firewall_can_know() -> None:
    words = ray_command(NodePlan("10.0.0.2", head="10.0.0.1:6379", first_port=7000))
    assert "--address=10.0.0.1:6379" in words
    assert "--head" not in words
    ports = [word.rpartition("=")[2] for word in words if "port=" in word and "worker" not in word]
    assert ports == [str(7000 + n) for n in range(6)]


def test_no_fixed_ports_where_none_are_wanted() -> None:
    words = ray_command(NodePlan("10.0.0.2", head="10.0.0.1:6379", first_port=0))
    assert not [word for word in words if "port=" in word]


def test_the_token_is_made_once_and_is_readable_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    assert token(tmp_path, make=False) == ""
    made = token(tmp_path, make=True)
    assert len(made) == 64
    assert token(tmp_path, make=True) == made == token(tmp_path, make=False)
    assert stat.S_IMODE((tmp_path / "cluster" / "token").stat().st_mode) == 0o600
    monkeypatch.setenv(TOKEN_VARIABLE, "given")
    assert token(tmp_path, make=True) == "given"


def test_without_a_token_a_worker_is_told_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    with pytest.raises(SettingsError, match="cluster/token"):
        need_token(tmp_path, make=False)


def test_ray_is_told_to_ask_for_the_token() -> None:
    assert token_variables("x") == {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "x"}
    assert token_variables("") == {}


def test_the_scheme_is_ours_and_the_address_the_head_s() -> None:
    assert address_of("ray://10.0.0.1:6379") == "10.0.0.1:6379"
    assert address_of("auto") == "auto"
    assert own_address("127.0.0.1:6379") == "127.0.0.1"


def test_a_gpu_is_shared_where_there_is_only_one() -> None:
    assert [share_of(gpus) for gpus in (0, 1, 2, 8)] == [0.0, 0.5, 1.0, 1.0]


def test_what_serve_is_told_of_a_pool() -> None:
    args = command._parser({}).parse_args(
        [
            "deploy",
            "--whisper-replicas",
            "1:4",
            "--voice-gpus",
            "0.5",
            "--surge",
            "0",
            "--per-node=1",
        ]
    )
    args.settings = ["--profile", "gpu"]
    plan = plan_of(args, gpus=1.0)
    assert plan.whisper == PoolPlan(1, 4, 1.0, 1.0)
    assert plan.voice == PoolPlan(1, 1, 0.5, 1.0)
    told = options_of(plan, plan.whisper)
    assert told["autoscaling_config"]["max_replicas"] == 4
    assert told["ray_actor_options"] == {"num_cpus": 1.0, "num_gpus": 1.0}
    assert told["max_surge_percent"] == 0
    assert told["max_replicas_per_node"] == 1


def test_the_pools_options_come_through_to_the_process_that_deploys() -> None:
    given = ["--whisper-replicas=1:3", "--voice-cpus=0.25", "--surge=50"]
    args = command._parser({}).parse_args(["deploy", *given])
    assert set(given) < set(command._pool_arguments(args))
    again = command._parser({}).parse_args(["deploy", *command._pool_arguments(args)])
    again.settings = args.settings = []
    assert plan_of(again) == plan_of(args)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["up", "--head", "--whisper-replicas", "4:1"], "LEAST:MOST"),
        (["up", "--head", "--", "--voice", "none"], "--voice"),
        (["up", "--head", "--address", "1.2.3.4"], "public address"),
    ],
)
def test_a_wrong_setting_is_said_before_anything_is_started(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [*arguments[:2], "--volume", str(tmp_path), *arguments[2:]]
    assert command.main(given, {}) == 2
    assert says in capsys.readouterr().err


def test_a_node_that_ends_is_started_again_until_it_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime.cluster.node.FIRST_PAUSE_S", 0.05)
    log, ups = tmp_path / "starts", []
    script = f"open({str(log)!r}, 'a').write('x'); import time; time.sleep(0.1)"
    node = Node([sys.executable, "-c", script], lambda: ups.append(1))
    running = threading.Thread(target=node.run)
    running.start()
    until_s = time.monotonic() + 20
    while (not log.exists() or len(log.read_text()) < 3) and time.monotonic() < until_s:
        time.sleep(0.05)
    node.stop()
    running.join(20)
    assert not running.is_alive()
    assert len(log.read_text()) >= 3
    assert len(ups) >= 3


def test_what_a_node_left_behind_ends_with_it(tmp_path: Path) -> None:
    left = tmp_path / "pid"
    script = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(left)!r}, 'w').write(str(child.pid))\n"
    )
    node = Node([sys.executable, "-c", script], lambda: None)
    running = threading.Thread(target=node.run)
    running.start()
    until_s = time.monotonic() + 20
    while not (left.exists() and left.read_text()) and time.monotonic() < until_s:
        time.sleep(0.05)
    pid = int(left.read_text())
    while alive(pid) and time.monotonic() < until_s:
        time.sleep(0.05)
    node.stop()
    running.join(20)
    assert not alive(pid)


def alive(pid: int) -> bool:
    """Whether a process runs: one that nobody has waited for is over too."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_ctrl_c_ends_a_node_that_waits(tmp_path: Path) -> None:
    """The whole command, around a Ray that does nothing but sleep."""
    (tmp_path / "ray" / "scripts").mkdir(parents=True)
    for name in ("ray/__init__.py", "ray/scripts/__init__.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "ray/scripts/scripts.py").write_text("import time; time.sleep(600)")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), TOKEN_VARIABLE: "t" * 64}
    up = ["-m", "realtime", "cluster", "up", "--join", "10.0.0.1:6379", "--address", "10.0.0.2"]
    process = subprocess.Popen([sys.executable, *up], env=environment, stderr=subprocess.PIPE)
    time.sleep(3.0)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    process.stderr.close()  # type: ignore[union-attr]
