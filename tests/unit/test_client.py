"""What a producer is told of its images and files before anything is enqueued."""

import base64
import os

import pytest

from threadmill import Client, Settings
from threadmill.errors import InvalidJob

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
DATA_URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """The folder that workers may read, with a picture and a text in it; the producer works in it."""
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "picture.png").write_bytes(PNG)
    (folder / "notes.txt").write_text("a text")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def check(disk):
    """Client.check with an endpoint that holds what the test says."""

    def checked(job, roots=(disk,), **endpoint):
        endpoints = {"x": {"kind": "assistants", "base_url": "http://x", "assistant": "asst_x", **endpoint}}
        settings = Settings.model_validate({"endpoints": endpoints, "file_roots": roots})
        return Client(settings).check({"prompt": "Well?", "endpoint": "x", **job})

    return checked


def refusal(check, job, **more) -> str:
    with pytest.raises(InvalidJob) as refused:
        check(job, **more)
    return str(refused.value)


def test_paths_become_absolute_and_the_rest_stays_as_it_is(check, disk):
    job = check(
        {
            "images": ["picture.png", "https://example.com/a.png", DATA_URL],
            "files": ["notes.txt", "file-abc", {"path": "./notes.txt", "tools": ["code_interpreter"]}],
            "messages": [{"content": [{"type": "image_url", "image_url": {"url": "picture.png"}}]}],
        },
        supports={"data_urls": True},
    )
    assert job.images == (f"{disk}/picture.png", "https://example.com/a.png", DATA_URL)
    assert [file.path or file.id for file in job.files] == [f"{disk}/notes.txt", "file-abc", f"{disk}/notes.txt"]
    assert job.messages[0].images == (f"{disk}/picture.png",)
    assert check(job.model_dump(exclude_defaults=True), supports={"data_urls": True}) == job, (
        "checked again, it is the same"
    )


def test_no_folder_is_open_unless_the_settings_say_so(check):
    told = refusal(check, {"images": ["picture.png"]}, roots=())
    assert "picture.png: outside the folders that workers may read (none)" in told
    assert "add its folder to file_roots" in told


@pytest.mark.parametrize("path", ["/etc/passwd", "../outside.txt", "link.txt", "inside/../../outside.txt", "way/o.txt"])
def test_what_lies_outside_of_the_roots_is_refused(check, disk, tmp_path, path):
    (tmp_path / "outside.txt").write_text("secret")
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "o.txt").write_text("secret")
    (disk / "inside").mkdir()
    (disk / "link.txt").symlink_to(tmp_path / "outside.txt")
    (disk / "way").symlink_to(tmp_path / "beside")

    assert "outside the folders that workers may read" in refusal(check, {"files": [path]})


def test_a_folder_whose_name_begins_like_a_root_is_refused(check, disk, tmp_path):
    beside = tmp_path / "shared-not"
    beside.mkdir()
    (beside / "notes.txt").write_text("secret")
    assert "outside the folders" in refusal(check, {"files": [str(beside / "notes.txt")]})


def test_a_symlink_within_the_roots_is_followed(check, disk):
    (disk / "latest.txt").symlink_to("notes.txt")
    assert check({"files": ["latest.txt"]}).files[0].path == f"{disk}/latest.txt"


def test_a_root_that_is_itself_a_symlink_is_one(check, disk, tmp_path):
    (tmp_path / "alias").symlink_to(disk)
    assert check({"files": [str(tmp_path / "alias" / "notes.txt")]}, roots=(tmp_path / "alias",))


def test_a_producer_without_the_workers_disk_checks_the_name_alone(check):
    assert check({"files": ["/mnt/far/notes.txt"], "images": ["/mnt/far/a.png"]}, roots=("/mnt/far",))
    assert "does not take .exe" in refusal(check, {"files": ["/mnt/far/a.exe"]}, roots=("/mnt/far",))
    assert "no such file" in refusal(check, {"files": ["/mnt/far/../near/a.txt"]}, roots=("/mnt/far",))


def test_paths_that_are_not_files_are_refused(check, disk):
    os.mkfifo(disk / "pipe.txt")
    (disk / "loop.txt").symlink_to("loop.txt")
    assert "gone.txt: there is no such file" in refusal(check, {"files": ["gone.txt"]})
    assert "gone.png: there is no such file" in refusal(check, {"images": ["gone.png"]})
    assert "pipe.txt: is a folder, a device or a pipe" in refusal(check, {"files": ["pipe.txt"]})
    assert "loop.txt: " in refusal(check, {"files": ["loop.txt"]})
    assert "cannot be looked up" in refusal(check, {"files": ["a\0.txt"]})
    assert f"{'x' * 300}.txt" in refusal(check, {"files": [f"{'x' * 300}.txt"]})
    (disk / "folder.txt").mkdir()
    assert "folder.txt: is a folder, a device or a pipe" in refusal(check, {"files": ["folder.txt"]})


def test_a_url_is_not_a_file(check):
    assert "https://example.com/a.pdf is a URL" in refusal(check, {"files": ["https://example.com/a.pdf"]})


