"""The chart for Kubernetes: what helm makes of it is what Kubernetes takes, and one datasite that lets nothing out."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from support.chart_tools import FOLDER, HELM, KUBERNETES, PROJECT

from datasites import first_settings
from datasites.config import DatasiteConfig
from datasites.pysyft_database.postgresql import PASSWORD_FILE
from policies import __version__

PAGE = PROJECT / "docs" / "how-to-run-in-kubernetes.md"
CHART = PROJECT / "datasites" / "deployment" / "chart"
GIVEN: dict[str, Any] = {
    "name": "hospital_d",
    "publicNames": ["datasite.hospital.org"],
    "researchersFrom": ["192.0.2.0/24"],
    "pictures": {"claim": "pictures"},
}
POSTGRESQL = {
    "address": "postgresql://wanwu@db.hospital.org:5432/hospital_d",
    "authority": "authority.pem",
    "password": "word",
}
FULL: dict[str, Any] = GIVEN | {
    "postgresql": POSTGRESQL,
    "researchers": ["researcher@university.org"],
    "secrets": {"existing": "wanwu"},
    "image": {"digest": "sha256:" + "0" * 64, "pullSecrets": ["registry"]},
    "gpus": 2,
    "runtimeClassName": "divisible",
    "state": {"storageClass": "local"},
    "egress": [{"to": [{"ipBlock": {"cidr": "192.0.2.9/32"}}], "ports": [{"port": 587}]}],
    "nodeSelector": {"site": "cellar"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "service": {"type": "ClusterIP", "annotations": {"a": "b"}},
    "settings": "runs_per_gpu = 1\n[dataset]\ndata_path = '/pictures'\n[limits]\nmax_study_epsilon = 1.0\n",
}
_helm = str(HELM) if HELM.exists() else shutil.which("helm")
needs_helm = pytest.mark.skipif(_helm is None, reason="helm is not here: make chart-tools")


def _rendered(values: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    command = [str(_helm), "template", "site", str(CHART), "--values", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _objects(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    done = _rendered(values, folder)
    assert done.returncode == 0, done.stderr
    return {one["kind"]: one for one in yaml.safe_load_all(done.stdout) if one}


@needs_helm
@pytest.mark.parametrize(
    ("values", "version"),
    [(FULL, KUBERNETES[0]), (FULL, KUBERNETES[1]), (GIVEN | {"state": {"claim": "kept"}}, KUBERNETES[1])],
    ids=["oldest", "newest", "least"],
)
def test_kubernetes_schemas_know_every_field_of_what_helm_makes(
    values: dict[str, Any], version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not FOLDER.exists():
        pytest.skip("the schemas are not here: make chart-tools")
    monkeypatch.syspath_prepend(str(FOLDER))
    validate = importlib.import_module("kubernetes_validate").validate
    objects = _objects(values, tmp_path)
    assert sorted(objects) == ["ConfigMap", "NetworkPolicy", "Service", "StatefulSet"]
    for one in objects.values():
        validate(one, version, strict=True)


@needs_helm
def test_helm_finds_no_fault_in_the_chart(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(FULL))
    done = subprocess.run([str(_helm), "lint", "--strict", str(CHART), "-f", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@needs_helm
def test_one_pod_runs_with_nothing_of_the_machine_and_one_port(tmp_path: Path) -> None:
    made = _objects(FULL, tmp_path)
    pod = made["StatefulSet"]["spec"]["template"]["spec"]
    assert made["StatefulSet"]["spec"]["replicas"] == 1
    assert "replicas" not in (CHART / "values.yaml").read_text()
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "Localhost", "localhostProfile": "wanwu/datasite.json"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    for container in (*pod["initContainers"], *pod["containers"]):
        allowed = container["securityContext"]
        assert (allowed["readOnlyRootFilesystem"], allowed["allowPrivilegeEscalation"]) == (True, False)
        assert allowed["capabilities"] == {"drop": ["ALL"]}
        assert {one["name"] for one in container["volumeMounts"] if not one.get("readOnly")} == {"state", "scratch"}
    (datasite,) = pod["containers"]
    assert datasite["ports"] == [{"name": "researchers", "containerPort": 8081}]
    assert datasite["resources"]["limits"]["nvidia.com/gpu"] == 2


@needs_helm
def test_researchers_networks_come_in_by_one_port_and_nothing_goes_out(tmp_path: Path) -> None:
    policy = _objects(GIVEN, tmp_path)["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    (rule,) = policy["ingress"]
    assert rule["from"] == [{"ipBlock": {"cidr": "192.0.2.0/24"}}]
    assert rule["ports"] == [{"port": "researchers", "protocol": "TCP"}]
    assert policy["egress"] == []


@needs_helm
def test_the_settings_are_settings_of_a_datasite(tmp_path: Path) -> None:
    made = _objects(FULL, tmp_path)
    file = tmp_path / "settings.toml"
    file.write_text('name = "hospital_d"\n' + made["ConfigMap"]["data"]["settings.toml"])
    config = DatasiteConfig.from_toml(file)
    assert (config.port, config.public_names) == (first_settings.PORT.default, ("datasite.hospital.org",))
    assert config.console_host == "127.0.0.1" and str(config.console_port) in str(made["StatefulSet"])
    assert config.limits.max_study_epsilon == 1.0
    assert config.require_sandbox
    assert (config.pysyft_database, config.pysyft_database_authority) == (
        POSTGRESQL["address"],
        "/run/secrets/wanwu/authority.pem",
    )


def _environment(told: dict[str, str], state: Path, secret: Path) -> dict[str, str]:
    """Of the first container, with the folders of this machine."""
    programs = f"{Path(sys.executable).parent}:{os.defpath}"
    return told | {"PATH": programs, "STATE": str(state), "PASSWORD": str(secret)}


@needs_helm
@pytest.mark.parametrize(
    "kept", ["", "pysyft_database = ''", "pysyft_database = 'postgresql://wanwu@other/hospital_d'"]
)
def test_a_postgresql_that_the_settings_do_not_name_starts_no_pod_and_gets_no_password(
    kept: str, tmp_path: Path
) -> None:
    (first,) = _objects(FULL, tmp_path)["StatefulSet"]["spec"]["template"]["spec"]["initContainers"]
    secret, state = tmp_path / "word", tmp_path / "state"
    state.mkdir()
    secret.write_text("one\n")
    (state / "config.toml").write_text(f"name = 'hospital_d'\n{kept}\n")
    told = {one["name"]: one["value"] for one in first["env"]}
    done = subprocess.run(first["command"], env=_environment(told, state, secret), capture_output=True, text=True)
    assert done.returncode != 0 and [one.name for one in state.iterdir()] == ["config.toml"]
    for part in (POSTGRESQL["address"], "config.toml", "No password was copied", "upgrade again"):
        assert part in done.stderr


@needs_helm
def test_the_password_of_postgresql_is_the_datasites_alone_and_a_new_one_counts_at_the_next_start(
    tmp_path: Path,
) -> None:
    (first,) = _objects(FULL, tmp_path)["StatefulSet"]["spec"]["template"]["spec"]["initContainers"]
    secret, state = tmp_path / "word", tmp_path / "state"
    (state / "identity").mkdir(parents=True)
    # It was described at an earlier start.
    (state / "config.toml").write_text(f"name = 'hospital_d'\npysyft_database = '{POSTGRESQL['address']}'\n[limits]\n")
    told = {one["name"]: one["value"] for one in first["env"]}
    assert told["PASSWORD"] == "/run/secrets/wanwu/word"
    for password in ("one\n", "another\n"):
        secret.write_text(password)
        secret.chmod(0o440)
        subprocess.run(first["command"], env=_environment(told, state, secret), check=True)
        (kept,) = (state / "identity").iterdir()
        assert (kept.name, kept.read_text(), kept.stat().st_mode & 0o777) == (PASSWORD_FILE, password, 0o600)
    (plain,) = _objects(GIVEN, tmp_path)["StatefulSet"]["spec"]["template"]["spec"]["initContainers"]
    assert "password" not in str(plain).lower()


@needs_helm
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"egress": []}, "egress"),
        ({"secrets": {"existing": ""}}, "secrets.existing"),
        ({"postgresql": POSTGRESQL | {"password": ""}}, "postgresql.password"),
        ({"postgresql": POSTGRESQL | {"password": ".."}}, "password"),
        ({"postgresql": POSTGRESQL | {"authority": "..data"}}, "authority"),
        ({"postgresql": POSTGRESQL | {"authority": "."}}, "authority"),
        ({"postgresql": POSTGRESQL | {"address": "postgresql://wanwu:word@db.hospital.org/hospital_d"}}, "address"),
    ],
    ids=[
        "no way out",
        "no secret",
        "no password",
        "the folder above",
        "kubelet's own name",
        "the folder",
        "a password in the address",
    ],
)
def test_a_database_that_could_not_be_reached_or_would_show_its_password_is_refused(
    change: dict[str, Any], told: str, tmp_path: Path
) -> None:
    done = _rendered(FULL | change, tmp_path)
    assert done.returncode != 0 and told in done.stderr


@needs_helm
@pytest.mark.parametrize(
    "change",
    [{"name": ""}, {"publicNames": []}, {"researchersFrom": []}, {"pictures": {"claim": ""}}, {"replicas": 2}],
    ids=lambda change: next(iter(change)),
)
def test_values_that_would_open_or_double_a_datasite_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    done = _rendered(GIVEN | change, tmp_path)
    assert done.returncode != 0
    assert next(iter(change)) in done.stderr


def _written(beginning: str) -> dict[str, Any]:
    """The page's block of YAML that begins so."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (found,) = [one for one in blocks if one.startswith(beginning)]
    return dict(yaml.safe_load(found))


