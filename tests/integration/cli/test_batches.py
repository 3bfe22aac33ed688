"""The commands on batches, each in a process of its own, with a real worker on the other side."""

import json

import pytest

from threadmill import Client
from threadmill.settings.prices import cost

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def settings(emulate, make_settings, start_worker_for_all):
    with emulate() as emulator:
        made = make_settings(
            emulator.base_url, {"max_reruns": 0}, prices={"emulator-1": {"prompt": 2, "completion": 4}}
        )
        start_worker_for_all(made)
        yield made


@pytest.fixture(scope="module")
def batch(settings):
    """Two jobs that succeeded, one that failed."""
    prompts = ("Well?", "So?", "[[scenario=failed]] Why?")
    client = Client(settings)
    for handle in client.enqueue_many([{"prompt": prompt, "batch": "autumn"} for prompt in prompts]):
        handle.wait(20)
    return client.batch("autumn")


@pytest.fixture
def cli(run_cli, settings, settings_as_environment, batch):
    variables = settings_as_environment(settings)
    return lambda *arguments, **more: run_cli(*arguments, **variables | more)


UNPRICED = {"THREADMILL_PRICES": "{}"}


def test_batch_status_tells_how_it_stands_and_what_it_costs(cli, batch, settings):
    shown = cli("batch", "show", "autumn")
    assert shown.returncode == 0, shown.stderr
    lines = dict(line.split(maxsplit=1) for line in shown.stdout.splitlines())

    assert (lines["batch"], lines["jobs"]) == ("autumn", "3: 2 succeeded, 1 failed")
    assert lines["failures"] == "1 server_error"
    assert lines["tokens"].startswith(f"{batch.usage.total_tokens:,}: ")
    assert lines["cost"] == str(cost(batch.usage_by_model, settings.prices))
    assert lines["cost"].endswith(" USD")
    assert "documents" not in lines, "nobody said how many there are"


def test_without_a_price_the_model_is_named(cli):
    assert 'no price for emulator-1: add [prices."emulator-1"]' in cli("batch", "show", "autumn", **UNPRICED).stdout
    told = json.loads(cli("batch", "show", "autumn", "--json", **UNPRICED).stdout)
    assert told["cost"] == {"amount": None, "currency": "USD", "unpriced": ["emulator-1"], "unreported": 0}


def test_batch_status_for_programs(cli, batch, settings):
    told = json.loads(cli("batch", "show", "autumn", "--json").stdout)

    assert (told["name"], told["total"], told["jobs"]["failed"]) == ("autumn", 3, 1)
    assert told["failures"] == {"server_error": 1}
    assert told["usage"] == batch.usage.model_dump()
    assert told["usage_by_model"] == [{"model": "emulator-1", "lane": None, "usage": told["usage"]}]
    assert (told["cost"]["currency"], told["cost"]["unpriced"]) == ("USD", [])
    assert told["cost"]["amount"] == cost(batch.usage_by_model, settings.prices).amount > 0


def test_batches_lists_each_with_its_jobs_and_its_cost(cli, batch):
    listed = cli("batch", "list").stdout
    assert listed.startswith("autumn  ")
    assert "  3 jobs: 2 succeeded, 1 failed · " in listed
    assert f" · {batch.usage.total_tokens:,} tokens, 0." in listed
    assert "cost" not in cli("batch", "list", **UNPRICED).stdout
    [told] = json.loads(cli("batch", "list", "--json").stdout)
    shown = json.loads(cli("batch", "show", "autumn", "--json").stdout)
    stats = shown.pop("stats")
    assert told == shown
    assert sum(jobs for *_, jobs in stats["durations"]) == 3


def test_the_limit_of_a_batch_is_set_shown_and_removed(cli):
    assert cli("batch", "limit", "autumn", "20").stderr == "autumn runs at most 20 jobs at a time\n"
    assert "at a time    at most 20\n" in cli("batch", "show", "autumn").stdout
    assert json.loads(cli("batch", "show", "autumn", "--json").stdout)["concurrent"] == 20
    assert cli("batch", "limit", "autumn", "none").stderr == "autumn has no limit of its own\n"
    assert "at a time" not in cli("batch", "show", "autumn").stdout
    assert cli("batch", "limit", "winter", "20").stderr.startswith("threadmill: there is no batch 'winter'")


def test_a_batch_that_is_not_there_is_said_so(cli):
    done = cli("batch", "show", "winter")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "threadmill: there is no batch 'winter', or it is no longer kept; `threadmill batch list`"
    )
    assert done.stderr.count("\n") == 1
