"""Document sets with options: parts of texts, attached files, images and stdin."""

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from threadmill.client import Client
from threadmill.documents.document import merge_fields
from threadmill.documents.errors import BadDocument
from threadmill.documents.find import find_files
from threadmill.documents.source import DocumentSource
from threadmill.documents.template import BadTemplate, PromptTemplate
from threadmill.documents.text import ReadOptions, TextFile
from threadmill.errors import ThreadmillError
from threadmill.job.message import MESSAGE_LIMIT
from threadmill.job.prompt import PromptJob
from threadmill.settings.settings import Settings
from threadmill_cli.app import app
from threadmill_cli.commands.batch.document_options import attached_files
from threadmill_cli.environment import with_file_roots

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    return tmp_path / "docs"


@pytest.fixture
def stdin(monkeypatch):
    def give(content: bytes):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return give


def opened(source: DocumentSource, *paths: str, prompt: str | None = None):
    return source.open(paths, source.prompt(prompt))


def test_a_text_that_is_too_long_is_refused_with_its_size(folder):
    (folder / "a.txt").write_text("x" * 101)
    [document], template = opened(DocumentSource(max_chars=100), "docs")
    with pytest.raises(BadDocument, match=r"has 101 characters, the limit is 100 \(--max-chars\)"):
        document.job_fields(template)
    [document], template = opened(DocumentSource(max_chars=101), "docs")
    assert document.parts() == (document,)
    assert document.job_fields(template) == {"prompt": "Summarise:\n" + "x" * 101}


def test_parts_of_a_long_file_count_as_one_document(folder):
    (folder / "a.txt").write_text("One two.\n\nThree four.")
    [document], template = opened(
        DocumentSource(max_chars=12, split=True), "docs", prompt="{{ part }}/{{ parts }} {{ name }}: {{ text }}"
    )
    first, second = document.parts()
    assert first.job_fields(template) == {"prompt": "1/2 a.txt: One two.\n\n"}
    assert second.job_fields(template) == {"prompt": "2/2 a.txt: Three four."}
    assert first.location == second.location == document.location
    assert (first.label, first.identity, second.identity) == ("docs/a.txt", "docs/a.txt/1", "docs/a.txt/2")


def test_a_document_that_fits_has_one_part_and_the_same_identity(folder):
    (folder / "a.txt").write_text("One")
    [document], template = opened(DocumentSource(split=True), "docs", prompt="{{ part }}/{{ parts }} {{ text }}")
    [part] = document.parts()
    assert part.identity == document.identity
    assert part.job_fields(template) == document.job_fields(template) == {"prompt": "1/1 One"}


@pytest.mark.parametrize("prompt", ["Summarise:\n{{ text }}", "{{ text }} of {{ path }}: {{ text }}", "{{ name }}"])
@pytest.mark.parametrize("max_chars", [None, MESSAGE_LIMIT])
def test_parts_fit_a_message_with_any_template(folder, prompt, max_chars):
    (folder / "a.txt").write_text("天 " * MESSAGE_LIMIT)
    [document], template = opened(DocumentSource(max_chars=max_chars, split=True), "docs", prompt=prompt)
    parts = document.parts()
    assert "".join(part.text for part in parts) == "天 " * MESSAGE_LIMIT
    for part in parts:
        PromptJob.parse(part.job_fields(template))


@given(st.text(min_size=1).filter(str.strip), st.integers(1, 20))
def test_the_parts_of_a_file_are_its_text(tmp_path_factory, text, size):
    path = tmp_path_factory.mktemp("texts") / "a.txt"
    path.write_bytes(text.encode("utf-8", "replace"))
    document = TextFile(path, ReadOptions("utf-8", size, split=True))
    assert "".join(part.text for part in document.parts()) == document.read()


def test_a_template_without_space_for_text_is_refused():
    with pytest.raises(BadTemplate, match="has no space for text"):
        PromptTemplate("x" * MESSAGE_LIMIT + "{{ text }}").max_text_chars()


def test_attached_files_replace_their_text(folder):
    (folder / "a.pdf").write_bytes(b"%PDF-")
    (folder / "b.png").write_bytes(PNG)
    (file, image), template = opened(DocumentSource(attach="file_search"), "docs")
    assert file.job_fields(template) == {
        "prompt": "Summarise the file a.pdf.",
        "files": [{"path": "docs/a.pdf", "tools": ["file_search"]}],
    }
    assert image.job_fields(template) == {"prompt": "Summarise the file b.png.", "images": ["docs/b.png"]}
    with pytest.raises(BadTemplate, match=r"'text' is undefined\. It can use name, path, part, parts"):
        opened(DocumentSource(attach="file_search"), "docs", prompt="{{ text }}")


