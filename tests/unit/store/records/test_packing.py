"""Long texts of a record are compressed, and damage of them is an error of one kind."""

from base64 import b64encode
from zlib import compress

import pytest

from threadmill.store.records.packing import pack, unpack, unpack_readable

LONG = '{"text": "' + "Größe 😀 " * 200 + '"}'
DAMAGED = {
    "no base64": "zlib:!",
    "not compressed": "zlib:AAAA",
    "cut": pack(LONG)[:-40],
    "no text": "zlib:" + b64encode(compress(b"\xff")).decode(),
}


def test_a_short_text_stays_as_it_is():
    assert pack('{"text": "Why?"}') == unpack('{"text": "Why?"}') == '{"text": "Why?"}'


def test_a_long_text_becomes_a_short_line():
    packed = pack(LONG)
    assert packed.isascii()
    assert packed.isprintable()
    assert len(packed) < len(LONG) / 10
    assert unpack(packed) == LONG


@pytest.mark.parametrize("field", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_text_raises_a_value_error(field):
    with pytest.raises(ValueError, match=r"."):
        unpack(field)


def test_what_is_not_damaged_is_readable():
    lines = [pack(LONG), '{"text": "Why?"}', *DAMAGED.values()]
    assert unpack_readable("\n".join(lines)).split("\n") == [LONG, '{"text": "Why?"}', *DAMAGED.values()]
