"""Sorting a log by time, in bounded memory: sorted runs on disk, then one merge.

Files of reviews come user by user or in no order at all, and may be larger than memory.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

RUN_BYTES = 256 * 1024 * 1024
"""One run in memory. Sorting takes it twice; a smaller one makes more files to merge."""

READ_ROWS = 16_384


class Sorter:
    """Reads a log once: counts its rows, notes its items, and keeps the rows sorted by time.

    Parameters
    ----------
    scratch
        Makes the folder for what doesn't fit; called at most once.
    keep_rows
        Whether the rows are wanted: not where the log is in order anyway.
    run_bytes
        What is sorted in memory at once.
    """

    def __init__(
        self, scratch: Callable[[], Path], *, keep_rows: bool, run_bytes: int = RUN_BYTES
    ) -> None:
        self.rows = 0
        self.item_ids: dict[str, None] = {}
        self._scratch = scratch
        self._keep_rows = keep_rows
        self._run_bytes = run_bytes
        self._folder: Path | None = None
        self._files: list[Path] = []
        self._rest: pa.Table | None = None

    def read(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Take in all rows."""
        run: list[pa.RecordBatch] = []
        size = 0
        for batch in batches:
            places = pa.array(range(self.rows, self.rows + batch.num_rows), pa.int64())
            self.rows += batch.num_rows
            unique = batch.column("item_id").unique().to_pylist()
            self.item_ids.update(dict.fromkeys(unique))
            if self._keep_rows:
                run.append(batch.append_column("row", places))
                size += batch.nbytes
            if size > self._run_bytes:
                self._spill(_sorted(run))
                run, size = [], 0
        if run:
            self._rest = _sorted(run)

    def columns(self) -> Iterator[list[list[Any]]]:
        """The rows in time order, a few thousand at a time: the columns, and the rows' places."""
        runs = [_read_back(path) for path in self._files]
        if self._rest is not None:
            runs.append(iter(self._rest.to_batches(max_chunksize=READ_ROWS)))
        if len(runs) == 1:
            for batch in runs[0]:
                yield [column.to_pylist() for column in batch.columns]
            return
        merged = heapq.merge(*(_rows(run) for run in runs), key=lambda row: (row[0], row[-1]))
        for row in merged:
            yield [[value] for value in row]

    def _spill(self, table: pa.Table) -> None:
        if self._folder is None:
            self._folder = self._scratch()
        path = self._folder / f"run-{len(self._files)}.arrow"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=READ_ROWS)
        self._files.append(path)


def _sorted(run: list[pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches(run).sort_by([("ts_ms", "ascending"), ("row", "ascending")])


def _read_back(path: Path) -> Iterator[pa.RecordBatch]:
    with pa.OSFile(str(path), "rb") as source, pa.ipc.open_stream(source) as reader:
        yield from reader


def _rows(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[Any, ...]]:
    for batch in batches:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