def test_size_errors_name_the_limit_and_its_setting(check, disk):
    (disk / "huge.png").write_bytes(PNG)
    os.truncate(disk / "huge.png", 20_000_000)
    told = refusal(check, {"images": ["huge.png"]})
    assert "huge.png: has 20,000,000 bytes, and endpoint 'x' takes up to 10,000,000" in told
    assert "raise image_limit_bytes in [endpoints.x]" in told
    told = refusal(check, {"files": ["notes.txt"]}, file_limit_bytes=5)
    assert "notes.txt: has 6 bytes, and endpoint 'x' takes up to 5" in told
    assert "raise file_limit_bytes in [endpoints.x]" in told
    assert check({"files": ["notes.txt"]}, file_limit_bytes=6)
    (disk / "empty.txt").touch()
    assert "empty.txt: is empty" in refusal(check, {"files": ["empty.txt"]})
    (disk / "empty.png").touch()
    assert "empty.png: is empty" in refusal(check, {"images": ["empty.png"]})
    assert "takes up to 15" in refusal(check, {"images": [DATA_URL]}, image_limit_bytes=15)


def test_files_that_are_not_images_are_refused_whatever_their_name(check, disk):
    (disk / "report.png").write_bytes(b"%PDF-1.7 ...")
    told = refusal(check, {"images": ["report.png"]})
    assert "report.png: is not a PNG, JPEG, GIF or WebP image (it starts with b'%PDF-1.7')" in told
    (disk / "photo.dat").write_bytes(PNG)
    assert check({"images": ["photo.dat"]})


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("data:image/png;base64,iVBORw0KGgo", "is not valid base64"),
        ("data:image/png;base64,iVBOR w0KGgo=", "is not valid base64"),
        ("data:image/png;base64,", "is empty"),
        ("data:image/png,%89PNG", "is not a base64 data URL"),
        ("data:image/png;base64,JVBERi0xLjc=", "is not a PNG, JPEG, GIF or WebP image (it starts with b'%PDF-1.7')"),
        (f"data:image/png;base64,{'A' * 5000}", "... (5,022 characters): is not a PNG"),
    ],
)
def test_a_data_url_must_hold_an_image(check, url, says):
    told = refusal(check, {"images": [url]})
    assert says in told
    assert len(told) < 250, "it is not shown in full"


def test_what_an_endpoint_cannot_do_is_reported_with_its_setting(check):
    for file in ("notes.txt", "file-abc"):
        told = refusal(check, {"files": [file]}, supports={"files": False})
        assert file in told
        assert "endpoint 'x' takes no files; if its server does, set files = true in [endpoints.x.supports]" in told
    for image in ("picture.png", DATA_URL):
        told = refusal(check, {"images": [image]}, supports={"files": False})
        assert "takes images only as https URLs" in told
        assert "set data_urls = true or files = true in [endpoints.x.supports]" in told
        assert check({"images": [image]}, supports={"files": False, "data_urls": True})
        assert check({"images": [image]}, supports={"files": True, "data_urls": False})
    assert check({"images": ["https://example.com/a.png"]}, supports={"files": False})


@pytest.mark.parametrize("field", ["max_prompt_tokens", "max_completion_tokens"])
def test_a_limit_of_tokens_below_what_the_endpoint_accepts_is_refused(check, field):
    told = refusal(check, {field: 255})
    assert told.startswith(f"`{field}`: endpoint 'x' accepts 256 and more, not 255; raise it, or lower min_token_limit")
    check({field: 256})
    check({field: 1}, min_token_limit=1)


@pytest.mark.parametrize(
    ("field", "job"),
    [
        ("max_prompt_tokens", {"max_prompt_tokens": 1000}),
        ("truncation of type last_messages", {"truncation": {"type": "last_messages", "last_messages": 3}}),
    ],
)
def test_a_field_the_responses_api_lacks_is_refused(check, field, job):
    told = refusal(check, job, wire="responses", model="m")
    assert told.startswith(f"{field}: endpoint 'x' speaks the Responses API")
    check(job)
    check({"truncation": {"type": "auto"}}, wire="responses", model="m")


@pytest.mark.parametrize("lane", ["batch", "flex", "within-2h", "within-8h"])
def test_the_assistants_api_has_no_cheaper_lanes(check, lane):
    told = refusal(check, {"lane": lane})
    assert "leave it out, or name an endpoint of kind `responses`" in told


def test_servers_without_service_tiers_or_seeds_are_not_asked_for_them(check):
    fast, seeded = {"service_tier": "priority"}, {"seed": 7}
    responses = {"kind": "responses", "model": "m", "assistant": None}

    assert "name an endpoint of kind `responses` or `chat`" in refusal(check, fast)
    assert "speaks the Assistants API, which has none; leave it out" in refusal(check, seeded)
    assert "speaks the Responses API, which has none; leave it out, or name an endpoint of kind `chat`" in refusal(
        check, seeded, **responses
    )
    assert check(fast, **responses).service_tier == "priority"
    assert check({**fast, **seeded}, **{**responses, "kind": "chat"}).seed == 7


def test_a_completion_window_needs_a_server_that_works_in_the_background(check):
    plain = {"kind": "responses", "model": "m", "assistant": None, "supports": {"background": False}}

    assert "use the lane flex, or leave it out" in refusal(check, {"lane": "within-2h"}, **plain)
    assert check({"lane": "within-2h"}, lane_fallback="full_price", **plain).lane == "within-2h"
    assert check({"lane": "flex"}, **plain).lane == "flex"
