"""deploy/kuberay: every manifest is one, and they fit together. No cluster is asked."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from realtime.cluster.pools import JOINED_WITHIN_S
from realtime.roles import is_open
from realtime.settings import OPTIONS
from tests.conftest import ROOT
from tests.kubernetes_schemas import Unknown, complaints

HERE = ROOT / "deploy" / "kuberay"
README = (HERE / "README.md").read_text(encoding="utf-8")
BALANCER = (ROOT / "deploy" / "haproxy.cfg").read_text(encoding="utf-8")
RAY_PORTS = {6379, 6380, 8265, 10001}
OF_NODES = {"BANTER_CLUSTER_TOKEN"}
"""Variables of `banter cluster`, which are no settings of the server."""

Manifest = dict[str, Any]


class Once(yaml.SafeLoader):
    """A key that stands twice in a mapping is an error: of two, YAML takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(names) == len(set(names)), f"{names} at {node.start_mark}"
        return super().construct_mapping(node, deep=deep)


def documents() -> Iterator[Manifest]:
    for path in sorted(HERE.glob("*.yaml")):
        yield from yaml.load_all(path.read_text(encoding="utf-8"), Loader=Once)


MANIFESTS = list(documents())


def name_of(manifest: Manifest) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


def the(kind: str, name: str) -> Manifest:
    """A copy, to be changed at will."""
    [found] = [m for m in MANIFESTS if name_of(m) == f"{kind}-{name}"]
    return copy.deepcopy(found)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=name_of)
def test_a_manifest_is_one_to_the_last_field(manifest: Manifest) -> None:
    assert complaints(manifest) == []


def front() -> Manifest:
    return the("Deployment", "banter-front")


def ray() -> Manifest:
    return the("RayCluster", "banter")


BREAKS: dict[str, tuple[Callable[[], Manifest], Callable[[Manifest], Any], str]] = {
    "a field that there is not": (
        front,
        lambda m: m["spec"].update(replica=2),
        "replica",
    ),
    "one deep inside": (
        front,
        lambda m: containers(m)[0].update(readynessProbe={}),
        "readynessProbe",
    ),
    "another type": (front, lambda m: m["spec"].update(minReadySeconds="ten"), "minReadySeconds"),
    "nothing where something has to be": (front, lambda m: m["spec"].pop("selector"), "selector"),
    "a port without a number": (
        lambda: the("Service", "banter"),
        lambda m: m["spec"]["ports"][0].pop("port"),
        "port",
    ),
    "a policy for nobody": (
        lambda: the("NetworkPolicy", "ray"),
        lambda m: m["spec"].update(podSelectors=m["spec"].pop("podSelector")),
        "podSelectors",
    ),
    "a field that KubeRay has not": (
        ray,
        lambda m: m["spec"].update(workerGroupSpec=[]),
        "workerGroupSpec",
    ),
    "one in a pod of KubeRay's": (
        ray,
        lambda m: m["spec"]["headGroupSpec"]["template"]["spec"].update(tolerance=[]),
        "tolerance",
    ),
    "a group without a name": (
        ray,
        lambda m: m["spec"]["workerGroupSpecs"][0].pop("groupName"),
        "groupName",
    ),
    "a number where a word has to be": (
        ray,
        lambda m: m["spec"]["workerGroupSpecs"][0].update(maxReplicas="8"),
        "maxReplicas",
    ),
}


@pytest.mark.parametrize("broken", BREAKS)
def test_one_that_is_wrong_is_told_by_its_field(broken: str) -> None:
    take, spoil, field = BREAKS[broken]
    manifest = take()
    spoil(manifest)
    assert any(field in complaint for complaint in complaints(manifest))


