"""Numbers and names on a page."""

import pytest

from threadmill.reports.rendering.formatting import count, duration, money, single_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a  b\n\tc", "a b c"),
        ("invoice\u202efdp.exe", "invoice\ufffdfdp.exe"),
        ("a\u200eb\u2066c", "a\ufffdb\ufffdc"),
        ("bell\x07", "bell\ufffd"),
        ("天氣 e\u0301", "天氣 e\u0301"),
    ],
)
def test_a_single_line_has_no_hidden_characters(text, shown):
    assert single_line(text) == shown


def test_a_count_has_its_noun_in_singular_or_plural():
    assert [count(1, "document"), count(12345, "document"), count(0, "reply", "replies")] == [
        "1 document",
        "12,345 documents",
        "0 replies",
    ]
    assert count(12345) == "12,345"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 0 s"), (3599.6, "1 h 0 min"), (7384, "2 h 3 min")],
)
def test_a_duration_has_two_units_at_most(seconds, shown):
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0, "0.00 EUR"), (0.00001, "under 0.0001 EUR"), (0.0123, "0.0123 EUR"), (1234.5, "1,234.50 EUR")],
)
def test_small_amounts_have_four_digits(amount, shown):
    assert money(amount, "EUR") == shown
