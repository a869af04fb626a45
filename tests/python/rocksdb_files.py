"""Just enough of RocksDB's file formats to damage a log where it hurts, and to make a database.

A log (a WAL or a MANIFEST) is a sequence of records in blocks of 32 KiB:

    0         4         6       7
    │ CRC-32C │ length  │ type  │ payload │      little-endian

Type 1 is a whole record, 2 to 4 are the first, middle and last part of a long one. A block ends
with zeros where no header fits. The CRC covers type and payload, and is masked.
Source: https://github.com/facebook/rocksdb/wiki/Write-Ahead-Log-File-Format
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

BLOCK_BYTES = 32_768
HEADER_BYTES = 7
WHOLE = 1


class Record(NamedTuple):
    """Where a physical record begins, and the length of its payload."""

    offset: int
    length: int

    @property
    def payload(self) -> int:
        """Where the payload begins."""
        return self.offset + HEADER_BYTES

    @property
    def end(self) -> int:
        """Where the next record begins."""
        return self.payload + self.length


def records(log: bytes) -> list[Record]:
    """The physical records of an undamaged log."""
    found, offset = [], 0
    while offset + HEADER_BYTES <= len(log):
        left = BLOCK_BYTES - offset % BLOCK_BYTES
        if left < HEADER_BYTES:
            offset += left
            continue
        checksum, length, kind = struct.unpack_from("<IHB", log, offset)
        record = Record(offset, length)
        assert checksum == masked_crc32c(log[offset + 6 : record.end]), (offset, kind)
        found.append(record)
        offset = record.end
    return found


def _table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


CRC_TABLE = _table()


def masked_crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) of `data`, masked as LevelDB and RocksDB store it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def log_file(payloads: list[bytes]) -> bytes:
    """A log of short records."""
    log = b"".join(
        struct.pack("<IHB", masked_crc32c(bytes([WHOLE]) + payload), len(payload), WHOLE) + payload
        for payload in payloads
    )
    assert len(log) <= BLOCK_BYTES
    return log


def _string(text: bytes) -> bytes:
    assert len(text) < 128
    return bytes([len(text)]) + text


COMPARATOR = b"\x01" + _string(b"leveldb.BytewiseComparator")


def new_manifest(log_number: int) -> bytes:
    """The first record of a database: comparator, log number (2), next file (3), sequence (4)."""
    return COMPARATOR + bytes([2, log_number, 3, 10, 4, 0])


def make_foreign_database(path: Path, family: str | None = None) -> None:
    """Makes a RocksDB database that holds one key, as another application would leave it behind.

    Without `family` the key is in the default column family, otherwise in one of that name.
    """
    edits = [new_manifest(log_number=3)]
    target = b""
    if family is not None:
        # 200 column family, 201 its name when it is added, 203 largest column family.
        added = b"\xc8\x01\x01\xc9\x01" + _string(family.encode()) + COMPARATOR + b"\x02\x03"
        edits += [added, b"\xcb\x01\x01"]
        target = b"\x01"
    # A write batch: sequence, count, then one put (1, or 5 and the family).
    batch = struct.pack("<QI", 1, 1) + (b"\x05" + target if target else b"\x01")
    batch += _string(b"key") + _string(b"value")
    path.mkdir()
    (path / "MANIFEST-000004").write_bytes(log_file(edits))
    (path / "000003.log").write_bytes(log_file([batch]))
    (path / "CURRENT").write_text("MANIFEST-000004\n")
