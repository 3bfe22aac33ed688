"""File names from names that models and documents have."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadmill.filenames import NAME_LIMIT, numbered, safe_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("/mnt/data/out.csv", "out.csv"),
        ("..\\..\\evil.exe", "evil.exe"),
        ("../..", "file-a"),
        ("", "file-a"),
        ("...hidden", "hidden"),
        ("folder/", "folder"),
        ("a\nb\x00c\u202egnp.exe", "abcgnp.exe"),
        ('what? <"now">.txt', "what_ __now__.txt"),
        ("CON", "_CON"),
        ("lpt1.txt", "_lpt1.txt"),
        ("console.txt", "console.txt"),
        ("dot. ", "dot"),
        ("e\u0301.txt", "\u00e9.txt"),
        ("報告.pdf", "報告.pdf"),
        ("報" * 100 + ".pdf", "報" * 48 + ".pdf"),
        ("a." + "x" * 200, "a." + "x" * 148),
    ],
)
def test_names_are_valid_on_any_file_system(name: str, safe: str) -> None:
    assert safe_name(name, "file-a") == safe


@given(st.text(), st.text(), st.integers(1, 2000))
def test_no_name_gets_out_of_its_folder(name: str, fallback: str, number: int) -> None:
    safe = numbered(safe_name(name, fallback), number)
    assert safe == Path(safe).name
    assert safe == unicodedata.normalize("NFC", safe)
    assert 0 < len(safe.encode()) <= NAME_LIMIT
    assert not safe.startswith(".")
    assert not set(safe) & set('/\\<>:"|?*\n\0')
