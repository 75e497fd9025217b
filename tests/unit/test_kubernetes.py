"""The manifests of docs/deploy/kubernetes are valid, and agree with each other and with the service."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from config import SECRETS, Settings
from runtime.version import VERSION
from tests.support.programs import require

DIRECTORY = Path(__file__).parents[2] / "docs/deploy/kubernetes"
DOCKERFILE = (DIRECTORY.parent / "Dockerfile").read_text()
SETTINGS = {name.upper() for name in Settings.model_fields}


def manifests(text: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(text) if one]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return the objects that `kubectl apply -k` sends, with the secrets that the README's commands create."""
    kubectl = require("KUBECTL", "kubectl")
    copy = tmp_path_factory.mktemp("kubernetes") / "copy"
    shutil.copytree(DIRECTORY, copy)
    readme = (DIRECTORY / "README.md").read_text()
    commands = "\n".join(re.findall(r"```bash\n(.*?)```", readme, re.DOTALL))
    subprocess.run(["bash", "-euc", commands], cwd=copy, check=True)
    done = subprocess.run([kubectl, "kustomize", str(copy)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return manifests(done.stdout)


def of(rendered: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    [found] = [one for one in rendered if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def pod(rendered: list[dict[str, Any]], component: str) -> dict[str, Any]:
    found: dict[str, Any] = of(rendered, "Deployment", f"workerrmq-{component}")["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize("version", ["1.31", "1.34", "1.37"])
def test_every_manifest_is_valid(rendered: list[dict[str, Any]], version: str) -> None:
    for one in rendered:
        kubernetes_validate.validate(one, version, strict=True)
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "workerrmq"


@pytest.mark.parametrize("component", ["web", "worker"])
def test_pods_get_settings_and_secrets_that_exist(rendered: list[dict[str, Any]], component: str) -> None:
    [container] = pod(rendered, component)["containers"]
    assert set(of(rendered, "ConfigMap", "workerrmq")["data"]) <= SETTINGS
    secret = of(rendered, "Secret", "workerrmq")["data"]
    [volume] = [one["secret"] for one in pod(rendered, component)["volumes"] if one["name"] == "secrets"]
    mounted = {item["key"] for item in volume["items"]} if "items" in volume else set(secret)
    assert mounted <= set(secret)
    for variable in container["env"]:
        name = variable["name"].removesuffix("_FILE").lower()
        assert name in SECRETS, "all others are in the ConfigMap"
        assert variable["value"] == f"/run/secrets/workerrmq/{name}"
        assert name in mounted
    assert {variable["name"].removesuffix("_FILE").lower() for variable in container["env"]} == mounted
    assert ("admin_password" in mounted) == (component == "web")


def test_every_reference_leads_to_a_manifest(rendered: list[dict[str, Any]]) -> None:
    optional = [*manifests((DIRECTORY / "service-monitor.yaml").read_text()),
                *manifests((DIRECTORY / "scaled-object.yaml").read_text())]  # fmt: skip
    labels = [of(rendered, "Deployment", f"workerrmq-{one}")["spec"]["template"]["metadata"]["labels"]
              for one in ("web", "worker")]  # fmt: skip
    for one in [*rendered, *optional]:
        spec = one.get("spec", {})
        selector = spec.get("selector") or spec.get("podSelector") or {}
        wanted = selector.get("matchLabels", selector)
        assert any(wanted.items() <= have.items() for have in labels), one
        scaled = spec.get("scaleTargetRef", {"name": "workerrmq-web"})
        assert of(rendered, "Deployment", scaled["name"])
    [monitor] = [one for one in optional if one["kind"] == "ServiceMonitor"]
    [endpoint] = monitor["spec"]["endpoints"]
    services = [one for one in rendered if one["kind"] == "Service"]
    assert all(endpoint["port"] == one["spec"]["ports"][0]["name"] for one in services)
    credentials = endpoint["authorization"]["credentials"]
    assert credentials["key"] in of(rendered, "Secret", credentials["name"])["data"]


@pytest.mark.parametrize("component", ["web", "worker"])
def test_pods_run_without_privileges_as_the_user_of_the_image(rendered: list[dict[str, Any]], component: str) -> None:
    spec = pod(rendered, component)
    [container] = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert f"USER {spec['securityContext']['runAsUser']}:" in DOCKERFILE
    assert spec["automountServiceAccountToken"] is False
    assert container["image"] == f"registry.example.com/workerrmq:{VERSION}"
    written = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert written == {"/var/lib/workerrmq", "/tmp"}
    assert "ENV DATA_DIR=/var/lib/workerrmq " in DOCKERFILE


@pytest.mark.parametrize("component", ["web", "worker"])
def test_probes_ask_the_port_on_which_the_image_listens(rendered: list[dict[str, Any]], component: str) -> None:
    [container] = pod(rendered, component)["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 5000}]
    assert f"{'BIND' if component == 'web' else 'WORKER_BIND'}=0.0.0.0:5000" in DOCKERFILE.split()
    probes = [probe["httpGet"] for name, probe in container.items() if name.endswith("Probe")]
    assert len(probes) >= 2
    assert all(probe["port"] == "http" and probe["path"] in {"/health/live", "/health/ready"} for probe in probes)


def test_pods_get_enough_time_to_stop(rendered: list[dict[str, Any]]) -> None:
    settings = Settings(_env_file=None)
    worker, web = pod(rendered, "worker"), pod(rendered, "web")
    assert worker["terminationGracePeriodSeconds"] >= settings.drain_timeout + 10
    hook = int(web["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][-1])
    answers = math.ceil(settings.publish_timeout) + 7
    assert web["terminationGracePeriodSeconds"] >= hook + answers + settings.drain_timeout + 3