def test_images_are_sent_with_the_prompt(folder):
    (folder / "b.PNG").write_bytes(PNG)
    [image], template = opened(DocumentSource(), "docs", prompt="{{ text or 'What is on ' ~ name }}")
    assert image.job_fields(template) == {"prompt": "What is on b.PNG", "images": ["docs/b.PNG"]}
    assert image.job_fields(PromptTemplate("{{ text }}")) == {"images": ["docs/b.PNG"]}


def test_a_changed_file_is_recognised_by_its_fingerprint(folder):
    for name, attach in (("a.pdf", "code_interpreter"), ("b.png", None)):
        path = folder / name
        path.write_bytes(b"before")
        [document], _ = opened(DocumentSource(attach=attach), str(path))
        before = document.fingerprint()
        assert document.fingerprint() == before
        path.write_bytes(b"after")
        assert document.fingerprint() != before
        path.unlink()
        with pytest.raises(BadDocument, match="cannot be read: No such file"):
            document.fingerprint()
    (folder / "c.txt").write_text("in the prompt")
    [text], _ = opened(DocumentSource(), "docs")
    assert text.fingerprint() == ""


def test_common_and_own_files_are_combined():
    own = {"prompt": "b", "images": ["own.png"]}
    assert merge_fields({"prompt": "a", "images": ["all.png"], "files": ["all.pdf"], "model": "m"}, own) == {
        "prompt": "b",
        "images": ["all.png", "own.png"],
        "files": ["all.pdf"],
        "model": "m",
    }


def test_local_workers_can_read_the_attached_files(folder):
    (folder / "deep").mkdir()
    (folder / "a.png").write_bytes(PNG)
    (folder / "deep" / "b.png").write_bytes(PNG)
    (folder / "gone.png").symlink_to("nowhere/gone.png")
    documents, template = opened(DocumentSource(), "docs")
    settings = Settings(endpoints={"emulator": {"assistant": "asst_1"}}, default_endpoint="emulator")
    settings = with_file_roots(settings, PromptJob(prompt="probe"), attached_files(documents))
    assert [str(root) for root in settings.file_roots] == [str(folder)]
    for document in documents[:2]:
        Client(settings).check(document.job_fields(template))


def test_stdin_is_identified_by_its_content(folder, stdin):
    identities = []
    for text in ("One", "One", "Two"):
        stdin(text.encode("utf-16"))
        [document], template = opened(DocumentSource(), "-")
        assert document.job_fields(template) == {"prompt": f"Summarise:\n{text}"} == document.job_fields(template)
        assert (document.name, document.label, document.location["name"]) == ("stdin", "stdin", "stdin")
        identities.append(document.identity)
    assert identities[0] == identities[1] != identities[2]


def test_rows_and_requests_can_come_from_stdin(folder, stdin):
    stdin(b'{"id": "x", "n": 1}\n{"id": "y", "n": 2}\n')
    rows, template = opened(DocumentSource(rows=True, id_column="id"), "-", prompt="{{ n }}")
    for _ in range(2):
        assert [row.job_fields(template) for row in rows] == [{"prompt": "1"}, {"prompt": "2"}]
    assert [row.label for row in rows] == ["stdin:1", "stdin:2"]
    stdin(json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {"input": "Well?"}}).encode())
    requests, template = opened(DocumentSource(requests=True), "-")
    [request] = requests
    assert request.job_fields(template) == {"messages": [{"role": "user", "content": "Well?"}]}


@pytest.mark.parametrize(
    ("source", "prompt", "reason"),
    [
        (DocumentSource(rows=True, requests=True), None, "--rows and --requests: use only one of them"),
        (DocumentSource(rows=True, attach="file_search"), None, "--rows and --attach"),
        (
            DocumentSource(attach="file_search", split=True),
            None,
            "--split and --max-chars apply to texts, not to --attach",
        ),
        (DocumentSource(rows=True, max_chars=5), None, "--split and --max-chars apply to texts, not to --rows"),
        (DocumentSource(id_column="a"), None, "--id-column needs --rows"),
        (DocumentSource(requests=True), "x", "each request has its own prompt"),
        (DocumentSource(encoding="klingon"), None, "--encoding klingon"),
        (DocumentSource(attach="file_search"), None, "stdin cannot be attached"),
    ],
)
def test_options_that_exclude_each_other_are_refused(source, prompt, reason):
    with pytest.raises(ThreadmillError, match=reason):
        opened(source, "-", prompt=prompt)


