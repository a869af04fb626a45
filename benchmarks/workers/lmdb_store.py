"""`lmdb`: a memory-mapped B+ tree, without deduplication."""

from __future__ import annotations

from pathlib import Path

import lmdb

from workers.adapter import Adapter

DISTRIBUTION = "lmdb"

MAP_BYTES = 1 << 36
"""Address space for the map; files grow with what is written."""


class Lmdb(Adapter):
    """An `lmdb.Environment`, with a transaction for each call.

    As in the other stores a put is visible when it returns, and a get sees the latest one. A read
    transaction that is kept open gets faster, and old values.
    """

    def __init__(self, folder: Path) -> None:
        environment = lmdb.open(str(folder / "store"), map_size=MAP_BYTES, sync=False)
        begin = environment.begin

        def put(key: bytes, value: bytes) -> None:
            with begin(write=True) as transaction:
                transaction.put(key, value)

        def get(key: bytes) -> bytes:
            with begin() as transaction:
                return transaction.get(key)

        self.put = put
        self.get = get
        self.close = environment.close

    def key(self, number: int) -> bytes:
        """As in the other stores, as bytes, which is all that lmdb takes."""
        return super().key(number).encode()


open_store = Lmdb
