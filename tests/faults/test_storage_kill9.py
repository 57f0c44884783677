"""A real process on a real disk, killed without warning while it appends and publishes."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow.dataset

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import DAY_NS
from dccd.storage.store import Store

TRADES = DatasetId.parse("binance:BTC-USDT:trades")
START = 1_704_067_200_000_000_000
ROUNDS = 6
PAGE = 50
STEP_NS = DAY_NS // 400  # eight pages a day

# Writes page after page from where coverage ends; says each page's number once `append` has returned.
WRITER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from dccd.domain.coverage import IntervalSet
    from dccd.domain.dataset import DatasetId
    from dccd.storage.store import Store

    path, start, page, step = Path(sys.argv[1]), *map(int, sys.argv[2:])
    dataset = DatasetId.parse("binance:BTC-USDT:trades")
    store = Store.open(path)
    log = store.begin_backfill(dataset, "run", source="binance")
    covered = store.coverage(dataset).covered
    number = 0 if not covered else (covered.end_ns - start) // (page * step)
    while True:
        ids = range(number * page, (number + 1) * page)
        low, high = start + ids[0] * step, start + (ids[-1] + 1) * step
        columns = {"ts": [start + i * step for i in ids], "price": [float(i) for i in ids],
                   "amount": [1.0] * page, "tid_num": [*ids]}
        log.append(columns, IntervalSet.of(low, high), str(number))
        print(number, flush=True)
        if number % 3 == 2:
            log.publish_before(high)
        number += 1
    """
)


def test_every_page_that_was_appended_is_there_once(tmp_path: Path) -> None:
    rng = random.Random(4)
    last = -1
    for _ in range(ROUNDS):
        command = [sys.executable, "-c", WRITER, str(tmp_path), *map(str, (START, PAGE, STEP_NS))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(rng.randrange(1, 25)):
                last = int(writer.stdout.readline())
            writer.kill()
            rest = writer.stdout.read().split()
        last = int(rest[-1]) if rest else last
        store = Store.open(tmp_path)
        rows = [number for batch in store.read(TRADES) for number in batch["tid_num"].to_pylist()]
        assert rows == list(range(len(rows)))
        assert len(rows) >= (last + 1) * PAGE
        assert store.coverage(TRADES).covered == IntervalSet.of(START, START + len(rows) * STEP_NS)
        assert store.problems == () or all("no whole page" in problem.text for problem in store.problems)
        store.close()
    store = Store.open(tmp_path)
    store.publish()
    published = pyarrow.dataset.dataset(tmp_path / TRADES.folder, format="parquet").to_table()
    assert published.sort_by("tid_num")["tid_num"].to_pylist() == list(range(published.num_rows))
    assert published.num_rows >= (last + 1) * PAGE
    store.close()
