"""deploy/kubernetes: valid for Kubernetes, and true of the program, its settings and its image."""

import re
import tomllib

import kubernetes_validate
import pytest
from tests.unit.deploy.deployed import KUBERNETES, ROOT, documents, manifests, of_kind, options_unknown_to

from threadmill.settings.settings import Settings

#: The oldest and the newest release of Kubernetes whose schemas are checked.
RELEASES = ("1.29", "1.33")

#: Seconds that a process may take to end after SIGTERM, beside what a preStop hook takes.
STOPS_WITHIN_S = 15

DEPLOYMENTS = of_kind("Deployment")


def named(made):
    return f"{made['kind']} {made['metadata']['name']}"


def pod_of(deployment):
    return deployment["spec"]["template"]["spec"]


def container_of(deployment):
    [container] = pod_of(deployment)["containers"]
    return container


def ports_of(deployment):
    return {port["name"]: port["containerPort"] for port in container_of(deployment).get("ports", [])}


def selected_by(selector):
    """The names of the Deployments whose pods have all labels of a selector."""
    return {
        name
        for name, made in DEPLOYMENTS.items()
        if selector["matchLabels"].items() <= made["spec"]["template"]["metadata"]["labels"].items()
    }


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("made", [*manifests(), *documents(KUBERNETES / "secrets.example.yaml")], ids=named)
def test_a_manifest_is_valid(made, release):
    kubernetes_validate.validate(made, release, strict=True)


def test_every_file_is_in_use():
    kustomization = documents(KUBERNETES / "kustomization.yaml")[0]
    used = {*kustomization["resources"], *(patch["path"] for patch in kustomization["patches"])}
    used |= {"kustomization.yaml", "secrets.example.yaml"}
    assert {file.name for file in KUBERNETES.glob("*.yaml")} == used


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_its_command_has_these_options(name):
    container = container_of(DEPLOYMENTS[name])
    assert "command" not in container, "the image's ENTRYPOINT is threadmill"
    assert not options_unknown_to(container["args"])


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_its_image_is_that_of_this_version(name):
    assert container_of(DEPLOYMENTS[name])["image"] == "threadmill"
    [image] = documents(KUBERNETES / "kustomization.yaml")[0]["images"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (image["name"], image["newTag"]) == ("threadmill", version)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_its_ports_are_those_of_its_options(name):
    container, ports = container_of(DEPLOYMENTS[name]), ports_of(DEPLOYMENTS[name])
    args = container["args"]
    listened = {int(args[n + 1]) for n, word in enumerate(args) if word.endswith("-port") or word == "--port"}
    assert set(ports.values()) == listened
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe in container:
            assert container[probe]["httpGet"]["port"] in ports
    annotations = DEPLOYMENTS[name]["spec"]["template"]["metadata"].get("annotations", {})
    assert {int(value) for key, value in annotations.items() if key.endswith("/port")} <= listened


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_it_has_time_to_stop(name):
    pod, container = pod_of(DEPLOYMENTS[name]), container_of(DEPLOYMENTS[name])
    command = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
    assert pod["terminationGracePeriodSeconds"] >= int(command[1]) + STOPS_WITHIN_S


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_its_volumes_are_there(name):
    pod, container = pod_of(DEPLOYMENTS[name]), container_of(DEPLOYMENTS[name])
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    assert volumes["files"]["persistentVolumeClaim"]["claimName"] in of_kind("PersistentVolumeClaim")
    [generated] = documents(KUBERNETES / "kustomization.yaml")[0]["configMapGenerator"]
    assert volumes["settings"]["configMap"]["name"] == generated["name"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    config = {variable["name"]: variable["value"] for variable in container["env"]}["THREADMILL_CONFIG"]
    assert config in {f"{mounts['settings']}/{file.rpartition('/')[2]}" for file in generated["files"]}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_its_secrets_are_in_the_template(name):
    secrets = {made["metadata"]["name"] for made in documents(KUBERNETES / "secrets.example.yaml")}
    assert {source["secretRef"]["name"] for source in container_of(DEPLOYMENTS[name])["envFrom"]} <= secrets


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_it_runs_as_the_user_of_the_image(name):
    assert re.search(r"useradd (?!.*(--uid|-u) )", (ROOT / "Dockerfile").read_text()), "the first user gets 1000"
    assert pod_of(DEPLOYMENTS[name])["securityContext"]["runAsUser"] == 1000


def test_the_template_of_secrets_is_not_applied():
    assert not of_kind("Secret")


def test_the_settings_are_valid_and_name_the_volume_and_the_secret():
    settings = Settings.model_validate(tomllib.loads((KUBERNETES / "settings" / "threadmill.toml").read_text()))
    mounts = {
        mount["name"]: mount["mountPath"] for mount in container_of(DEPLOYMENTS["threadmill-worker"])["volumeMounts"]
    }
    assert str(settings.artifacts).startswith(mounts["files"])
    assert str(settings.reports).startswith(mounts["files"])
    values = {made["metadata"]["name"]: made["stringData"] for made in documents(KUBERNETES / "secrets.example.yaml")}
    assert settings.endpoints["davinci"].api_key_env in values["threadmill-keys"]


def test_selectors_select():
    for made in DEPLOYMENTS.values():
        assert selected_by(made["spec"]["selector"]) == {made["metadata"]["name"]}
    for name, service in of_kind("Service").items():
        assert selected_by({"matchLabels": service["spec"]["selector"]}) == {name}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(ports_of(DEPLOYMENTS[name]))
    for name, budget in of_kind("PodDisruptionBudget").items():
        assert selected_by(budget["spec"]["selector"]) == {name}
        assert DEPLOYMENTS[name]["spec"]["replicas"] > 1, "else the budget never lets a node drain"


def test_the_network_policies_cover_every_pod_and_open_its_ports_only():
    policies = of_kind("NetworkPolicy")
    assert selected_by(policies["threadmill"]["spec"]["podSelector"]) == set(DEPLOYMENTS)
    assert set(policies["threadmill"]["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    for name, made in DEPLOYMENTS.items():
        opened = {port["port"] for rule in policies[name]["spec"].get("ingress", []) for port in rule["ports"]}
        assert opened == set(ports_of(made).values())
