"""What a terminal is sent: names and answers come from users and servers, and none of them controls it."""

import io
import sys

import pytest
from rich.table import Table

from threadmill.names import printable
from threadmill_cli.app import _Console, write_line

#: Clears the screen, sets the window's title, hides text, turns its direction around.
CONTROLS = ["\x1b[2J", "\x1b]0;owned\x07", "\x9b2J", "\x08\x08", "\r", "\x7f", "\u202e", "\u2066", "\x00", "\udc80"]


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_a_terminal_gets_no_control_characters(control, monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr(written, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", written)
    write_line(f"one{control}\ttwo\nthree é 雪 👩‍🔬")
    text = written.getvalue()
    assert not any(mark in text for mark in "\x00\x07\x08\r\x1b\x7f\x9b\u202e\u2066\udc80")
    assert text.startswith("one")
    assert text.endswith("\ttwo\nthree é 雪 👩‍🔬\n")


@pytest.mark.parametrize("control", CONTROLS[:-1], ids=ascii)
def test_a_file_or_a_pipe_gets_the_text_as_it_is(control, capsys):
    write_line(f"one{control}two")
    assert capsys.readouterr().out == f"one{control}two\n"


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_remarks_and_tables_hold_no_control_characters(control):
    written = io.StringIO()
    console = _Console(file=written, force_terminal=True, color_system=None, width=80)
    table = Table("document")
    table.add_row(f"cell{control}")
    console.print(table)
    console.print(f"remark{control}", markup=False, soft_wrap=True)
    assert not any(mark in written.getvalue() for mark in "\x00\x07\x08\r\x1b\x7f\x9b\u202e\u2066\udc80")
    assert "cell" in written.getvalue()


def test_text_in_any_script_stays_as_it_is():
    for text in ("", "plain", "tab\tand\nline", "Grüße 雪 👩‍🔬", "שלום \u200fעולם", "می\u200cخواهم"):
        assert printable(text) == text
