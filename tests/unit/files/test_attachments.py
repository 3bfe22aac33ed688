"""What a worker makes of a job's images and files, before anything remote is made."""

import base64
import os
from hashlib import sha256

import pytest

from threadmill import PromptJob, Settings
from threadmill.errors import InvalidJob
from threadmill_worker.files import local_files
from threadmill_worker.files.attachments import NONE, load_attachments

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
GIF = b"GIF89a\1\0\1\0"
TAKES_DATA_URLS = {"supports": {"data_urls": True}}


def data_url(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@pytest.fixture
def disk(tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "picture.png").write_bytes(PNG)
    (folder / "notes.txt").write_text("a text")
    return folder


@pytest.fixture
def gathered(disk):
    """What the worker gathers for a job that came over the queue, on an endpoint that holds what the test says."""

    async def gathered(roots=(disk,), images=(), files=(), endpoint=None, **more):
        fields = {"kind": "assistants", "base_url": "http://x", **(endpoint or {})}
        settings = Settings.model_validate({"endpoints": {"x": fields}, "file_roots": roots})
        job = PromptJob.parse({"prompt": "Well?", "endpoint": "x", "images": images, "files": files, **more})
        return await load_attachments(job, "x", settings)

    return gathered


async def test_a_job_with_neither_costs_nothing(gathered):
    assert await gathered() is NONE
    assert NONE.uploads == ()
    assert NONE.files_for("file_search", ()) == ()


async def test_a_url_is_sent_as_it_is(gathered):
    attachments = await gathered(images=["https://example.com/a.png"], files=[])
    assert attachments.uploads == ()
    assert attachments.image("https://example.com/a.png") == "https://example.com/a.png"


async def test_a_local_image_becomes_a_data_url_where_the_server_takes_them(gathered, disk):
    path = str(disk / "picture.png")
    attachments = await gathered(images=[path], endpoint=TAKES_DATA_URLS)
    assert attachments.uploads == ()
    assert attachments.image(path) == data_url(PNG)
    assert data_url(PNG) not in repr(attachments), "it is made when it is sent, and not before"


async def test_elsewhere_it_is_uploaded(gathered, disk):
    path = str(disk / "picture.png")
    attachments = await gathered(images=[path])
    [upload] = attachments.uploads
    assert attachments.image(path) == 0
    assert (upload.name, upload.media_type, upload.size, upload.purpose) == ("picture.png", "image/png", 16, "vision")
    assert (upload.tools, upload.sha256, upload.read()) == ((), sha256(PNG).hexdigest(), PNG)


async def test_a_wrong_extension_does_not_matter(gathered, disk):
    path = disk / "photo.png"
    path.write_bytes(GIF)
    assert (await gathered(images=[str(path)], endpoint=TAKES_DATA_URLS)).image(str(path)) == data_url(GIF, "image/gif")
    [upload] = (await gathered(images=[str(path)])).uploads
    assert (upload.name, upload.media_type) == ("photo.gif", "image/gif"), "servers go by the name"


async def test_a_data_url_goes_as_it_is_or_is_uploaded(gathered):
    url, mislabelled = data_url(PNG), data_url(GIF)
    attachments = await gathered(images=[url, mislabelled], endpoint=TAKES_DATA_URLS)
    assert (attachments.image(url), attachments.image(mislabelled)) == (url, data_url(GIF, "image/gif"))
    attachments = await gathered(images=["https://example.com/a.png", url, mislabelled])
    assert [attachments.image(url), attachments.image(mislabelled)] == [0, 1]
    assert [(each.name, each.purpose, each.read()) for each in attachments.uploads] == [
        ("image-2.png", "vision", PNG),
        ("image-3.gif", "vision", GIF),
    ]


async def test_files_go_to_the_tools_they_are_for_in_the_jobs_order(gathered, disk):
    (disk / "figures.csv").write_text("1,2")
    attachments = await gathered(
        files=[
            {"path": str(disk / "figures.csv"), "tools": ["code_interpreter"]},
            "file-old",
            {"id": "assistant-made", "tools": ["code_interpreter", "file_search"]},
            {"path": str(disk / "notes.txt"), "tools": ["file_search", "code_interpreter"]},
        ]
    )
    assert [(each.name, each.media_type, each.purpose, each.tools) for each in attachments.uploads] == [
        ("figures.csv", "text/csv", "assistants", ("code_interpreter",)),
        ("notes.txt", "text/plain", "assistants", ("file_search", "code_interpreter")),
    ]
    uploaded = ["file-1", "file-2"]
    assert attachments.files_for("code_interpreter", uploaded) == ("file-1", "assistant-made", "file-2")
    assert attachments.files_for("file_search", uploaded) == ("file-old", "assistant-made", "file-2")


async def test_equal_contents_are_uploaded_once_for_the_tools_of_both(gathered, disk):
    (disk / "copy.txt").write_text("a text")
    notes, copy = str(disk / "notes.txt"), str(disk / "copy.txt")
    attachments = await gathered(files=[notes, notes, {"path": copy, "tools": ["code_interpreter"]}])
    [upload] = attachments.uploads
    assert (upload.name, upload.tools) == ("notes.txt", ("file_search", "code_interpreter"))
    assert attachments.files_for("file_search", ["file-1"]) == ("file-1",)
    assert attachments.files_for("code_interpreter", ["file-1"]) == ("file-1",)


async def test_equal_contents_of_another_type_or_purpose_are_not_the_same(gathered, disk):
    (disk / "notes.csv").write_text("a text")
    csv = {"path": str(disk / "notes.csv"), "tools": ["code_interpreter"]}
    attachments = await gathered(files=[str(disk / "notes.txt"), csv])
    assert [(each.name, each.tools) for each in attachments.uploads] == [
        ("notes.txt", ("file_search",)),
        ("notes.csv", ("code_interpreter",)),
    ], "file_search would refuse the .csv"

    picture = str(disk / "picture.png")
    attachments = await gathered(images=[picture], files=[{"path": picture, "tools": ["code_interpreter"]}])
    assert [each.purpose for each in attachments.uploads] == ["vision", "assistants"]


@pytest.mark.parametrize("swap", ["changed", "same size", "gone", "a symlink out of the roots", "a pipe"])
async def test_a_file_that_changed_is_not_sent(gathered, disk, tmp_path, swap):
    picture, notes = disk / "picture.png", disk / "notes.txt"
    seen = await gathered(images=[str(picture)], files=[str(notes)], endpoint=TAKES_DATA_URLS)
    (tmp_path / "secret.txt").write_text("a text")
    for path in (picture, notes):
        size = path.stat().st_size
        path.unlink()
        match swap:
            case "changed":
                path.write_text("something else altogether")
            case "same size":
                path.write_bytes(b"x" * size)
            case "a symlink out of the roots":
                path.symlink_to(tmp_path / "secret.txt")
            case "a pipe":
                os.mkfifo(path)

    with pytest.raises(InvalidJob, match=r"picture\.png: "):
        seen.image(str(picture))
    with pytest.raises(InvalidJob, match=r"notes\.txt: "):
        seen.uploads[0].read()


async def test_a_worker_reads_no_path_that_its_settings_do_not_allow(gathered, disk, tmp_path):
    (disk / "link.txt").symlink_to("/etc/passwd")
    for files in (["/etc/passwd"], [str(disk / "link.txt")], [f"{disk}/../x.txt"], ["/proc/self/environ"]):
        with pytest.raises(InvalidJob, match="outside the folders that workers may read"):
            await gathered(files=files)
    with pytest.raises(InvalidJob, match="outside the folders that workers may read"):
        await gathered(images=["/etc/passwd"], endpoint=TAKES_DATA_URLS)
    with pytest.raises(
        InvalidJob, match=r"workers may read \(none\); add .* in the worker's threadmill.toml, then restart"
    ):
        await gathered(roots=(), files=[str(disk / "notes.txt")])


async def test_a_worker_does_not_say_whether_a_file_outside_its_roots_exists(gathered):
    with pytest.raises(InvalidJob, match="outside the folders"):
        await gathered(files=["/no/such/file.txt"])


async def test_a_folder_swapped_for_a_symlink_after_the_check_is_not_followed(gathered, disk, tmp_path, monkeypatch):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "key.txt").write_text("s3cret")
    (disk / "inner").mkdir()
    (disk / "inner" / "key.txt").write_text("harmless")
    locate = local_files.locate

    def swapped_after(path, roots):
        found = locate(path, roots)
        (disk / "inner").rename(disk / "moved")
        (disk / "inner").symlink_to(tmp_path / "secrets")
        return found

    monkeypatch.setattr(local_files, "locate", swapped_after)
    with pytest.raises(InvalidJob, match=r"key\.txt: this worker cannot read it"):
        await gathered(files=[str(disk / "inner" / "key.txt")])