def test_a_kind_without_a_schema_is_an_error() -> None:
    with pytest.raises(Unknown, match="Ingress"):
        complaints({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress"})


def pod(manifest: Manifest) -> Manifest:
    return dict(manifest["spec"]["template"]["spec"])


def containers(manifest: Manifest) -> list[Manifest]:
    return list(manifest["spec"]["template"]["spec"]["containers"])


def pods() -> dict[str, tuple[dict[str, str], Manifest]]:
    """By name: the labels and the spec of all that becomes a pod."""
    found = {}
    for manifest in MANIFESTS:
        if manifest["kind"] == "Deployment":
            labels = manifest["spec"]["template"]["metadata"]["labels"]
            found[manifest["metadata"]["name"]] = (labels, pod(manifest))
    cluster = ray()["spec"]
    labels = {"ray.io/cluster": ray()["metadata"]["name"]}  # KubeRay's own
    found["ray-head"] = (labels, cluster["headGroupSpec"]["template"]["spec"])
    for group in cluster["workerGroupSpecs"]:
        found[f"ray-{group['groupName']}"] = (labels, group["template"]["spec"])
    return found


def variables(spec: Manifest) -> dict[str, Any]:
    return {e["name"]: e for c in spec["containers"] for e in c.get("env", [])}


def test_everything_is_in_one_namespace() -> None:
    for manifest in MANIFESTS:
        inside = manifest["metadata"].get("namespace")
        assert (inside == "banter") is (manifest["kind"] != "Namespace"), name_of(manifest)


def test_selectors_find_pods() -> None:
    labels = [found for found, _ in pods().values()]
    for manifest in MANIFESTS:
        spec = manifest.get("spec", {})
        wanted = [spec.get("selector", {}), spec.get("podSelector", {})]
        wanted += [peer.get("podSelector", {}) for peer in peers(manifest)]
        for selector in filter(None, wanted):
            pairs = selector.get("matchLabels", selector).items()
            assert any(pairs <= each.items() for each in labels), (name_of(manifest), selector)


def peers(manifest: Manifest) -> list[Manifest]:
    rules = manifest.get("spec", {}).get("ingress", [])
    return [peer for rule in rules for peer in rule.get("from", [])]


def test_names_of_ports_and_volumes_lead_somewhere() -> None:
    for name, (_, spec) in pods().items():
        ports = {port["name"] for c in spec["containers"] for port in c.get("ports", [])}
        for container in spec["containers"]:
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                asked = container.get(probe, {})
                kind = asked.get("httpGet") or asked.get("tcpSocket") or {"port": None}
                assert kind["port"] in {*ports, None}, (name, probe)
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted == {volume["name"] for volume in spec["volumes"]}, name
    for service in (m for m in MANIFESTS if m["kind"] == "Service"):
        [(_, spec)] = [p for p in pods().values() if service["spec"]["selector"] == p[0]]
        ports = {port["name"] for c in spec["containers"] for port in c["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_what_they_refer_to_is_made_by_the_commands_of_the_readme() -> None:
    secrets = re.findall(r"create secret generic (\S+) (.+)", README)
    made = {name: set(re.findall(r"--from-literal ([\w-]+)=", keys)) for name, keys in secrets}
    claims = {m["metadata"]["name"] for m in MANIFESTS if m["kind"] == "PersistentVolumeClaim"}
    for name, (_, spec) in pods().items():
        for variable in variables(spec).values():
            if secret := variable.get("valueFrom", {}).get("secretKeyRef"):
                assert secret["key"] in made[secret["name"]], name
        for volume in spec["volumes"]:
            if claim := volume.get("persistentVolumeClaim"):
                assert claim["claimName"] in claims
            if configuration := volume.get("configMap"):
                made_by = f"create configmap {configuration['name']} --from-file deploy/haproxy.cfg"
                assert made_by in README
                assert (ROOT / "deploy" / "haproxy.cfg").is_file()


def test_one_door_leads_in_and_it_is_not_rays() -> None:
    open_to_all = []
    for service in (m for m in MANIFESTS if m["kind"] == "Service"):
        if service["spec"].get("clusterIP") != "None":
            open_to_all.append(service["metadata"]["name"])
        assert not RAY_PORTS & {port["port"] for port in service["spec"]["ports"]}
    assert open_to_all == ["banter"]
    assert the("Service", "banter")["spec"]["selector"] == {"app": "banter-balancer"}
    for _, spec in pods().values():
        assert not spec.get("hostNetwork")
        assert not any("hostPort" in p for c in spec["containers"] for p in c.get("ports", []))


def test_policies_close_everything_and_open_ray_to_its_own() -> None:
    closed = the("NetworkPolicy", "closed")["spec"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress"]}
    own = [{"ray.io/cluster": "banter"}, {"app": "banter-front"}]
    policy = the("NetworkPolicy", "ray")
    assert policy["spec"]["podSelector"]["matchLabels"] == own[0]
    assert peers(policy) == [{"podSelector": {"matchLabels": labels}} for labels in own]
    for manifest in (m for m in MANIFESTS if m["kind"] == "NetworkPolicy"):
        anybody = [rule for rule in manifest["spec"].get("ingress", []) if "from" not in rule]
        assert bool(anybody) is (manifest["metadata"]["name"] == "balancer")


def test_whoever_speaks_to_ray_shows_the_token() -> None:
    for name, (_, spec) in pods().items():
        found = variables(spec)
        if name == "banter-balancer":
            assert "RAY_AUTH_TOKEN" not in found
            continue
        assert found["RAY_AUTH_MODE"]["value"] == "token"
        for each in ("RAY_AUTH_TOKEN", "BANTER_CLUSTER_TOKEN"):
            assert found[each]["valueFrom"]["secretKeyRef"]["name"] == "banter-cluster", name


def test_every_variable_of_ours_is_a_setting() -> None:
    known = {option.variable for option in OPTIONS} | OF_NODES
    of_balancer = set(re.findall(r"\bBALANCER_[A-Z_]+\b", BALANCER))
    for _, spec in pods().values():
        for name in variables(spec):
            assert name in known | of_balancer or name.startswith("RAY_"), name


def test_a_front_end_has_time_to_drain() -> None:
    spec = pod(front())
    [container] = spec["containers"]
    pause_s = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    drain_s = int(variables(spec)["BANTER_DRAIN_SECONDS"]["value"])
    assert spec["terminationGracePeriodSeconds"] >= pause_s + drain_s + 20


def test_kubernetes_asks_whether_it_works_and_the_balancer_whether_it_has_a_place() -> None:
    """`/health` is 503 on every front end while a pool is out: who is killed for that takes calls
    with it. The page comes all the same, without a key."""
    [container] = containers(front())
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/", "port": "http"}
    assert is_open("/")
    startup = container["startupProbe"]
    assert startup["httpGet"] == {"path": "/health", "port": "http"}
    assert startup["periodSeconds"] * startup["failureThreshold"] > JOINED_WITHIN_S
    assert the("Service", "banter-front")["spec"]["publishNotReadyAddresses"] is True
    assert "uri /ready" in BALANCER
    found = variables(pod(the("Deployment", "banter-balancer")))
    assert found["BALANCER_FRONT_ENDS"]["value"] == (
        "banter-front.banter.svc.cluster.local:8000"
    ), "with all of its domains"


def test_calls_outlive_a_balancer_that_goes() -> None:
    [minutes] = re.findall(r"hard-stop-after (\d+)m", BALANCER)
    spec = pod(the("Deployment", "banter-balancer"))
    [container] = spec["containers"]
    pause_s = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pause_s >= 10, "the provider's load balancer notices by its own checks"
    assert spec["terminationGracePeriodSeconds"] > int(minutes) * 60 + pause_s


def test_a_card_holds_one_of_each_pool_and_no_more() -> None:
    """Then nothing has room for a replica more: an update ends the old one first."""
    [head] = ray()["spec"]["headGroupSpec"]["template"]["spec"]["containers"]
    given = dict(a.removeprefix("--").split("=") for a in head["args"] if "=" in a)
    assert float(given["whisper-gpus"]) + float(given["voice-gpus"]) == 1
    assert (given["per-node"], given["surge"]) == ("1", "0")


def test_nobody_is_root() -> None:
    for name, (_, spec) in pods().items():
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        for container in spec["containers"]:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
