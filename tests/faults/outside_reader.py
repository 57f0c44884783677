"""A reader that knows nothing of the program: reads a dataset's files in a loop, and judges each reading.

Run as a process: `python outside_reader.py ENGINE FOLDER COUNTERS`. `COUNTERS` is a file of three 64-bit
integers that the writer keeps: the id below which all rows were in files, the id up to which rows may be, and
whether to end. Says `ready` first, at the end how often it read and had to ask again, or what was wrong.
"""

from __future__ import annotations

import mmap
import struct
import sys
from collections.abc import Callable
from pathlib import Path


class AskAgain(Exception):
    """The reader found a file replaced between its own looks at it, and says so in its own words.

    DuckDB 2.0 and Polars ask for a file's length first and open it later; the answer is an error, never rows.
    """


def duckdb_ids(folder: str) -> list[int]:
    import duckdb

    try:
        rows = duckdb.execute(f"SELECT tid_num FROM read_parquet('{folder}/*.parquet')").fetchall()
    except duckdb.Error as error:
        raise AskAgain from error
    return [row[0] for row in rows]


def polars_ids(folder: str) -> list[int]:
    import polars as pl

    try:
        return pl.scan_parquet(f"{folder}/*.parquet").select("tid_num").collect()["tid_num"].to_list()
    except (pl.exceptions.ComputeError, pl.exceptions.PanicException) as error:
        raise AskAgain from error


def pyarrow_ids(folder: str) -> list[int]:
    import pyarrow.dataset as ds

    return ds.dataset(folder, format="parquet").to_table(columns=["tid_num"])["tid_num"].to_pylist()  # type: ignore[return-value]


ENGINES: dict[str, Callable[[str], list[int]]] = {
    "duckdb": duckdb_ids,
    "polars": polars_ids,
    "pyarrow": pyarrow_ids,
}


def main(engine: str, folder: str, counters: str) -> None:
    read, times, again = ENGINES[engine], 0, 0
    with Path(counters).open("r+b") as file, mmap.mmap(file.fileno(), 24) as shared:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        over = False
        while not over:
            safe, _, over = struct.unpack("<3q", shared[:])
            try:
                ids = read(folder)
            except AskAgain:
                again += 1
                over = False
                continue
            possible = struct.unpack("<3q", shared[:])[1]
            times += 1
            found = set(ids)
            if len(ids) != len(found):
                sys.exit(f"reading {times}: {len(ids) - len(found)} rows twice")
            if missing := set(range(safe)) - found:
                sys.exit(f"reading {times}: {len(missing)} of {safe} rows missing, from {min(missing)} on")
            if more := found - set(range(possible)):
                sys.exit(f"reading {times}: {len(more)} rows that nobody wrote")
    sys.stdout.write(f"{times} {again}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
