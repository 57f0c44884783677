"""A real process that streams into a real disk, killed without warning: what was flushed is there, once."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
from pathlib import Path

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.storage.store import Store

DATASETS = [DatasetId.parse(f"kraken:{base}-USD:trades") for base in ("BTC", "ETH", "SOL")]
START = 1_704_067_200_000_000_000
STEP_NS = 2_000_000_000_000  # 43 rows a day: some flushes reach into two periods
EACH = 10
ROUNDS = 3

# Streams rows from where coverage ends into each dataset, anonymous twins among them; publishes now and then.
# Says how many rows of each dataset are acknowledged once `flush` has returned.
STREAMER = textwrap.dedent(
    """
    import sys, threading
    from pathlib import Path
    from dccd.domain.coverage import IntervalSet
    from dccd.domain.dataset import DatasetId
    from dccd.storage.store import Store

    path, start, step, each = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    datasets = [DatasetId.parse(text) for text in sys.argv[5:]]
    store = Store.open(path)
    log = store.stream_log()
    ends = [store.coverage(dataset).covered.end_ns or start for dataset in datasets]
    number = (min(ends) - start) // step
    def publish():
        while True:
            store.publish()
    threading.Thread(target=publish, daemon=True).start()
    while True:
        for dataset in datasets:
            for place in range(number, number + each):
                ts = start + place * step
                rows = {"ts": [ts, ts], "price": [float(place)] * 2, "amount": [1.0] * 2}
                log.append(dataset, rows, IntervalSet.of(ts, ts + step), source="kraken", observation="run")
        number += each
        log.flush()
        print(number, flush=True)
    """
)


def test_every_row_that_was_flushed_is_there_once(tmp_path: Path) -> None:
    rng = random.Random(7)
    acknowledged = 0
    for _ in range(ROUNDS):
        arguments = [str(tmp_path), *map(str, (START, STEP_NS, EACH)), *map(str, DATASETS)]
        command = [sys.executable, "-c", STREAMER, *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as streamer:
            assert streamer.stdout is not None
            for _ in range(rng.randrange(2, 6)):
                acknowledged = int(streamer.stdout.readline())
            streamer.kill()
            rest = streamer.stdout.read().split()
        acknowledged = int(rest[-1]) if rest else acknowledged
        store = Store.open(tmp_path)
        check(store, acknowledged)
        store.publish()
        check(store, acknowledged)
        assert [problem for problem in store.problems if "no whole page" not in problem.text] == []
        store.close()


def check(store: Store, acknowledged: int) -> None:
    for dataset in DATASETS:
        prices = [price for batch in store.read(dataset) for price in batch["price"].to_pylist()]
        assert prices == [float(number // 2) for number in range(len(prices))]
        assert len(prices) >= 2 * acknowledged
        assert store.coverage(dataset).covered == IntervalSet.of(START, START + len(prices) // 2 * STEP_NS)
