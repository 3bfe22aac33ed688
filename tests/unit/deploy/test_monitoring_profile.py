"""The profile `monitoring` of docker-compose.yml: Prometheus finds the services, and Grafana the dashboard."""

import shlex
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import yaml
from tests.unit.deploy.deployed import DEPLOY, ROOT, documents, options_unknown_to

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
PROVISIONING = DEPLOY / "grafana" / "provisioning"
JOBS = documents(DEPLOY / "prometheus" / "prometheus.yml")[0]["scrape_configs"]

#: The option that opens the port which Prometheus reads.
PORT_OPTIONS = {"worker": "--metrics-port", "gateway": "--port"}


def mounted(service):
    """Files and folders of the repository, by their path in the container."""
    pairs = (volume.split(":")[:2] for volume in SERVICES[service]["volumes"] if volume.startswith("./"))
    return {target: source for source, target in pairs}


def test_prometheus_finds_the_services_on_their_ports():
    for job in JOBS:
        [found] = job["dns_sd_configs"]
        [service] = found["names"]
        arguments = shlex.split(SERVICES[service]["command"])
        assert not options_unknown_to(arguments)
        assert found["port"] == int(arguments[arguments.index(PORT_OPTIONS[service]) + 1])


def test_prometheus_finds_its_files():
    configuration = documents(DEPLOY / "prometheus" / "prometheus.yml")[0]
    assert mounted("prometheus") == {
        f"/etc/prometheus/{name}": f"./deploy/prometheus/{name}"
        for name in ("prometheus.yml", *configuration["rule_files"])
    }
    keys = {job["authorization"]["credentials_file"] for job in JOBS if "authorization" in job}
    assert keys == {f"/run/secrets/{name}" for name in SERVICES["prometheus"]["secrets"]}
    assert set(SERVICES["prometheus"]["secrets"]) <= COMPOSE["secrets"].keys()


def test_grafana_finds_prometheus_and_the_dashboard():
    [source] = documents(PROVISIONING / "datasources" / "prometheus.yml")[0]["datasources"]
    assert urlsplit(source["url"]).hostname in SERVICES
    [provider] = documents(PROVISIONING / "dashboards" / "threadmill.yml")[0]["providers"]
    dashboards = [PurePosixPath(path) for path in mounted("grafana") if path.endswith(".json")]
    assert {str(path.parent) for path in dashboards} == {provider["options"]["path"]}
    for source_path in mounted("grafana").values():
        assert (ROOT / source_path).exists()


def test_it_is_reached_from_this_machine_only():
    for service in ("prometheus", "grafana"):
        assert SERVICES[service]["profiles"] == ["monitoring"]
        assert all(port.startswith("127.0.0.1:") for port in SERVICES[service]["ports"])
