"""Which bytes of a file a request asks for."""

import pytest

from threadmill_gateway.files.ranges import asked_range
from threadmill_gateway.requests.problems import Problem


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-3", (0, 4)),
        ("bytes=4-", (4, 10)),
        ("bytes=4-100", (4, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-100", (0, 10)),
        ("bytes=0-1,4-5", None),
        ("bytes=3-1", None),
        ("bytes=-", None),
        ("lines=1-2", None),
        ("bytes=٣-٤", None),
    ],
)
def test_a_range_is_read_or_ignored(header, expected):
    assert asked_range(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_a_range_outside_the_file_is_refused(header):
    with pytest.raises(Problem) as refused:
        asked_range(header, 10)
    assert (refused.value.status, refused.value.headers) == (416, {"Content-Range": "bytes */10"})


def test_an_empty_file_has_no_range():
    assert asked_range(None, 0) is None
    with pytest.raises(Problem):
        asked_range("bytes=0-", 0)
