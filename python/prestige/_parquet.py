"""Keys, values and times as Parquet files, through the optional package ``pyarrow``.

Columns: ``key`` and ``value`` (binary), ``created`` and ``expires`` (timestamps in microseconds,
UTC; ``expires`` is null for keys that do not expire), ``metadata`` (a map of text to text; null for
values without any).
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import exceptions
from .exceptions import InvalidArgumentError, PrestigeError

if TYPE_CHECKING:
    from ._native import Store
    from ._remote import RemoteStore

# Rows read at once; their bytes are bounded by what a file puts into one row.
READ_ROWS = 1024
# Parquet counts microseconds in signed 64 bits.
LATEST_US = 2**63 - 1


def export(
    store: Store | RemoteStore, path: str | os.PathLike[str], prefix: str | bytes | None
) -> int:
    """Write the keys that begin with ``prefix``. See ``Store.export_parquet``."""
    arrow, parquet = _pyarrow()
    schema = arrow.schema(
        [
            arrow.field("key", arrow.binary(), nullable=False),
            arrow.field("value", arrow.binary(), nullable=False),
            arrow.field("created", arrow.timestamp("us", tz="UTC"), nullable=False),
            arrow.field("expires", arrow.timestamp("us", tz="UTC")),
            arrow.field("metadata", arrow.map_(arrow.string(), arrow.string())),
        ]
    )
    target = Path(path).absolute()
    if target.is_dir():
        raise InvalidArgumentError(f"{target} is a directory; name a file")
    if Path(store.path).resolve() in target.resolve().parents:
        raise InvalidArgumentError(f"{target} lies in the store; choose a place outside of it")
    with replacing(target) as file, parquet.ParquetWriter(file, schema, compression="zstd") as out:

        def write(
            keys: list[bytes],
            values: list[bytes],
            created: list[int],
            expires: list[int | None],
            metadata: list[dict[str, str] | None],
        ) -> None:
            latest = [None if time is None else min(time, LATEST_US) for time in expires]
            pairs = [None if of_value is None else list(of_value.items()) for of_value in metadata]
            columns = [keys, values, created, latest, pairs]
            arrays = [
                arrow.array(column, field.type)
                for column, field in zip(columns, schema, strict=True)
            ]
            out.write_batch(arrow.record_batch(arrays, schema=schema))

        return store._export_batches(prefix, write)


def load(store: Store | RemoteStore, path: str | os.PathLike[str]) -> int:
    """Put the keys of a file. See ``Store.import_parquet``."""
    arrow, parquet = _pyarrow()
    imported = row = 0
    try:
        with parquet.ParquetFile(path) as file:
            columns = _columns(arrow, file.schema_arrow, path)
            for batch in file.iter_batches(batch_size=READ_ROWS, columns=columns):
                place = f"{os.fspath(path)}, rows {row + 1} to {row + batch.num_rows}"
                imported += _put(arrow, store, batch, place)
                row += batch.num_rows
    except arrow.ArrowInvalid as error:
        raise InvalidArgumentError(f"{os.fspath(path)} is no Parquet file: {error}") from error
    except OSError as error:
        if isinstance(error, PrestigeError):
            raise
        raise exceptions.IOError(f"cannot read {os.fspath(path)}: {error}") from error
    return imported


def _put(arrow: Any, store: Store | RemoteStore, batch: Any, place: str) -> int:  # noqa: ANN401 - pyarrow has no types
    """Put the rows of a record batch; the error names their place."""

    def column(name: str) -> list[Any]:
        if name not in batch.schema.names:
            return [None] * batch.num_rows
        values = batch.column(name)
        if arrow.types.is_map(values.type):
            return [
                None if pairs is None else _metadata(pairs, place) for pairs in values.to_pylist()
            ]
        if arrow.types.is_timestamp(values.type):
            values = values.cast(arrow.timestamp("us", values.type.tz), safe=False)
            listed: list[Any] = values.cast(arrow.int64()).to_pylist()
        else:
            listed = values.cast(arrow.large_binary()).to_pylist()
        return listed

    keys, values = column("key"), column("value")
    for name, cells in (("key", keys), ("value", values)):
        if None in cells:
            raise InvalidArgumentError(
                f"{place}: row {cells.index(None) + 1} of them has no {name}"
            )
    created, expires = column("created"), column("expires")
    if any(time is not None and time < 0 for time in created):
        raise InvalidArgumentError(f"{place}: `created` has a time before 1970")
    try:
        return store._import_batch(
            keys,
            values,
            created,
            [None if time is None else max(time, 0) for time in expires],
            column("metadata"),
        )
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{place}: {error}") from error


def _metadata(pairs: list[tuple[str, str | None]], place: str) -> dict[str, str]:
    """Make a dictionary of the pairs of a map; the error names their place."""
    metadata: dict[str, str] = {}
    for name, text in pairs:
        if text is None:
            raise InvalidArgumentError(f"{place}: `metadata` has no text under {name!r}")
        metadata[name] = text
    return metadata


def _columns(arrow: Any, schema: Any, path: str | os.PathLike[str]) -> list[str]:  # noqa: ANN401
    """Name the columns to read, after a look at their types."""
    kinds = arrow.types
    found = []
    text = (kinds.is_binary, kinds.is_large_binary, kinds.is_string, kinds.is_large_string)
    wanted = {
        "key": (text, "binary or text"),
        "value": (text, "binary or text"),
        "created": ((kinds.is_timestamp,), "timestamps"),
        "expires": ((kinds.is_timestamp,), "timestamps"),
        "metadata": ((lambda kind: _is_text_map(kinds, kind),), "a map of text to text"),
    }
    for name, (allowed, expected) in wanted.items():
        required = name in {"key", "value"}
        if schema.names.count(name) != 1:
            if required or name in schema.names:
                raise InvalidArgumentError(
                    f"{os.fspath(path)} should have one column `{name}`; "
                    f"its columns are {', '.join(schema.names)}"
                )
            continue
        kind = schema.field(name).type
        if kinds.is_dictionary(kind):
            kind = kind.value_type
        if not any(fits(kind) for fits in allowed):
            raise InvalidArgumentError(
                f"{os.fspath(path)}: the column `{name}` should be {expected} and is {kind}"
            )
        found.append(name)
    return found


def _is_text_map(kinds: Any, kind: Any) -> bool:  # noqa: ANN401
    parts = (kind.key_type, kind.item_type) if kinds.is_map(kind) else ()
    return len(parts) == 2 and all(
        kinds.is_string(part) or kinds.is_large_string(part) for part in parts
    )


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Any]:
    """Open a temporary file that takes the place of ``target`` when it is complete and durable."""
    temporary = target.with_name(f"{target.name}.partial-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, PrestigeError):
            raise exceptions.IOError(f"cannot write {target}: {error}") from error
        raise


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow  # noqa: PLC0415 - an optional dependency
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as error:
        raise ImportError(
            "Parquet files need the package pyarrow: pip install 'prestige-cache[parquet]'"
        ) from error
    return pyarrow, pyarrow.parquet
