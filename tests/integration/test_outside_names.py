"""Names of batches, threads and remote things that would address something else are refused at each door."""

import asyncio

import pytest
from tests import shared
from typer.testing import CliRunner

from threadmill import InvalidJob
from threadmill.errors import BatchNotFound
from threadmill.store.keys import Keys
from threadmill.store.records.remote import LeftoverRecord
from threadmill_cli import app

pytestmark = pytest.mark.integration

emulator = shared.emulator

#: Each would be part of a key of batch `notes`, or of no key that can be.
BATCHES = ["notes:jobs", "notes:done", "notes:shared", "a/b", "", "x" * 201, "notes\n"]


@pytest.fixture
def cli(settings, settings_as_environment, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name, value in settings_as_environment(settings).items():
        monkeypatch.setenv(name, value)
    return lambda *arguments: CliRunner().invoke(app, arguments, prog_name="threadmill")


@pytest.mark.parametrize("name", BATCHES, ids=ascii)
def test_a_batch_has_no_name_that_would_address_another_key(client, cli, store, settings, name, tmp_path):
    client.enqueue({"prompt": "Why?", "batch": "notes"})
    before = sorted(store.scan_iter(f"{settings.key_prefix}*"))

    for call in (client.batch, client.pause, client.resume, client.cancel_batch, client.redrive_batch):
        with pytest.raises(BatchNotFound):
            call(name)
    for call in (client.jobs, client.unreadable_jobs):
        with pytest.raises(BatchNotFound):
            call(batch=name)
    with pytest.raises(InvalidJob, match="cannot be the name of a batch: a name has"):
        client.store.start_batch(name, 7, new_generation=True)

    shown = cli("batch", "show", name)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert shown.stderr.startswith("threadmill: there is no batch")
    (tmp_path / "note.txt").write_text("A note.")
    begun = cli("batch", "note.txt", "--prompt", "Sum up: {{ text }}", "--out", "out.jsonl", "--name", name)
    assert begun.exit_code == 2
    assert "cannot be the name of a batch" in " ".join(begun.stderr.split())
    assert sorted(store.scan_iter(f"{settings.key_prefix}*")) == before
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("thread", ["..", "a/b", "x?y", "../assistants/asst_1", ""], ids=ascii)
def test_a_thread_is_shown_by_an_id_that_leads_nowhere_else(cli, thread):
    shown = cli("threads", "show", "--endpoint", "emulator", "--", thread)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert "is not kept here" in shown.stderr


@pytest.mark.parametrize(("kind", "thing"), [("thread", ".."), ("thread", ""), ("file", ".."), ("gadget", "g-1")])
async def test_a_leftover_that_fits_no_url_holds_up_no_other(worker, store, settings, until, kind, thing):
    keys = Keys(settings.key_prefix)
    bad = LeftoverRecord(endpoint="emulator", kind=kind, id=thing).to_json()
    gone = LeftoverRecord(endpoint="emulator", kind="thread", id="thread_gone").to_json()
    store.zadd(keys.leftovers, {bad: 1, gone: 2})

    await worker.process.clean_up()

    # In a thread: the worker's own sweep may have taken it.
    await asyncio.to_thread(until, lambda: store.zscore(keys.leftovers, gone) is None)
