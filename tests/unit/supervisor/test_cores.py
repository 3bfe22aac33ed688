"""The number of processes for `--processes auto`."""

import os

import pytest

from threadmill_worker.supervisor.cores import usable_cores


@pytest.fixture
def cores(tmp_path, monkeypatch):
    """The number of cores of a machine with eight, by the CPU quotas of the cgroups from the top down."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    def counted(*quotas, own="0::/docker/one\n"):
        folder = tmp_path / "cgroup"
        for name, quota in zip(("", "docker", "one"), quotas, strict=False):
            folder = folder / name
            folder.mkdir(parents=True, exist_ok=True)
            if quota is not None:
                (folder / "cpu.max").write_text(f"{quota} 100000\n")
        (tmp_path / "own").write_text(own)
        return usable_cores(tmp_path / "cgroup", tmp_path / "own")

    return counted


def test_without_a_quota_all_cores_of_the_affinity_count(cores):
    assert cores() == 8
    assert cores("max", "max", "max") == 8


@pytest.mark.parametrize(("quota", "count"), [(10_000, 1), (100_000, 1), (150_000, 2), (400_000, 4), (9_900_000, 8)])
def test_a_quota_limits_the_cores(cores, quota, count):
    assert cores(None, None, quota) == count


def test_the_smallest_quota_on_the_way_up_counts(cores):
    assert cores("max", 200_000, 600_000) == 2


def test_in_a_container_its_own_cgroup_is_the_topmost(cores):
    assert cores(300_000, own="0::/\n") == 3


def test_on_a_machine_without_cgroups_of_version_2_the_affinity_counts(cores, tmp_path):
    assert cores(own="3:cpuset:/\n1:cpu:/\n") == 8
    assert usable_cores(tmp_path / "nowhere", tmp_path / "nothing") == 8
