"""The lines of a file come out whole, wherever the network cuts the bytes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadmill_worker.drivers.http.bodies import lines
from threadmill_worker.drivers.replies.json import UnusableReply


async def cut(text: bytes, *places: int):
    for start, stop in pairwise(sorted({0, len(text), *(place for place in places if place < len(text))})):
        yield text[start:stop]


@given(st.lists(st.sampled_from([b"a", b"\n", b"bc", b"\r"])).map(b"".join), st.lists(st.integers(0, 20)))
async def test_lines_are_the_same_for_every_cut(text, places):
    found = [line async for line in lines(cut(text, *places), limit=1000)]

    expected = text.split(b"\n")
    assert found == (expected if expected[-1] else expected[:-1])


async def test_a_line_that_does_not_end_is_refused():
    with pytest.raises(UnusableReply, match="more than 4 bytes"):
        [line async for line in lines(cut(b"ab\nabcdef", 2, 5), limit=4)]