@pytest.mark.parametrize(
    ("fields", "endpoint", "says"),
    [
        ({"files": ["gone.txt"]}, {}, "gone.txt: there is no such file"),
        ({"files": ["pipe.txt"]}, {}, "pipe.txt: is a folder, a device or a pipe"),
        ({"files": ["empty.txt"]}, {}, "empty.txt: is empty"),
        ({"files": [{"path": "a.exe", "tools": ["code_interpreter"]}]}, {}, "does not take .exe files"),
        ({"files": ["notes.txt"]}, {"file_limit_bytes": 5}, "has 6 bytes, and endpoint 'x' takes up to 5; "),
        ({"files": ["notes.txt"]}, {"supports": {"files": False}}, "set files = true in [endpoints.x.supports]"),
        ({"images": ["notes.txt"]}, {}, "notes.txt: is not a PNG, JPEG, GIF or WebP image (it starts with b'a text')"),
        ({"images": ["picture.png"]}, {"image_limit_bytes": 15}, "has 16 bytes, and endpoint 'x' takes up to 15; "),
        ({"images": ["picture.png"]}, {"supports": {"files": False}}, "set data_urls = true or files = true"),
        ({"images": ["data:image/png;base64,x"]}, {}, "is not valid base64"),
        ({"images": [data_url(PNG)]}, {"image_limit_bytes": 15}, "has 16 bytes, and endpoint 'x' takes up to 15; "),
    ],
)
async def test_a_worker_refuses_what_a_producer_refuses(gathered, disk, monkeypatch, fields, endpoint, says):
    monkeypatch.chdir(disk)
    (disk / "empty.txt").touch()
    (disk / "a.exe").write_text("MZ")
    os.mkfifo(disk / "pipe.txt")
    with pytest.raises(InvalidJob) as refused:
        await gathered(**fields, endpoint=endpoint)
    assert says in str(refused.value)


async def test_a_disk_that_the_worker_lacks_is_reported(gathered):
    with pytest.raises(InvalidJob, match=r"this worker cannot read it \(No such file or directory\)"):
        await gathered(roots=("/no-such-mount",), files=["/no-such-mount/notes.txt"])


async def test_a_field_the_responses_api_lacks_is_refused_by_the_worker_too(gathered):
    with pytest.raises(InvalidJob, match="max_prompt_tokens: endpoint 'x' speaks the Responses API"):
        await gathered(endpoint={"wire": "responses"}, max_prompt_tokens=1000)
