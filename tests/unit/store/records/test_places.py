"""Cursors: what a page returns finds its place again, and another text is refused."""

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadmill import InvalidCursor
from threadmill.store.records.places import START, Order, Place


@given(st.floats(0, 1e300), st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}", fullmatch=True), st.sampled_from(Order))
def test_a_cursor_finds_its_place(at, job_id, order):
    place = Place(at, job_id)
    assert Place.parse(place.cursor(order), order) == place


@given(st.text() | st.binary().map(lambda data: urlsafe_b64encode(data).decode()))
def test_another_text_is_refused_or_leads_to_a_place(text):
    try:
        place = Place.parse(text, Order.CREATED)
    except InvalidCursor:
        return
    assert place.cursor(Order.CREATED) == text


def encoded(text):
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "ÿ",
        encoded("created 1.0"),
        encoded("created inf j"),
        encoded("created nan j"),
        encoded("created 1e999 j"),
        encoded("created 1 j"),  # not as we write it
        encoded("created 1.0 j:events"),
        encoded("created 1.0 "),
        encoded("created -1.0 j"),
        encoded("stated 1.0 j"),
        Place(1.0, "j").cursor(Order.CREATED) + "=",
        Place(1.0, "j").cursor(Order.CHANGED),  # of a list in another order
        START.cursor(Order.CREATED),
    ],
    ids=ascii,
)
def test_an_invalid_cursor_is_named_and_the_remedy_too(cursor):
    with pytest.raises(InvalidCursor, match="is not a cursor of this list: take `next_cursor` of a page"):
        Place.parse(cursor, Order.CREATED)