def test_files_are_in_natural_order(tmp_path):
    for name in ("memo 10.md", "memo 2.md", "b/1.md", "memo 02.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")

    assert [str(path.relative_to(tmp_path)) for path in find_files([str(tmp_path)])] == [
        "b/1.md",
        "memo 02.md",
        "memo 2.md",
        "memo 10.md",
    ]
    globbed = find_files([str(tmp_path / "memo *.md")])
    assert [path.name for path in globbed] == ["memo 02.md", "memo 2.md", "memo 10.md"]


@pytest.mark.parametrize("prompt", ["Summarise this", "Part {{ part }} of {{ parts }}", "{% set text = 1 %}{{ text }}"])
def test_a_prompt_that_does_not_use_the_document_is_refused(folder, prompt):
    (folder / "a.txt").write_text("One")
    (folder / "b.png").write_bytes(PNG)
    with pytest.raises(BadTemplate, match=r"does not use the document.* add \{\{ text \}\} or \{\{ name \}\}"):
        opened(DocumentSource(), "docs", prompt=prompt)
    with pytest.raises(BadTemplate, match="does not use the document"):
        opened(DocumentSource(split=True), "docs", prompt=prompt)


def test_a_prompt_can_omit_the_names_of_attached_files(folder):
    (folder / "b.png").write_bytes(PNG)
    opened(DocumentSource(), "docs", prompt="Describe it")
    (folder / "a.txt").write_text("One")
    opened(DocumentSource(attach="file_search"), "docs", prompt="Describe it")
    opened(DocumentSource(), "docs", prompt="What do you know of {{ path }}?")


@pytest.fixture
def rows(folder):
    def open_rows(content: str, prompt: str, id_column: str | None = None, name: str = "a.csv"):
        (folder / name).write_text(content)
        return opened(DocumentSource(rows=True, id_column=id_column), f"docs/{name}", prompt=prompt)

    return open_rows


def test_a_prompt_about_rows_must_use_a_column(rows):
    with pytest.raises(BadTemplate, match=r"add \{\{ text \}\} or \{\{ what \}\} or \{\{ amount \}\}"):
        rows("what,amount,Unit price\nTrain,3,1\n", "Is it too much?")
    for prompt in ("{{ amount }}", '{{ row["Unit price"] }}', "{{ text }}"):
        rows("what,amount,Unit price\nTrain,3,1\n", prompt)


def test_a_prompt_can_use_a_column_of_later_rows(rows):
    content = '{"what": "Train"}\n{"what": "Bus", "note": "late"}\n'
    documents, template = rows(content, "{{ note | default('on time') }}", name="a.jsonl")
    assert [row.job_fields(template)["prompt"] for row in documents] == ["on time", "late"]


def test_an_unknown_column_is_reported_with_the_existing_ones(rows):
    with pytest.raises(
        BadTemplate, match=r"there is no column amuont; there are what, amount\. It can also use text, "
    ):
        rows("what,amount\nTrain,3\n", "{{ amuont }}")
    with pytest.raises(BadTemplate, match=r"no attribute 'Unit prise'; there are Unit price\. It can also"):
        rows("Unit price\n3\n", '{{ row["Unit prise"] }}')


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", "what,amount\nTrain,3\n"), ("a.jsonl", '{"what": "Train"}\n{"amount": 3}\n')]
)
def test_an_unknown_id_column_is_reported_with_the_existing_ones(rows, name, content):
    with pytest.raises(ThreadmillError, match=rf"{name}: there is no column nope; there are what, amount$"):
        rows(content, "{{ amount }}", "nope", name)


def test_rows_that_all_have_a_problem_keep_their_reasons(rows):
    documents, _ = rows("what,amount\nTrain\n", "{{ amount }}")
    assert [row.problem for row in documents] == ["has 1 columns, the first line 2"]
    documents, _ = rows('{"id": "", "what": "Train"}\n', "{{ what }}", "id", "a.jsonl")
    assert [row.problem for row in documents] == ["has no 'id', which identifies the row (--id-column)"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--prompt", "Summarise this"], "does not use the document"),
        (["--prompt", "Summarise this", "--dry-run"], "does not use the document"),
        (["--prompt", "{{ text }}", "--prompt-file", "prompt.txt"], "--prompt and --prompt-file both give the prompt"),
    ],
)
def test_the_command_refuses_a_bad_prompt_before_it_starts(folder, options, reason):
    (folder / "a.txt").write_text("One")
    (folder.parent / "prompt.txt").write_text("{{ text }}")
    done = CliRunner().invoke(app, ["batch", "docs", "--endpoint", "emulator", *options])
    assert done.exit_code != 0
    assert reason in f"{done.exception} {' '.join(done.output.replace('│', '').split())}"
    assert not (folder.parent / "results.jsonl").exists()
