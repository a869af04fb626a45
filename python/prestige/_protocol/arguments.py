"""What methods take: types of arguments, for type checkers alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any, TypeAlias

from numpy.typing import NDArray
from typing_extensions import Buffer

Path: TypeAlias = str | PathLike[str]
Key: TypeAlias = str | bytes
Value: TypeAlias = str | Buffer | NDArray[Any]
Entries: TypeAlias = (
    Mapping[Key, Value]
    | Mapping[str, Value]
    | Mapping[bytes, Value]
    | Iterable[
        tuple[Key, Value]
        | tuple[Key, Value, int | None]
        | tuple[Key, Value, int | None, Mapping[str, str] | None]
    ]
)
