"""What alerts, dashboards and scalers ask Prometheus for exists, with these labels."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.deploy.deployed import DEPLOY, ROOT, documents, grouping_of, labels_of, metrics_of
from tests.unit.test_docs_names import anchors

from threadmill.metrics.definitions import FLEET, WORKER, Kind

METRICS = {**FLEET, **WORKER}

#: Labels that Prometheus adds to every series.
OF_TARGETS = {"instance", "job"}

#: What the client library of Prometheus says of a process.
OF_PROCESSES = {"process_resident_memory_bytes"}

PROMETHEUS = DEPLOY / "prometheus"
ALERTS = [rule for group in documents(PROMETHEUS / "alerts.yml")[0]["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((DEPLOY / "grafana" / "threadmill.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """Each query with where it is."""
    for rule in ALERTS:
        yield rule["alert"], rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for trigger in documents(DEPLOY / "keda" / "prometheus.yaml")[0]["spec"]["triggers"]:
        yield "keda", trigger["metadata"]["query"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]


QUERIES = list(queries())
IDS = [f"{where}-{number}" for number, (where, _) in enumerate(QUERIES)]


def definition(name: str) -> Any:
    """The metric of a series, which has a suffix if it is a histogram."""
    found = METRICS.get(name) or METRICS.get(re.sub(r"_(bucket|sum|count)$", "", name))
    assert found, f"there is no metric {name}"
    assert (found.kind is Kind.HISTOGRAM) == (name != found.name), f"{name}: not a series of a {found.kind}"
    return found


@pytest.mark.parametrize(("where", "query"), QUERIES, ids=IDS)
def test_a_query_names_metrics_and_labels_that_exist(where, query):
    names = metrics_of(query) - OF_PROCESSES
    assert names or metrics_of(query), where
    labels = {label for name in names for label in definition(name).labels} | OF_TARGETS | {"le"}
    assert grouping_of(query) <= labels
    for name, label in labels_of(query):
        assert label in {*definition(name).labels, *OF_TARGETS}, f"{name} has no label {label}"


@pytest.mark.parametrize(("where", "query"), QUERIES, ids=IDS)
def test_numbers_of_the_fleet_are_not_added_up(where, query):
    """Each gateway serves them, so a sum would count every job once for each gateway."""
    if where == "endpoint":
        return
    for name in metrics_of(query) & FLEET.keys():
        for found in re.finditer(rf"\b{name}\b", query):
            before = query[: found.start()]
            wanted = r"(max( by \([\w, ]+\))? \(?|max\(|absent\(|max\((rate|delta)\()$"
            assert re.search(wanted, before), f"{where}: {name} without max()"


def test_every_metric_of_the_fleet_and_of_workers_is_on_the_dashboard():
    shown = {name for panel in PANELS for target in panel["targets"] for name in metrics_of(target["expr"])}
    assert {definition(name).name for name in shown - OF_PROCESSES} == METRICS.keys()


def test_the_dashboard_is_whole():
    assert DASHBOARD["uid"] == "threadmill"
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, f"{panel['title']} is on top of another panel"
        assert at["x"] + at["w"] <= 24
        taken |= cells
    for panel in PANELS:
        assert panel["description"], panel["title"]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do(rule):
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert not rule["annotations"]["summary"].endswith(".")
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert anchor in anchors((ROOT / page).read_text("utf-8")), rule["annotations"]["runbook"]


def test_each_alert_has_a_test():
    tested = {case["name"] for case in documents(PROMETHEUS / "alerts_test.yml")[0]["tests"]}
    assert {rule["alert"] for rule in ALERTS} | {"a quiet night has no alert"} == tested
