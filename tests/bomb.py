"""A reply that is small until it is decompressed."""

import zlib

_gzip = zlib.compressobj(1, wbits=31)


def _million_spaces() -> bytes:
    return _gzip.compress(b" " * 1_000_000) + _gzip.flush(zlib.Z_FULL_FLUSH)  # after which a piece can be repeated


#: 300 MB of spaces, compressed as gzip does. It has no end.
BOMB = _million_spaces() + _million_spaces() * 299
