"""Alerts and queries, as Prometheus reads them. Collected where there is a promtool, of Debian's package prometheus."""

import json
import subprocess

from tests.unit.deploy.test_metrics_in_use import PROMETHEUS, QUERIES


def promtool(*arguments, folder):
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_accepts_its_configuration_and_the_alerts_fire():
    promtool("check", "config", "--syntax-only", "prometheus.yml", folder=PROMETHEUS)
    promtool("check", "rules", "alerts.yml", folder=PROMETHEUS)
    promtool("test", "rules", "alerts_test.yml", folder=PROMETHEUS)


def test_prometheus_understands_every_query(tmp_path):
    asked = [query.replace("$__rate_interval", "5m") for where, query in QUERIES if where != "endpoint"]
    rules = [{"record": f"asked:{number}", "expr": query} for number, query in enumerate(asked)]
    (tmp_path / "asked.yml").write_text(json.dumps({"groups": [{"name": "asked", "rules": rules}]}))
    promtool("check", "rules", "asked.yml", folder=tmp_path)
