"""The Helm chart: its values by its schema, its templates rendered, and the outcome by the schemas of Kubernetes.

There is no cluster and no `helm` here: real Go templates with Helm's functions render it, all but `include` and `tpl`.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

from compressor.service.auth import new_key
from compressor.service.settings_sources import load
from support.client_programs import need_program
from support.paths import ROOT

pytestmark = pytest.mark.slow
CHART = ROOT / "deploy" / "helm" / "agentic-compressor"
TEMPLATES = sorted(path.name for path in (CHART / "templates").glob("*.yaml"))
RELEASE = {"Name": "acr", "Namespace": "agents", "Service": "Helm"}
SECRETS = {
    "apiKeys": {"name": "keys", "key": "k"},
    "encryptionKeys": {"name": "enc", "key": "k"},
    "redisPassword": {"name": "pw", "key": "k"},
    "providerKeys": {"name": "prov"},
}
ALL: dict[str, Any] = {
    "secrets": SECRETS,
    "config": {"upstream": "https://x/v1", "tenants": {"a": {"budget": "50%"}}, "policy": {"preset": "frugal"}},
    "autoscaling": {"enabled": True, "minReplicas": 3, "maxReplicas": 9, "requestsInFlight": 10, "cpu": 60},
    "serviceMonitor": {"enabled": True, "interval": "30s", "labels": {"release": "prometheus"}},
    "networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {"matchLabels": {"team": "agents"}}}]},
    "env": [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://otel:4318"}],
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "podAnnotations": {"a": "b"},
    "imagePullSecrets": [{"name": "registry"}],
    "affinity": {"nodeAffinity": {}},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "all": ALL,
    "one": {"replicas": 1, "workers": 1, "podDisruptionBudget": {"enabled": False}},
}


def values(**changes: Any) -> dict[str, Any]:
    made = yaml.safe_load((CHART / "values.yaml").read_text())
    for name, value in changes.items():
        made[name] = {**made[name], **value} if isinstance(value, dict) and name != "config" else value
    assert isinstance(made, dict)
    return made


def check(given: dict[str, Any]) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.Draft7Validator(schema).validate(given)


def render(folder: Path, given: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects that an installation creates."""
    (folder / "values.json").write_text(json.dumps({"Values": given, "Release": RELEASE}))
    script = ROOT / "tests" / "support" / "render_chart.py"
    objects = []
    for name in [*TEMPLATES, "NOTES.txt"]:
        command = [need_program("python"), str(script), str(CHART / "templates" / name), str(folder / "values.json")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "template failed" not in done.stdout + done.stderr, (name, done.stderr)
        if name.endswith(".yaml"):
            objects += [one for one in yaml.safe_load_all(done.stdout) if one]
    return objects


def one_of(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [one for one in objects if one["kind"] == kind]
    return found


@pytest.mark.parametrize("variant", VARIANTS)
def test_kubernetes_takes_what_the_chart_makes(tmp_path: Path, variant: str) -> None:
    given = values(**VARIANTS[variant])
    check(given)
    objects = render(tmp_path, given)
    built_in = [one for one in objects if one["kind"] != "ServiceMonitor"]  # whose schema its operator brings
    for number, one in enumerate(built_in):
        path = tmp_path / f"{number}.yaml"
        path.write_text(yaml.safe_dump(one))
        done = subprocess.run(
            [need_program("kubernetes-validate"), "--strict", "-k", "1.31", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (one["kind"], done.stdout, done.stderr)
    assert len({(one["kind"], one["metadata"]["name"]) for one in objects}) == len(objects)


def test_everything_is_there_if_asked_for(tmp_path: Path) -> None:
    kinds = {"ConfigMap", "Deployment", "Service", "PodDisruptionBudget"}
    assert {one["kind"] for one in render(tmp_path, values())} == kinds
    more = {"HorizontalPodAutoscaler", "ServiceMonitor", "NetworkPolicy"}
    assert {one["kind"] for one in render(tmp_path, values(**ALL))} == kinds | more


def test_labels_and_ports_meet(tmp_path: Path) -> None:
    objects = render(tmp_path, values(**ALL))
    pod = one_of(objects, "Deployment")["spec"]["template"]
    labels, ports = pod["metadata"]["labels"], {p["name"] for p in pod["spec"]["containers"][0]["ports"]}
    services = [one for one in objects if one["kind"] == "Service"]
    for service in services:
        assert service["spec"]["selector"].items() <= labels.items()
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    monitor = one_of(objects, "ServiceMonitor")["spec"]
    (watched,) = [
        one for one in services if monitor["selector"]["matchLabels"].items() <= one["metadata"]["labels"].items()
    ]
    assert monitor["endpoints"][0]["port"] in {port["name"] for port in watched["spec"]["ports"]}
    for kind, path in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        assert one_of(objects, kind)["spec"][path]["matchLabels"].items() <= labels.items()


def test_a_pod_is_confined_and_has_time_to_end(tmp_path: Path) -> None:
    pod = one_of(render(tmp_path, values(shutdown={"delay": 7, "timeout": 50})), "Deployment")["spec"]["template"][
        "spec"
    ]
    own = pod["containers"][0]["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] and own["readOnlyRootFilesystem"]
    assert own["capabilities"] == {"drop": ["ALL"]} and not own["allowPrivilegeEscalation"]
    assert pod["terminationGracePeriodSeconds"] > 7 + 50 + 10
    probes = [pod["containers"][0][f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")]
    assert {probe["port"] for probe in probes} == {"probes"} and "httpHeaders" not in json.dumps(probes)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_service_takes_the_settings_of_a_pod(tmp_path: Path, variant: str) -> None:
    objects = render(tmp_path, values(**VARIANTS[variant]))
    container = one_of(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    env = {one["name"]: one["value"] for one in container["env"] if one["name"].startswith("COMPRESSOR_")}
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    for name, value in env.items():
        if name.endswith("_FILE") or name == "COMPRESSOR_CONFIG":
            assert str(Path(value).parent) in mounts
    from compressor.storage.wrappers.encryption_keys import new_encryption_key

    (tmp_path / "config.json").write_text(one_of(objects, "ConfigMap")["data"]["config.json"])
    (tmp_path / "keys").write_text(new_key("search")[1].line())
    (tmp_path / "encryption").write_text(new_encryption_key())
    (tmp_path / "password").write_text("pw")
    files = {"COMPRESSOR_KEYS_FILE": "keys", "COMPRESSOR_ENCRYPTION_KEYS_FILE": "encryption"}
    files |= {"COMPRESSOR_REDIS_PASSWORD_FILE": "password"}
    env = {name: str(tmp_path / files[name]) if name in files else value for name, value in env.items()}
    config = env.pop("COMPRESSOR_CONFIG")
    assert config == "/etc/compressor/config.json"
    settings = load(str(tmp_path / "config.json"), {**env, "COMPRESSOR_HOST": "0.0.0.0"}, {"workers": 2})
    assert settings.upstream and settings.keys and settings.shutdown_delay == 5
    assert (settings.encryption_keys is None) == (variant != "all")


@pytest.mark.parametrize(
    "wrong",
    [
        {"replicas": 0},
        {"workers": "two"},
        {"replica": 2},
        {"config": {"port": 80}},
        {"config": {"keys": "ck_secret"}},
        {"secrets": {"apiKeys": {"name": "", "key": "k"}}},
        {"redis": {"url": "http://redis"}},
        {"redis": {"url": "redis://user:password@redis"}},
        {"serviceMonitor": {"interval": "often"}},
        {"autoscaling": {"cpu": 120}},
    ],
    ids=str,
)
def test_wrong_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        check(values(**wrong))


def test_a_missing_value_is_an_error_and_no_gap(tmp_path: Path) -> None:
    """The renderer tells a test that can fail: a template that names no value fails."""
    given = values()
    del given["redis"]
    with pytest.raises(AssertionError):
        render(tmp_path, given)