@needs_helm
def test_the_page_s_upgrade_is_a_job_of_kubernetes_on_the_chart_s_own_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, values = _written("apiVersion: batch/v1"), _written("name: hospital_d")
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    served = _objects(values, tmp_path)["StatefulSet"]
    (claim,) = (one["metadata"]["name"] for one in served["spec"]["volumeClaimTemplates"])
    claims = {one["name"]: one.get("persistentVolumeClaim", {}).get("claimName") for one in pod["volumes"]}
    assert claims["state"] == f"{claim}-{served['metadata']['name']}-0"
    of_chart = served["spec"]["template"]["spec"]
    assert container["image"] == of_chart["containers"][0]["image"]
    assert {"runAsNonRoot", "runAsUser", "runAsGroup", "fsGroup"} <= pod["securityContext"].keys()
    assert pod["securityContext"].items() >= {"runAsUser": 10001, "fsGroup": 10001}.items()
    assert container["args"][-2:] == of_chart["containers"][0]["args"][-2:]
    if FOLDER.exists():
        monkeypatch.syspath_prepend(str(FOLDER))
        for version in KUBERNETES:
            importlib.import_module("kubernetes_validate").validate(job, version, strict=True)


def test_the_chart_is_of_this_version() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert about["appVersion"] == about["version"] == __version__
    assert about["kubeVersion"].startswith(f">={KUBERNETES[0]}.")
