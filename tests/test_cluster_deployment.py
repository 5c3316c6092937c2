"""The files of a cluster on one machine agree with each other, and HAProxy takes its own."""

from __future__ import annotations

import ipaddress
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.balancer import CONFIGURATION, configuration, program
from bootstrap.volume import CONTAINER_VOLUME
from realtime.doorway import MAX_CONNECTIONS, MAX_HEADERS
from realtime.limits import Limits
from realtime.settings import OPTIONS
from realtime.websocket import HEARTBEAT_S
from tests.conftest import ROOT
from tests.test_kubernetes_manifests import OF_NODES

BALANCER = CONFIGURATION.read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
COMPOSE = ROOT / "deploy" / "compose.cluster.yml"
VAST = (ROOT / "deploy" / "vast.md").read_text(encoding="utf-8")

needs_haproxy = pytest.mark.skipif(
    program() is None, reason="haproxy is not installed: apt-get install haproxy"
)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return dict(yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"])


def section(name: str) -> str:
    """The lines of one section of the configuration, without comments."""
    [found] = re.findall(rf"^{name}\n((?:[ .].*\n|\n|#.*\n)+)", BALANCER, re.MULTILINE)
    return re.sub(r"#.*", "", found)


def seconds(value: str) -> int:
    return int(value[:-1]) * {"s": 1, "m": 60, "h": 3_600}[value[-1]]


def checked(file: Path, **environment: str) -> str:
    """What `haproxy -c` complains of."""
    command = [str(program()), "-c", "-f", str(file)]
    socket = str(file.parent / "admin.sock")
    env = {**os.environ, "BALANCER_SOCKET": socket, **environment}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    return "\n".join(re.findall(r"\[(?:WARNING|ALERT)\].*", told))


@needs_haproxy
def test_haproxy_takes_the_file_without_a_warning(tmp_path: Path) -> None:
    shipped, made = tmp_path / "shipped.cfg", tmp_path / "made.cfg"
    shipped.write_text(BALANCER)
    made.write_text(configuration(["10.0.0.1:8000", "http://10.0.0.2:8000/"]))
    assert checked(shipped) == ""
    assert checked(shipped, BALANCER_NAMESERVER="127.0.0.1:53") == ""
    assert checked(made) == ""
    assert made.read_text().count("server fe2 10.0.0.2:8000\n") == 2


@needs_haproxy
def test_with_a_certificate_it_speaks_tls(tmp_path: Path) -> None:
    pem, shipped = tmp_path / "voice.pem", tmp_path / "shipped.cfg"
    shipped.write_text(BALANCER)
    made = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "chain.pem")]
    subprocess.run([*made.split(), *files], check=True, capture_output=True)
    pem.write_text("".join((tmp_path / f).read_text() for f in ("chain.pem", "key.pem")))
    assert checked(shipped, BALANCER_CERT=str(pem)) == ""
    with pytest.raises(AssertionError, match="nowhere"):
        checked(shipped, BALANCER_CERT=str(tmp_path / "nowhere.pem"))


def test_a_change_of_what_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="no 'timeout never'"):
        configuration([], {"timeout never": "1s"})


def test_nothing_but_the_callers_door_is_reached_from_outside() -> None:
    binds = re.findall(r"^ +bind \"\$\{(\w+)\}\"", BALANCER, re.MULTILINE)
    assert binds == ["BALANCER_BIND", "BALANCER_TLS_BIND", "BALANCER_STATS"]
    [statistics] = re.findall(r"presetenv BALANCER_STATS (\S+):\d+", BALANCER)
    assert ipaddress.ip_address(statistics).is_loopback
    assert "mode 600 level admin" in section("global")


def test_a_name_server_that_is_away_takes_no_front_end_out() -> None:
    """Checks find the dead; a name that is told without an address goes soon all the same."""
    holds = dict(re.findall(r"hold (\S+) +(\d+[smh])", section("resolvers names")))
    for each in ("other", "refused", "timeout"):
        assert seconds(holds[each]) >= seconds("24h"), each
    assert seconds(holds["obsolete"]) <= 30


def test_paths_are_compared_as_front_ends_read_them() -> None:
    rules = re.sub(r" *#.*", "", BALANCER)
    assert len(re.findall(r"\bpath,url_dec -m str /", rules)) == 4
    assert not re.search(r"\bpath(_beg|_end|_reg|_sub)? +/", rules)


def test_calls_are_never_closed_for_what_happens_to_their_front_end() -> None:
    assert "on-marked-down" not in BALANCER
    assert "on-marked-up" not in BALANCER
    assert "observe" not in BALANCER


