"""Frames of an event stream come out whole, wherever the network cuts the bytes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadmill_worker.drivers.streaming.sse import Frame, Frames, TooLong


def frames_of(*chunks: bytes) -> list[Frame]:
    frames = Frames(limit=1000)
    return [frame for chunk in chunks for frame in frames.feed(chunk)]


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        (b"event: a\ndata: {}\n\n", [("a", b"{}")]),
        (b"event:a\ndata:{}\n\n", [("a", b"{}")]),
        (b"data: 1\nevent: a\n\n", [("a", b"1")]),
        (b"event: a\r\ndata: 1\r\n\r\nevent: b\r\ndata: 2\r\n\r\n", [("a", b"1"), ("b", b"2")]),
        (b"event: a\rdata: 1\r\revent: b\rdata: 2\r\r", [("a", b"1"), ("b", b"2")]),
        (b"event: a\ndata: 1\ndata:  2\ndata\n\n", [("a", b"1\n 2\n")]),
        (b": a comment\n\nevent: a\n: another\nid: 7\nretry: 10\ndata: 1\n\n", [("a", b"1")]),
        (b"\n\n\ndata: 1\n\n\n\n", [("", b"1")]),
        (b"event: a\n\n", []),
        (b"event: a\ndata: 1\n", []),
        (b"event: a\ndata: x\ndata: y\n\n", [("a", b"x\ny")]),
        ("event: a\ndata: Brötchen ✓\n\n".encode(), [("a", "Brötchen ✓".encode())]),
    ],
)
def test_the_forms_a_frame_may_have(text, frames):
    assert frames_of(text) == frames


lines = st.sampled_from(
    [b"event: a", b"event:b", b"data: {}", b"data:1", b"data", b": hm", b"", b"", b"id: 1", "data: ✓".encode()]
)
ends = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(st.lists(st.tuples(lines, ends).map(b"".join)).map(b"".join), st.lists(st.integers(0, 200)))
def test_any_cut_gives_the_same_frames(text, cuts):
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    chunks = [text[start:stop] for start, stop in pairwise(places)]

    assert frames_of(*chunks) == frames_of(text) == frames_of(*(text[n : n + 1] for n in range(len(text))))


@given(st.lists(st.tuples(lines, st.just(b"\n")).map(b"".join)).map(b"".join), ends)
def test_any_line_end_gives_the_same_frames(text, end):
    assert frames_of(text.replace(b"\n", end)) == frames_of(text)


def test_a_frame_that_does_not_end_is_abandoned():
    frames = Frames(limit=100)
    assert list(frames.feed(b"data: " + b"a" * 90)) == []
    with pytest.raises(TooLong):
        list(frames.feed(b"aaaaaa"))
