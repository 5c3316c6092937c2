"""Kubernetes' and KubeRay's schemas, cut down to what deploy/kuberay needs, and made strict.

    python -m tests.kubernetes_schemas FOLDER RAYCLUSTER.yaml

FOLDER is one version of the PyPI package kubernetes-validate, RAYCLUSTER.yaml the definition of
that resource from KubeRay's repository. Written are the files of tests/data/kubernetes, which
`validator` reads. An API server drops a field that it does not know, silently: here it is an error.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

FOLDER = Path(__file__).parent / "data" / "kubernetes"
DEFINITIONS = "#/$defs/"

KINDS = {
    ("v1", "Namespace"): "io.k8s.api.core.v1.Namespace",
    ("v1", "PersistentVolumeClaim"): "io.k8s.api.core.v1.PersistentVolumeClaim",
    ("v1", "Service"): "io.k8s.api.core.v1.Service",
    ("apps/v1", "Deployment"): "io.k8s.api.apps.v1.Deployment",
    ("autoscaling/v2", "HorizontalPodAutoscaler"): (
        "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler"
    ),
    ("networking.k8s.io/v1", "NetworkPolicy"): "io.k8s.api.networking.v1.NetworkPolicy",
    ("policy/v1", "PodDisruptionBudget"): "io.k8s.api.policy.v1.PodDisruptionBudget",
}
"""What Kubernetes brings; a RayCluster is KubeRay's."""

RAY_CLUSTER = ("ray.io/v1", "RayCluster")
NOT_CHECKED = ("description", "default", "format", "title", "example")
"""Words for people, and what validators do not agree on."""


class Unknown(ValueError):
    """There is no schema for this kind."""


@cache
def validator(api_version: str, kind: str) -> Any:
    """What says whether a manifest of this kind is one.

    Raises:
        Unknown: it is none of those that are used here.
    """
    if (api_version, kind) == RAY_CLUSTER:
        return jsonschema_rs.validator_for(_read("ray-cluster.json"))
    if (api_version, kind) not in KINDS:
        raise Unknown(f"no schema for {kind} of {api_version}: tests/kubernetes_schemas.py")
    root = DEFINITIONS + KINDS[api_version, kind]
    return jsonschema_rs.validator_for({"$ref": root, **_read("kubernetes.json")})


def complaints(manifest: dict[str, Any]) -> list[str]:
    """What is wrong with it, each with the field's path."""
    checks = validator(manifest["apiVersion"], manifest["kind"])
    return [
        f"{'.'.join(map(str, error.instance_path))}: {error.message}"
        for error in checks.iter_errors(manifest)
    ]


def _read(name: str) -> dict[str, Any]:
    return dict(json.loads((FOLDER / name).read_text(encoding="utf-8")))


def strict(schema: Any) -> Any:
    """The same without words, in which an object has no fields but those that are named."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    fields = schema.get("properties")
    kept = {
        name: strict(value)
        for name, value in schema.items()
        if name != "properties" and not (name in NOT_CHECKED or name.startswith("x-kubernetes"))
    }
    if isinstance(fields, dict):
        kept["properties"] = {name: strict(value) for name, value in fields.items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            kept.setdefault("additionalProperties", False)
    return kept


def needed(definitions: dict[str, Any], roots: Iterator[str]) -> dict[str, Any]:
    """These definitions and all that they refer to."""
    found: dict[str, Any] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = strict(definitions[name])
            waiting += [each.removeprefix(DEFINITIONS) for each in _references(found[name])]
    return dict(sorted(found.items()))


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(target := schema.get("$ref"), str):
            yield target
        schema = list(schema.values())
    if isinstance(schema, list):
        for each in schema:
            yield from _references(each)


def ray_cluster(definition: dict[str, Any]) -> Any:
    """The schema of version v1 in KubeRay's definition of the resource."""
    [version] = [each for each in definition["spec"]["versions"] if each["name"] == "v1"]
    return strict(version["schema"]["openAPIV3Schema"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("ray_cluster", type=Path)
    args = parser.parse_args()
    whole = json.loads((args.folder / "_definitions.json").read_text(encoding="utf-8"))
    kubernetes = {"$defs": needed(whole["$defs"], iter(KINDS.values()))}
    with args.ray_cluster.open(encoding="utf-8") as file:
        ray = ray_cluster(yaml.load(file, Loader=yaml.CSafeLoader))
    FOLDER.mkdir(exist_ok=True)
    for name, schema in (("kubernetes.json", kubernetes), ("ray-cluster.json", ray)):
        text = json.dumps(schema, separators=(",", ":"), sort_keys=True)
        (FOLDER / name).write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
