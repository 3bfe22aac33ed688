"""Tables on stdout."""

import os

import pytest

from threadmill_cli.rendering.table import write_table

ROWS = [("job-1", "succeeded", "為什麼天空是藍色的? And why is the sea?"), ("job-22", "failed", "Well?")]
HEADER = ("id", "state", "prompt")


def test_columns_are_aligned_and_never_cut_off_a_terminal(capsys):
    write_table(HEADER, ROWS)
    assert capsys.readouterr().out.splitlines() == [
        "id      state      prompt",
        "job-1   succeeded  為什麼天空是藍色的? And why is the sea?",
        "job-22  failed     Well?",
    ]


def test_lines_end_at_the_right_edge_of_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((30, 24)))
    write_table(HEADER, ROWS)
    assert capsys.readouterr().out.splitlines() == [
        "id      state      prompt",
        "job-1   succeeded  為什麼天空",
        "job-22  failed     Well?",
    ], "a character of two cells is not cut in half"


@pytest.mark.parametrize("rows", [[], [("a", "b", "")]])
def test_a_table_always_has_its_header(capsys, rows):
    write_table(HEADER, rows)
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(rows)
