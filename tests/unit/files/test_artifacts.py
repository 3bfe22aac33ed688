"""Files the model made, put where a caller can fetch them: no copy too many, no partial one, no password shown."""

import asyncio
import hashlib
import resource
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import fsspec
import pytest

from threadmill.job.result import Artifact
from threadmill_worker.files.artifacts import ArtifactStore, NotStored

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"
LIMIT = 1000


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture(params=["folder", "bucket"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path / "made" / "here") if request.param == "folder" else "memory://bucket/prefix"
    fsspec.filesystem("memory").store.clear()


def read(uri: str) -> bytes:
    with fsspec.open(uri, "rb") as file:
        content = file.read()
    assert isinstance(content, bytes)
    return content


async def test_a_file_is_stored_under_its_job_and_described(url: str) -> None:
    artifact = await ArtifactStore(url, LIMIT).put("job-1", "file-a", "plot.png", chunks(PNG[:3], b"", PNG[3:]))
    assert artifact == Artifact(
        file_id="file-a",
        name="plot.png",
        uri=f"{url}/job-1/plot.png",
        media_type="image/png",
        size=len(PNG),
        sha256=hashlib.sha256(PNG).hexdigest(),
    )
    assert read(f"{url}/job-1/plot.png") == PNG


async def test_an_empty_file_is_a_file(url: str) -> None:
    artifact = await ArtifactStore(url, LIMIT).put("job-1", "file-a", "log.txt", chunks())
    assert (artifact.size, artifact.media_type) == (0, "text/plain")
    assert read(f"{url}/job-1/log.txt") == b""


async def test_files_of_one_name_are_both_kept_once(url: str) -> None:
    async def attempt(*order: str) -> dict[str, str]:
        store = ArtifactStore(url, LIMIT)  # another worker's: it remembers nothing
        made = [await store.put("job-1", file_id, "plot.png", chunks(file_id.encode())) for file_id in order]
        return {artifact.file_id: artifact.name for artifact in made}

    first = await attempt("file-a", "file-b", "file-c")
    assert first == {"file-a": "plot.png", "file-b": "plot-2.png", "file-c": "plot-3.png"}
    assert await attempt("file-c", "file-a") == {"file-c": "plot-3.png", "file-a": "plot.png"}
    fs, root = fsspec.url_to_fs(url)
    assert len(fs.ls(f"{root}/job-1", detail=False)) == 3


async def test_files_of_one_name_stored_at_once_do_not_overwrite_each_other(url: str) -> None:
    store = ArtifactStore(url, LIMIT)
    ids = [f"file-{number}" for number in range(8)]
    stored = await asyncio.gather(*(store.put("job-1", name, "plot.png", chunks(name.encode())) for name in ids))
    assert {read(str(artifact.uri)).decode() for artifact in stored} == set(ids)


async def test_jobs_do_not_share_names(url: str) -> None:
    store = ArtifactStore(url, LIMIT)
    for job in ("job-1", "job-2"):
        assert (await store.put(job, "file-a", "a.txt", chunks(job.encode()))).name == "a.txt"


async def test_a_file_over_the_limit_is_read_no_further_and_leaves_nothing(tmp_path: Path) -> None:
    read_on = False

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read_on
        yield b"x" * LIMIT
        yield b"x"
        read_on = True
        yield b"x"

    with pytest.raises(NotStored, match=r"^has more than 1000 bytes; raise artifact_limit_bytes$"):
        await ArtifactStore(str(tmp_path), LIMIT).put("job-1", "file-a", "a.bin", endless())
    assert not read_on
    assert files_in(tmp_path) == []
    assert (await ArtifactStore(str(tmp_path), LIMIT).put("job-1", "f", "a", chunks(b"x" * LIMIT))).size == LIMIT


async def test_a_download_that_breaks_off_leaves_nothing_and_its_reason_alone(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError("the server hung up")

    with pytest.raises(ConnectionResetError, match="the server hung up"):
        await ArtifactStore(str(tmp_path), LIMIT).put("job-1", "file-a", "a.bin", broken())
    assert files_in(tmp_path) == []


async def test_what_a_killed_worker_left_is_removed_by_the_next_attempt(tmp_path: Path) -> None:
    spools: list[Path] = []

    async def watched() -> AsyncIterator[bytes]:
        yield b"whole"
        spools.extend((tmp_path / ".partial").iterdir())

    store = ArtifactStore(str(tmp_path), LIMIT)
    await store.put("job-1", "file-a", "a.txt", watched())
    for spool in spools:  # as a kill at that moment would have left it
        spool.mkdir()
        (spool / "content").touch()
    assert len(files_in(tmp_path)) == 2
    await store.put("job-1", "file-a", "a.txt", chunks(b"whole"))
    assert files_in(tmp_path) == ["job-1/a.txt"]


async def test_a_stored_file_is_readable_by_others_as_the_umask_says(tmp_path: Path) -> None:
    await ArtifactStore(str(tmp_path), LIMIT).put("job-1", "file-a", "a.txt", chunks(b"x"))
    (tmp_path / "plain").touch()
    assert (tmp_path / "job-1" / "a.txt").stat().st_mode == (tmp_path / "plain").stat().st_mode


async def test_a_full_disk_is_reported(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(NotStored, match=r"^cannot be stored in .*: .*File too large.*; fix that"):
            await ArtifactStore(str(tmp_path), LIMIT).put("job-1", "file-a", "a.bin", chunks(b"x" * 200))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files_in(tmp_path) == []


async def test_checking_a_usable_store_leaves_no_trace(url: str) -> None:
    await ArtifactStore(url, LIMIT).check()
    fs, root = fsspec.url_to_fs(url)
    assert list(fs.find(root)) == []


async def test_a_store_that_cannot_be_used_says_why_and_what_helps(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for url, told in {
        str(tmp_path / "file" / "x"): r"Not a directory.*; fix that, or set `artifacts`",
        "nosuch://bucket": r"Protocol not known: nosuch",
    }.items():
        with pytest.raises(NotStored, match=told):
            await ArtifactStore(url, LIMIT).check()
        with pytest.raises(NotStored, match=told):
            await ArtifactStore(url, LIMIT).put("job-1", "file-a", "a.txt", chunks(b"x"))


async def test_a_bucket_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)  # as if it were not installed
    with pytest.raises(NotStored, match=r"Install s3fs to access S3; .*pip install .*\[s3\]'"):
        await ArtifactStore("s3://bucket/prefix", LIMIT).check()


async def test_a_password_in_the_url_is_never_shown() -> None:
    stored = await ArtifactStore("memory://me:p%40ss@host/prefix", LIMIT).put("job", "f", "a.txt", chunks(b"x"))
    assert stored.uri == "memory://host/prefix/job/a.txt"
    with pytest.raises(NotStored) as caught:
        await ArtifactStore("nosuch://me:p%40ss@host/prefix", LIMIT).check()
    assert "p%40ss" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "cannot be stored in nosuch://host/prefix" in str(caught.value)


async def test_a_relative_folder_gives_an_absolute_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stored = await ArtifactStore("artifacts", LIMIT).put("job-1", "file-a", "a.txt", chunks(b"x"))
    assert stored.uri == str(tmp_path / "artifacts" / "job-1" / "a.txt")


@pytest.mark.parametrize(
    ("content", "name", "media_type"),
    [
        (PNG, "a.csv", "image/png"),
        (b"\xff\xd8\xff\xe0", "a", "image/jpeg"),
        (b"GIF89a", "a", "image/gif"),
        (b"RIFF\n\x00\x00\x00WEBP", "a", "image/webp"),
        (b"%PDF-1.7", "a", "application/pdf"),
        (b"a,b", "a.csv", "text/csv"),
        (b"\x1f\x8b", "a.csv.gz", "application/octet-stream"),
        (b"?", "a", "application/octet-stream"),
    ],
)
async def test_what_kind_of_file_it_is(tmp_path: Path, content: bytes, name: str, media_type: str) -> None:
    stored = await ArtifactStore(str(tmp_path), LIMIT).put("job-1", "file-a", name, chunks(content))
    assert stored.media_type == media_type


@pytest.mark.parametrize("job_id", ["../../x", "..", "a/b", ""])
async def test_an_id_never_leads_out_of_the_folder(tmp_path, job_id):
    root = tmp_path / "made" / "here"
    artifact = await ArtifactStore(str(root), LIMIT).put(job_id, "file-a", "plot.png", chunks(PNG))

    [stored] = files_in(tmp_path)
    assert Path(stored).parts[:2] == ("made", "here")
    assert len(Path(stored).parts) == 4, "one folder for the job"
    assert read(artifact.uri) == PNG