def test_its_limits_are_within_those_of_a_front_end() -> None:
    shares = [int(n) for n in re.findall(r"maxconn (\d+)", BALANCER)]
    assert len(shares) == 2
    assert sum(shares) < MAX_CONNECTIONS
    [headers] = re.findall(r"tune.http.maxhdr (\d+)", BALANCER)
    assert int(headers) <= MAX_HEADERS
    times = dict(re.findall(r"timeout (\S+) +(\d+[smh])", section("defaults")))
    assert seconds(times["tunnel"]) > HEARTBEAT_S * 2
    assert seconds(times["tunnel"]) >= Limits().session_s
    [after] = re.findall(r"hard-stop-after (\d+m)", BALANCER)
    assert seconds(after) > Limits().session_s
    [calls] = re.findall(r"presetenv BALANCER_CALLS_OF_ADDRESS (\d+)", BALANCER)
    assert int(calls) == Limits().sessions_per_address


def test_every_variable_of_the_balancer_is_told_of() -> None:
    known = set(re.findall(r"\bBALANCER_[A-Z_]+\b", BALANCER))
    assert known == set(re.findall(r"\bBALANCER_[A-Z_]+\b", PAGE))
    for name, default in re.findall(r"presetenv (\w+) (\S+)", BALANCER):
        [row] = re.findall(rf"^\| [^|]*`{name}`.*$", PAGE, re.MULTILINE)
        assert default in row


@pytest.mark.parametrize(
    "name", ["deploy/compose.cluster.yml", "deploy/vast.md", "docs/cluster.md"]
)
def test_every_variable_that_is_named_is_a_setting(name: str) -> None:
    named = set(re.findall(r"\bBANTER_[A-Z_]+\b", (ROOT / name).read_text()))
    assert named
    assert named <= {option.variable for option in OPTIONS} | OF_NODES


@pytest.mark.parametrize(
    "name", ["docs/cluster.md", "deploy/vast.md", "deploy/kuberay/README.md", "SECURITY.md"]
)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles}
            assert anchor in anchors, target


def test_compose_publishes_the_balancer_alone(services: dict[str, Any]) -> None:
    assert set(services) == {"head", "worker", "front", "balancer"}
    assert [name for name, each in services.items() if "ports" in each] == ["balancer"]
    assert services["balancer"]["ports"] == ["127.0.0.1:8000:8000"]
    for each in services.values():
        assert each["networks"] == ["inside"]
        assert each.get("network_mode") is None


def test_compose_asks_for_every_secret(services: dict[str, Any]) -> None:
    front = services["front"]["environment"]
    for name in ("BANTER_API_KEYS", "BANTER_SHARED_SECRET", "BANTER_CLUSTER_TOKEN"):
        assert front[name].startswith(f"${{{name}:?"), name
    for name in ("head", "worker", "front"):
        found = services[name]["environment"]
        assert found["RAY_AUTH_MODE"] == "token"
        assert found["RAY_AUTH_TOKEN"] == "${BANTER_CLUSTER_TOKEN}"


def test_compose_has_two_front_ends_that_trust_the_balancers_network(
    services: dict[str, Any],
) -> None:
    whole = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    [network] = whole["networks"]["inside"]["ipam"]["config"]
    front = services["front"]
    assert front["deploy"]["replicas"] == 2
    assert front["environment"]["BANTER_TRUSTED_PROXIES"] == network["subnet"]
    assert services["balancer"]["environment"]["BALANCER_FRONT_ENDS"] == "front:8000"
    assert front["volumes"] == [f"data:{CONTAINER_VOLUME}"]
    grace_s = seconds(front["stop_grace_period"])
    [drain_s] = [float(o.default) for o in OPTIONS if o.name == "drain-seconds"]
    assert grace_s >= drain_s + 20


def test_callers_of_compose_are_not_limited_as_the_one_address_that_they_come_from(
    services: dict[str, Any],
) -> None:
    assert services["front"]["environment"]["BANTER_SESSIONS_PER_ADDRESS"] == 0
    calls = int(services["balancer"]["environment"]["BALANCER_CALLS_OF_ADDRESS"])
    assert calls > Limits().sessions_per_address


def test_nodes_of_ray_are_not_asked_for_what_they_do_not_serve(services: dict[str, Any]) -> None:
    """The image's health check asks a server's `/health`."""
    off = [name for name, each in services.items() if each.get("healthcheck") == {"disable": True}]
    assert off == ["head", "worker"]


def test_the_recipe_for_vast_maps_no_port_of_rays() -> None:
    mapped = {int(port) for port in re.findall(r"-p \d+:(\d+)", VAST)}
    assert mapped <= {8443, 51820}
