"""deploy/keda: what KEDA's scalers are asked, against threadmill's keys and the workers of deploy/kubernetes."""

import re

import pytest
from tests.unit.deploy.deployed import DEPLOY, documents, of_kind

from threadmill import JobState
from threadmill.settings.settings import Settings
from threadmill.store.keys import Keys

KEDA = DEPLOY / "keda"
SCALERS = ("redis", "prometheus")

#: Fields of a ScaledObject and of a trigger, as KEDA 2.17 defines them.
FIELDS = {
    "scaleTargetRef",
    "minReplicaCount",
    "maxReplicaCount",
    "pollingInterval",
    "fallback",
    "advanced",
    "triggers",
}
TRIGGER_FIELDS = {"type", "name", "metadata", "authenticationRef"}
METADATA = {
    "redis": {"listName", "listLength", "databaseIndex"},
    "prometheus": {"serverAddress", "query", "threshold", "ignoreNullValues"},
}

KEYS = Keys(Settings().key_prefix)
COUNTED = {
    "queued": KEYS.jobs(JobState.QUEUED),
    "running": KEYS.jobs(JobState.RUNNING),
    "delayed": KEYS.delayed,
    "in_lanes": KEYS.lane_deadlines,
}


def scaled_object(scaler):
    [found] = [made for made in documents(KEDA / f"{scaler}.yaml") if made["kind"] == "ScaledObject"]
    return found["spec"]


def slots_of_a_worker():
    [container] = of_kind("Deployment")["threadmill-worker"]["spec"]["template"]["spec"]["containers"]
    args = container["args"]
    assert "--processes" not in args
    return args[args.index("--concurrency") + 1]


@pytest.mark.parametrize("scaler", SCALERS)
def test_a_scaled_object_has_fields_that_keda_knows(scaler):
    spec = scaled_object(scaler)
    assert set(spec) <= FIELDS
    for trigger in spec["triggers"]:
        assert set(trigger) <= TRIGGER_FIELDS
        assert set(trigger["metadata"]) <= METADATA[trigger["type"]]
        assert all(isinstance(value, str) for value in trigger["metadata"].values()), "KEDA takes text only"


@pytest.mark.parametrize("scaler", SCALERS)
def test_it_scales_the_workers_and_keeps_one(scaler):
    spec = scaled_object(scaler)
    assert spec["scaleTargetRef"]["name"] in of_kind("Deployment")
    assert 1 <= spec["minReplicaCount"] < spec["maxReplicaCount"]


def test_the_target_is_the_number_of_slots():
    modifiers = scaled_object("redis")["advanced"]["scalingModifiers"]
    assert (modifiers["target"], modifiers["metricType"]) == (slots_of_a_worker(), "AverageValue")
    [trigger] = scaled_object("prometheus")["triggers"]
    assert trigger["metadata"]["threshold"] == slots_of_a_worker()


def test_the_formula_counts_sorted_sets_of_threadmill():
    spec = scaled_object("redis")
    assert {trigger["name"]: trigger["metadata"]["listName"] for trigger in spec["triggers"]} == COUNTED
    formula = spec["advanced"]["scalingModifiers"]["formula"]
    assert set(re.findall(r"[a-z_]+", formula)) - {"max"} == COUNTED.keys()


def test_its_triggers_sign_in():
    [signs_in] = [made for made in documents(KEDA / "redis.yaml") if made["kind"] == "TriggerAuthentication"]
    assert {each["parameter"] for each in signs_in["spec"]["secretTargetRef"]} == {"address", "password"}
    for trigger in scaled_object("redis")["triggers"]:
        assert trigger["authenticationRef"]["name"] == signs_in["metadata"]["name"]


def test_the_number_of_workers_is_left_to_keda():
    kustomization = documents(KEDA / "kustomization.yaml")[0]
    chosen = set(kustomization["resources"]) & {f"{scaler}.yaml" for scaler in SCALERS}
    assert len(chosen) == 1
    [patch] = kustomization["patches"]
    assert patch["target"] == {"kind": "Deployment", "name": "threadmill-worker"}
    assert "path: /spec/replicas" in patch["patch"]
