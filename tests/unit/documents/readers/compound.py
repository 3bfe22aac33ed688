"""Writes Compound File Binary files, in which Outlook and Excel before 2007 kept theirs ([MS-CFB])."""

import struct
from collections.abc import Mapping

Storage = Mapping[str, "bytes | Storage"]

_SECTOR, _MINI_SECTOR, _MINI_LIMIT = 512, 64, 4096
_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def compound(root: Storage) -> bytes:
    """Streams are bytes, storages are mappings; all streams are small."""
    entries: list[dict] = [{"name": "Root Entry", "type": 5, "child": _FREE, "next": _FREE}]
    mini, mini_fat = b"", []

    def add(storage: Storage) -> int:
        nonlocal mini
        first = previous = _FREE
        for name, content in storage.items():
            entry = {"name": name, "type": 2 if isinstance(content, bytes) else 1, "child": _FREE, "next": _FREE}
            number = len(entries)
            entries.append(entry)
            if isinstance(content, bytes):
                assert len(content) < _MINI_LIMIT
                count = -(-len(content) // _MINI_SECTOR)
                start = len(mini_fat)
                mini_fat.extend([*range(start + 1, start + count), _END][:count])
                entry |= {"start": start if count else _END, "size": len(content)}
                mini += content.ljust(count * _MINI_SECTOR, b"\0")
            else:
                entry["child"] = add(content)
            if previous == _FREE:
                first = number
            else:
                entries[previous]["next"] = number
            previous = number
        return first

    entries[0]["child"] = add(root)
    entries[0] |= {"size": len(mini)}
    mini_table = struct.pack(f"<{len(mini_fat)}I", *mini_fat)
    fat: list[int] = [_FAT]
    sectors = b""

    def place(content: bytes, fill: bytes) -> int:
        nonlocal sectors
        count = max(1, -(-len(content) // _SECTOR))
        start = len(fat)
        fat.extend([*range(start + 1, start + count), _END])
        sectors += content + fill * ((count * _SECTOR - len(content)) // len(fill))
        return start

    entries[0]["start"] = place(mini, b"\0")
    mini_fat_at = place(mini_table, struct.pack("<I", _FREE))
    directory_at = place(b"".join(map(_entry, entries)), _entry({"name": "", "type": 0, "child": _FREE, "next": _FREE}))
    assert len(fat) <= _SECTOR // 4
    header = struct.pack(
        "<8s16sHHHHH6xIIIIIIIIII",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", bytes(16), 0x3E, 3, 0xFFFE, 9, 6,
        0, 1, directory_at, 0, _MINI_LIMIT, mini_fat_at, max(1, -(-len(mini_table) // _SECTOR)), _END, 0, 0,
    )  # fmt: skip
    table = struct.pack(f"<{len(fat)}I", *fat).ljust(_SECTOR, b"\xff")
    return header.ljust(_SECTOR, b"\xff") + table + sectors


def _entry(entry: dict) -> bytes:
    name = entry["name"].encode("utf-16-le")
    return struct.pack(
        "<64sHBBIII16xI8x8xIQ",
        name, len(name) + 2 if name else 0, entry["type"], 1, _FREE, entry["next"], entry["child"], 0,
        entry.get("start", 0), entry.get("size", 0),
    )  # fmt: skip
