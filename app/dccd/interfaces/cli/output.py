"""How rows, sizes and times are printed."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import MS_NS, iso

if TYPE_CHECKING:
    import pyarrow as pa


def size(size_bytes: float) -> str:
    """``1.5 MB``: decimal units, as file managers print them."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"


def count(number: int, word: str) -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def arguments_of(dataset: str) -> str:
    """``binance BTC/USDT --type ohlc --span 1h``: a dataset, given by its id, on the command line."""
    named = DatasetId.parse(dataset)
    options = {"type": named.data_type, "span": named.span, "depth": named.depth}
    given = [f"--{name} {value}" for name, value in options.items() if value is not None]
    return " ".join((named.exchange, str(named.symbol), *given))


def mending(code: str | None) -> str:
    """What to do about an error with this code, where a damaged file is behind it; else nothing."""
    if code != "corrupt_file":
        return ""
    return " `dccd verify --mend` puts damaged files aside, and `dccd repair` fetches their time again."


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 20 s``, ``5 h 07 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def time_ms(ts_ms: int | None) -> str:
    """ISO-8601 of milliseconds UTC; a dash for none."""
    return "–" if ts_ms is None else iso(ts_ms * MS_NS)


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Columns of text, padded to their widest cell; those in `right` are right-aligned.

    Exchanges' words are among it: what would steer a terminal is shown as a question mark.
    """
    lines = [[_plain(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        cells = (
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join(cells).rstrip())


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def print_json(value: object) -> None:
    """Indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def rows_of(table: pa.Table) -> list[dict[str, object]]:
    """Rows with times as ISO-8601 text, exact to the nanosecond, and `ts_sub_ns` folded into them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    times = {field.name for field in table.schema if pa.types.is_timestamp(field.type)}
    plain = table.set_column(0, "ts", pc.cast(table["ts"], pa.int64()))
    for name in times - {"ts"}:
        index = plain.schema.get_field_index(name)
        plain = plain.set_column(index, name, pc.cast(plain[name], pa.int64()))
    rows = plain.to_pylist()
    for row in rows:
        sub_ns = row.pop("ts_sub_ns", None) or 0
        for name in times:
            if row[name] is not None:
                row[name] = iso(row[name] * 1000 + (sub_ns if name == "ts" else 0))
    return rows


def print_rows(table: pa.Table, form: str, *, first: bool) -> None:
    """Print rows as ``table``, ``csv`` (with a header when `first`) or ``json`` (a JSON object a line)."""
    rows = rows_of(table)
    names = [name for name in table.schema.names if name != "ts_sub_ns"]
    if form == "json":
        for row in rows:
            sys.stdout.write(json.dumps(row) + "\n")
    elif form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        if first:
            writer.writerow(names)
        writer.writerows([row[name] for name in names] for row in rows)
    else:
        text = [["" if row[name] is None else str(row[name]) for name in names] for row in rows]
        print_table(names, text, right=range(1, len(names)))
