"""Document sets of files: which files are found, and which are refused."""

import pytest

from threadmill.documents.errors import BadDocument
from threadmill.documents.find import find
from threadmill.documents.template import BadTemplate, PromptTemplate
from threadmill.documents.text import TextFile
from threadmill.errors import ThreadmillError
from threadmill.job.message import MESSAGE_LIMIT


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.md", "a.txt", "deep/c.txt", ".hidden", ".git/config", "deep/.swp"):
        path = tmp_path / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "docs"


def names(*paths: str) -> list[str]:
    return [document.name for document in find(paths)]


def test_a_folder_is_walked_in_order_and_hidden_files_are_left_out(folder):
    assert names("docs") == ["a.txt", "b.md", "c.txt"]


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["docs/*.txt"], ["a.txt"]),
        (["docs/**/*.txt"], ["a.txt", "c.txt"]),
        (["docs/b.md", "docs/a.txt"], ["b.md", "a.txt"]),
        (["docs/b.md", "docs"], ["b.md", "a.txt", "c.txt"]),
        (["docs/.hidden"], [".hidden"]),
    ],
)
def test_globs_and_files_are_found_each_once(folder, paths, found):
    assert names(*paths) == found


def test_ignored_files_are_left_out(folder):
    (folder / ".threadmillignore").write_text("# drafts\n*.md\n/deep/\n")
    assert names("docs") == ["a.txt"]
    assert names("docs/b.md") == ["b.md"]


@pytest.mark.parametrize("path", ["nowhere", "docs/*.pdf", "docs/empty"])
def test_a_path_without_files_is_an_error(folder, path):
    (folder / "empty").mkdir()
    with pytest.raises(ThreadmillError, match="no such file or folder, or no file in it"):
        find(["docs", path])


def test_a_glob_follows_no_loop_of_symlinks_and_takes_no_hidden_file(folder):
    (folder.parent / "outside.txt").write_text("not asked for")
    (folder / "deep" / "up").symlink_to("../..")
    (folder / "deep" / "loop").symlink_to(".")
    for pattern in ("docs/**/*", "docs/**", "./docs/**/*.*", str(folder / "**" / "*")):
        assert sorted(names(pattern)) == ["a.txt", "b.md", "c.txt"], pattern
    assert names("docs/.h*", "docs/deep/.*") == [".hidden", ".swp"]


@pytest.mark.parametrize("path", ["docs", "docs/*", "docs/**/*"])
def test_a_file_behind_symlinks_is_found_once_by_its_own_name(folder, path):
    (folder / "a-link.md").symlink_to("b.md")
    (folder / "z-link.txt").symlink_to("a.txt")
    assert [name for name in names(path) if name != "c.txt"] == ["a.txt", "b.md"]


def test_a_broken_link_is_a_bad_document(folder):
    (folder / "link.txt").symlink_to("gone.txt")
    [link] = [document for document in find(["docs"]) if document.name == "link.txt"]
    with pytest.raises(BadDocument, match="cannot be read: No such file or directory"):
        link.read()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b" \n\t", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"caf\xe9", r"is not UTF-8 text \(byte 0xe9 at 3\).*--encoding NAME, or convert it"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is not text but binary data"),
        (b"x" * 2_000_000, "has 2,000,000 bytes; a message holds 256,000 characters"),
    ],
)
def test_a_bad_document_has_a_reason(tmp_path, content, reason):
    path = tmp_path / "doc"
    path.write_bytes(content)
    with pytest.raises(BadDocument, match=reason):
        TextFile(path).read()


def test_a_deleted_document_has_a_reason(tmp_path):
    with pytest.raises(BadDocument, match="cannot be read: No such file or directory"):
        TextFile(tmp_path / "gone").read()
    with pytest.raises(BadDocument, match="cannot be read: Is a directory"):
        TextFile(tmp_path).read()


def test_a_byte_order_mark_is_not_part_of_the_text(tmp_path):
    path = tmp_path / "doc"
    path.write_bytes(b"\xef\xbb\xbf" + "天空".encode())
    assert TextFile(path).read() == "天空"


def _of(text: str) -> dict[str, str]:
    return {"text": text, "name": "", "path": ""}


def test_a_template_has_text_name_and_path(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("something")
    prompt = PromptTemplate("{{ name }}|{{ path }}|{{ text }}\n").render(TextFile(path).variables())
    assert prompt == f"a.txt|{path}|something\n"


def test_template_syntax_in_a_document_is_not_rendered(tmp_path):
    assert PromptTemplate("{{ text }}").render(_of("{{ 7 * 7 }}")) == "{{ 7 * 7 }}"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("{{ txt }}", "'txt' is undefined"),
        ("{{ text", "unexpected end of template"),
        ("{% for %}", "the prompt template"),
        ("{{ text.__class__.__mro__ }}", "unsafe"),
    ],
)
def test_an_unusable_template_is_refused(source, says):
    with pytest.raises(BadTemplate) as refused:
        PromptTemplate(source)
    assert says in str(refused.value)
    assert "It can use text, name, path" in str(refused.value)


def test_a_prompt_longer_than_a_message_is_refused(tmp_path):
    template = PromptTemplate("Summarise:\n{{ text }}")
    with pytest.raises(BadDocument, match=r"has 256,011 characters with the prompt.*Split the document"):
        template.render(_of("x" * MESSAGE_LIMIT))
    assert len(template.render(_of("x" * (MESSAGE_LIMIT - 11)))) == MESSAGE_LIMIT


def test_a_template_can_fail_for_one_document(tmp_path):
    template = PromptTemplate("{{ text.split(':')[1] if text != 'probe' else '' }}")
    assert template.render(_of("a:b")) == "b"
    with pytest.raises(BadDocument, match="the prompt template fails for this document"):
        template.render(_of("no colon"))


def test_a_name_that_is_not_utf_8_is_escaped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open(b"caf\xe9.txt", "w") as file:
        file.write("a text")
    [document] = find(["."])
    assert document.location == {"path": r"caf\udce9.txt", "name": r"caf\udce9.txt"}
    assert document.identity.isascii()
    assert document.variables()["text"] == "a text"
