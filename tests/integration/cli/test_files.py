"""Images, files and the other fields of a job from the command line: what is enqueued, and what is refused before."""

import json
import os

import pytest

from threadmill import Client
from threadmill_cli.local.services import free_port

pytestmark = pytest.mark.integration

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
GONE = f"redis://127.0.0.1:{free_port()}/0"


@pytest.fixture
def disk(tmp_path):
    """The command's folder, which workers may read."""
    (tmp_path / "picture.png").write_bytes(PNG)
    (tmp_path / "huge.png").write_bytes(PNG)
    os.truncate(tmp_path / "huge.png", 20_000_000)
    (tmp_path / "not.png").write_text("not a picture")
    (tmp_path / "setup.exe").write_bytes(b"MZ")
    (tmp_path / "notes.txt").write_text("a text")
    (tmp_path / "threadmill.toml").write_text(f'file_roots = ["{tmp_path}"]\n')
    return tmp_path


REFUSED = [
    (["--image", "huge.png"], "huge.png: has 20,000,000 bytes, and endpoint 'emulator' takes up to 10,000,000"),
    (["--image", "not.png"], "not.png: is not a PNG, JPEG, GIF or WebP image (it starts with b'not a pi'); convert it"),
    (["--code-file", "setup.exe"], "setup.exe: code_interpreter does not take .exe files; convert it: code_inter"),
    (["--file", "gone.pdf"], "gone.pdf: there is no such file"),
    (["--image", "gone.png"], "gone.png: there is no such file"),
    (["--file", "https://example.com/a.pdf"], "https://example.com/a.pdf is a URL; a file is a path or an id"),
    (["--tool", "wether"], "there is no tool 'wether'"),
    (["--json-schema", "gone.json"], "gone.json: "),
]
BY_PATH = [
    (["--file", "/etc/hosts"], "/etc/hosts: outside the folders that workers may read"),
    (["--image", "/etc/hosts"], "/etc/hosts: outside the folders that workers may read"),
]


def refused(done, says: str) -> bool:
    return (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1) and says in done.stderr


@pytest.mark.parametrize(("options", "says"), REFUSED + BY_PATH)
def test_what_cannot_be_sent_is_refused_before_redis_is_even_asked(run_cli, disk, options, says):
    done = run_cli("submit", "Well?", "--endpoint", "emulator", *options, REDIS_URL=GONE)
    assert refused(done, says), done.stderr


@pytest.mark.parametrize(("options", "says"), REFUSED[:4] + BY_PATH[:1])
def test_a_batch_is_refused_the_same(run_cli, disk, options, says):
    done = run_cli("batch", "notes.txt", "--endpoint", "emulator", *options, REDIS_URL=GONE)
    assert refused(done, says), done.stderr
    assert not (disk / "results.jsonl").exists()


@pytest.mark.parametrize(("options", "says"), REFUSED[:5])
def test_so_it_is_under_local_before_anything_is_started(run_cli, disk, options, says):
    (disk / "threadmill.toml").unlink()  # there, one's own files need no setting
    done = run_cli("submit", "Well?", "--endpoint", "emulator", "--local", *options)
    assert refused(done, says), done.stderr
    assert not (disk / ".threadmill").exists()


def test_all_options_stand_in_the_job(run_cli, disk, settings, settings_as_environment):
    variables = settings_as_environment(settings) | {"THREADMILL_FILE_ROOTS": json.dumps([str(disk)])}
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    (disk / "who is it.json").write_text(json.dumps(schema))
    options = ["--image", "picture.png", "--image", "https://example.com/a.png", "--file", "notes.txt"]
    options += ["--file", "file-abc", "--code-file", "picture.png", "--tool", "code_interpreter"]
    options += ["--json-schema", "who is it.json", "--thread", "thread_1", "--keep-thread", "--include-steps"]
    submitted = run_cli("submit", "Well?", *options, "--stream", **variables)
    assert submitted.returncode == 0, submitted.stderr

    job = Client(settings).get(submitted.stdout.strip()).job
    assert job.model_dump(mode="json", exclude_defaults=True) == {
        "prompt": "Well?",
        "endpoint": "emulator",
        "images": [f"{disk}/picture.png", "https://example.com/a.png"],
        "files": [
            {"path": f"{disk}/notes.txt"},
            {"id": "file-abc"},
            {"path": f"{disk}/picture.png", "tools": ["code_interpreter"]},
        ],
        "tools": ["code_interpreter"],
        "response_format": {"type": "json_schema", "json_schema": {"name": "who-is-it", "schema": schema}},
        "thread": "thread_1",
        "keep_thread": True,
        "include_steps": True,
        "stream": True,
    }


def test_a_schema_in_the_servers_form_stays_as_it_is(run_cli, disk, settings, settings_as_environment):
    form = {"name": "person", "schema": {"type": "object"}, "strict": True}
    (disk / "form.json").write_text(json.dumps(form))
    done = run_cli("submit", "Well?", "--json-schema", "form.json", **settings_as_environment(settings))
    assert done.returncode == 0, done.stderr
    response_format = Client(settings).get(done.stdout.strip()).job.response_format
    assert response_format == {"type": "json_schema", "json_schema": form}
