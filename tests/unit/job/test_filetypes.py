"""Which files the tools take, and what an image is told by."""

import pytest

from threadmill.job.filetypes import IMAGE_HEAD, extensions, image_type, media_type, unfit

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


@pytest.mark.parametrize(
    ("name", "tools"),
    [
        ("report.pdf", ["file_search", "code_interpreter"]),
        ("REPORT.PDF", ["file_search"]),
        ("figures.csv", ["code_interpreter"]),
        ("figures.xlsx", ["code_interpreter"]),
        ("photo.jpeg", ["code_interpreter"]),
        ("old.doc", ["file_search"]),
        ("main.go", ["file_search"]),
        ("/a.folder/x.tar.zip", ["code_interpreter"]),
    ],
)
def test_files_that_the_tools_take(name, tools):
    assert unfit(name, tools) is None


@pytest.mark.parametrize(
    ("name", "tools", "says"),
    [
        ("setup.exe", ["code_interpreter"], "code_interpreter does not take .exe files; convert it: code_interpreter"),
        ("figures.csv", ["file_search"], "file_search does not take .csv files; attach it for code_interpreter, or"),
        (
            "main.go",
            ["file_search", "code_interpreter"],
            "code_interpreter does not take .go files; attach it for file",
        ),
        ("Makefile", ["file_search"], "file_search does not take files without an extension; convert it: file_search"),
        (".txt", ["file_search"], "files without an extension"),
        ("a.folder/notes", ["file_search"], "files without an extension"),
    ],
)
def test_a_file_they_do_not_take_has_reason_and_remedy(name, tools, says):
    reason = unfit(name, tools)
    assert reason is not None
    assert says in reason
    assert " .pdf " in reason, "it names what the tool does take"


def test_the_tables_are_those_of_the_documentation():
    assert len(extensions("code_interpreter")) == 26
    assert " ".join(extensions("file_search")) == (
        ".c .cpp .cs .css .doc .docx .go .html .java .js .json .md .pdf .php .pptx .py .rb .sh .tex .ts .txt"
    )


def test_media_types_go_by_the_extension():
    assert [media_type(name) for name in ("a.pdf", "a.CSV", "a.jpg", "a.unknown", "a")] == [
        "application/pdf",
        "text/csv",
        "image/jpeg",
        "application/octet-stream",
        "application/octet-stream",
    ]


@pytest.mark.parametrize(
    ("content", "is_a"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
        (b"GIF89a\1\0\1\0", "image/gif"),
        (b"GIF87a\1\0\1\0", "image/gif"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\x24\0\0\0WAVEfmt ", None),
        (b"GIF88a", None),
        (b"\x89PNG", None),
        (b"%PDF-1.7", None),
        (b"<svg xmlns=", None),
        (b"", None),
    ],
)
def test_an_image_is_recognised_by_its_first_bytes(content, is_a):
    assert image_type(content[:IMAGE_HEAD]) == is_a
