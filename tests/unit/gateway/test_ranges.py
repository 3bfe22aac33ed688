"""The header `Range`: one range of bytes, as RFC 9110 has it."""

import pytest

from threadmill_gateway.jobs.ranges import Range, range_of
from threadmill_gateway.problems import Problem


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, Range(0, 10, is_part=False)),
        ("bytes=0-3", Range(0, 4, is_part=True)),
        ("bytes=4-", Range(4, 6, is_part=True)),
        ("bytes=-3", Range(7, 3, is_part=True)),
        ("bytes=-30", Range(0, 10, is_part=True)),
        ("bytes=8-99", Range(8, 2, is_part=True)),
        ("bytes=5-2", Range(0, 10, is_part=False)),
        ("bytes=0-1,4-5", Range(0, 10, is_part=False)),
        ("bytes=-", Range(0, 10, is_part=False)),
        ("lines=1-2", Range(0, 10, is_part=False)),
    ],
)
def test_what_a_range_asks_for(header, expected):
    assert range_of(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_a_range_outside_of_the_file_is_refused(header):
    with pytest.raises(Problem) as refused:
        range_of(header, 10)
    assert (refused.value.status, refused.value.headers) == (416, {"Content-Range": "bytes */10"})


def test_an_empty_file_has_no_part():
    assert range_of(None, 0) == Range(0, 0, is_part=False)
    with pytest.raises(Problem):
        range_of("bytes=0-", 0)
