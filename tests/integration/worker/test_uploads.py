"""Uploads: jobs use them as images and files, and their files are deleted when nobody needs them any more."""

import io
from datetime import timedelta
from pathlib import Path

import pytest

from threadmill import JobState
from threadmill.errors import InvalidJob, UploadNotFound, UploadTooLarge
from threadmill.job.upload import Upload, new_upload_id
from threadmill.upload_files import UploadFiles
from threadmill_emulator.runs.replies import PNG
from threadmill_worker.maintenance.uploads import Uploads
from threadmill_worker.store.uploads import UploadStore

pytestmark = pytest.mark.integration


@pytest.fixture
def files(settings):
    return UploadFiles(settings.artifacts)


@pytest.fixture
def upload(client, files, settings):
    """Uploads a file, as the gateway does."""

    def upload(name="policy.txt", content=b"Travel is booked a week ahead.", **fields):
        upload_id, now = new_upload_id(), client.store.now()
        client.store.begin_upload(upload_id)
        file = files.write(upload_id, name, io.BytesIO(content), settings.upload_limit_bytes)
        made = Upload(
            id=upload_id,
            created_at=now,
            **{
                "name": file.name,
                "size": file.size,
                "purpose": "user_data",
                "owner": None,
                "expires_at": client.store.upload_lifetime(now),
                **fields,
            },
        )
        client.store.add_upload(made)
        return made

    return upload


@pytest.fixture
def sweep(settings, worker, monkeypatch):
    """Looks at all uploads now, whenever they are due. The worker's own step does not take them before."""
    look = Uploads.once

    async def nothing(self):
        pass

    monkeypatch.setattr(Uploads, "once", nothing)

    async def sweep():
        job_store = worker.process._job_store
        store = UploadStore(settings, job_store.redis, job_store.clock)
        due = worker.client.store._keys.uploads_due
        for upload_id, _ in await job_store.redis.zrange(due, 0, -1, withscores=True):
            await job_store.redis.zadd(due, {upload_id: 0})
        await look(Uploads(settings, store, job_store.clock))

    return sweep


def is_stored(files, upload):
    try:
        return bool(files.find(upload.id))
    except UploadNotFound:
        return False


async def test_a_job_uses_an_upload_as_a_file(upload, worker, emulator):
    made = upload()
    result = await worker.run("[[scenario=citations]]What of travel?", files=[{"upload": made.id}])
    assert [each.name for each in result.citations] == ["policy.txt"]
    [sent] = emulator.sent("POST", "/files")
    assert b"Travel is booked a week ahead." in sent.body
    assert not emulator.left()


@pytest.mark.parametrize(
    "sent",
    ["inline", pytest.param("uploaded", marks=pytest.mark.endpoint(supports={"data_urls": False}))],
)
async def test_a_job_uses_an_upload_as_an_image(sent, upload, worker, emulator):
    result = await worker.run("What is this?", images=[f"upload:{upload('a.jpg', PNG).id}"])
    assert "image/png" in result.text
    assert len(emulator.sent("POST", "/files")) == (sent == "uploaded")


async def test_an_upload_that_is_gone_fails_the_job(upload, files, worker):
    made = upload()
    job_id = worker.create("Well?", files=[made.id])
    files.delete(made.id)
    result = await worker.see_through(job_id)
    assert result.state is JobState.FAILED
    assert made.id in result.failure.message


async def test_a_job_cannot_use_an_upload_that_is_not_there_or_of_somebody_else(upload, client):
    with pytest.raises(InvalidJob, match="there is no upload"):
        client.check({"prompt": "Well?", "files": [new_upload_id()]})
    theirs = upload(owner="anna")
    with pytest.raises(InvalidJob, match="there is no upload"):
        client.check({"prompt": "Well?", "files": [theirs.id], "tenant": "bob"})
    assert client.check({"prompt": "Well?", "files": [theirs.id], "tenant": "anna"}).uploads == (theirs.id,)


async def test_a_file_that_a_tool_does_not_take_is_refused_at_once(upload, client):
    with pytest.raises(InvalidJob, match="file_search"):
        client.check({"prompt": "Well?", "files": [upload("table.csv").id]})


def test_a_broken_upload_leaves_nothing(files, settings):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            if content := super().read(size):
                return content
            raise ConnectionError("the client is gone")

    for source, error in ((Broken(b"half"), Exception), (io.BytesIO(b"x" * 11), UploadTooLarge)):
        upload_id = new_upload_id()
        with pytest.raises(error):
            files.write(upload_id, "a.txt", source, 10)
        assert not Path(settings.artifacts, ".uploads", upload_id).exists()


async def test_a_deleted_upload_is_kept_until_its_job_has_ended(upload, worker, client, files, sweep):
    made = upload()
    job_id = worker.create("Well?", files=[made.id])
    client.store.delete_upload(made.id)
    with pytest.raises(UploadNotFound):
        client.store.upload(made.id)
    await sweep()
    assert is_stored(files, made)

    assert (await worker.see_through(job_id)).ok
    await sweep()
    assert not is_stored(files, made)
    assert not list(client.store._redis.scan_iter(f"{client.settings.key_prefix}:upload*"))


async def test_an_upload_for_jobs_ends_with_the_last_of_them(upload, worker, files, sweep):
    made, kept = upload(until_used=True), upload()
    await sweep()
    assert is_stored(files, made), "no job has used it yet"
    jobs = [worker.create(prompt, files=[made.id, kept.id]) for prompt in ("One?", "Two?")]
    await worker.see_through(jobs[0])
    await sweep()
    assert is_stored(files, made)
    await worker.see_through(jobs[1])
    await sweep()
    assert (is_stored(files, made), is_stored(files, kept)) == (False, True)


async def test_a_file_without_a_record_is_deleted(client, files, sweep):
    upload_id = new_upload_id()
    client.store.begin_upload(upload_id)
    files.write(upload_id, "a.txt", io.BytesIO(b"half of it"), 100)
    assert files.find(upload_id).size == 10
    await sweep()
    with pytest.raises(UploadNotFound):
        files.find(upload_id)


async def test_uploads_are_listed_by_owner_the_newest_first(upload, client):
    made = [upload(owner=owner) for owner in ("anna", "bob", "anna", None)]
    ids = [each.id for each in made]
    assert [each.id for each in client.store.uploads(None, 10)] == ids[::-1]
    assert [each.id for each in client.store.uploads("anna", 10)] == [ids[2], ids[0]]
    assert [each.id for each in client.store.uploads("anna", 10, after=ids[2])] == [ids[0]]
    assert client.store.uploads("anna", 10, purpose="batch") == []
    with pytest.raises(UploadNotFound):
        client.store.uploads("anna", 10, after=ids[1])


async def test_an_upload_expires(upload, client, until, files, sweep):
    now = client.store.now()
    made = upload(expires_at=now + timedelta(seconds=1))
    until(lambda: not client.store.uploads(None, 10))
    await sweep()
    assert not is_stored(files, made)
