"""Bars derived bit by bit, as trades come in any pieces and order, are those derived all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dccd.application.config import AppConfig
from dccd.application.jobs import JobParams, JobSpec, JobTarget
from dccd.application.operations.backfill import backfill
from dccd.application.service_factory import build_registry
from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import S_NS, parse_time
from dccd.storage.store import Store

START_NS = parse_time("2024-02-28T23:00")  # two days, so that trades lie in two files
SECONDS = 2 * 3600
SPANS = ("7m", "1h")

Trade = tuple[int, float, float, str | None]  # second, price, amount, side

trades = st.lists(
    st.tuples(
        st.integers(0, SECONDS - 1),
        st.floats(1e-3, 1e6),
        st.floats(1e-3, 1e6),
        st.sampled_from(("buy", "sell", None)),
    ),
    max_size=40,
).map(lambda found: sorted(found, key=lambda row: row[0]))
# A trade belongs to the piece of its second; those of piece 0 come late, into time that is covered already.
pieces = st.lists(st.integers(0, 3), min_size=8, max_size=8)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened: Store = Store.open(tmp_path_factory.mktemp("derive") / "data")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> AppConfig:
    folder: Path = tmp_path_factory.mktemp("config")
    return AppConfig().located(folder / "config.toml", folder / "data")


class Market:
    """A symbol of its own for each example."""

    count = 0

    def __init__(self, store: Store, config: AppConfig) -> None:
        Market.count += 1
        self._store, self._config = store, config
        self.name = f"binance:N{Market.count}-USDT"

    def put(self, rows: list[tuple[int, Trade]], covered: IntervalSet) -> None:
        """Store trades, each with its id."""
        log = self._store.begin_backfill(DatasetId.parse(f"{self.name}:trades"), "test", source="test")
        columns: dict[str, list[Any]] = {
            "ts": [START_NS + row[0] * S_NS for _, row in rows],
            "price": [row[1] for _, row in rows],
            "amount": [row[2] for _, row in rows],
            "side": [row[3] for _, row in rows],
            "tid_num": [number for number, _ in rows],
        }
        log.append(columns, covered)
        log.finish()

    def derive(self) -> None:
        """Derive all spans."""

        async def run() -> None:
            registry = build_registry(self._config)
            for span in SPANS:
                target = JobTarget.of(DatasetId.parse(f"{self.name}:ohlc:{span}"))
                spec = JobSpec.backfill(target, JobParams(derive_from="trades"))
                result = await backfill(spec, registry=registry, store=self._store)
                assert "error" not in result, result
            await registry.get("binance").aclose()

        asyncio.run(run())

    def bars(self, span: str) -> tuple[list[dict[str, Any]], IntervalSet]:
        """What is stored of a span: rows and coverage."""
        dataset = DatasetId.parse(f"{self.name}:ohlc:{span}")
        coverage = self._store.coverage(dataset).covered
        rows = [row for batch in self._store.read(dataset) for row in _plain(batch)] if coverage else []
        assert not self._store.info(dataset).gaps
        return rows, coverage


def _plain(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    table = pa.table(batch)
    return table.set_column(0, "ts", table["ts"].cast(pa.int64())).to_pylist()


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=trades, order=pieces, late=st.sets(st.integers(0, 39)))
def test_bit_by_bit_as_all_at_once(
    store: Store, config: AppConfig, rows: list[Trade], order: list[int], late: set[int]
) -> None:
    numbered = list(enumerate(rows))
    whole = IntervalSet.of(START_NS, START_NS + SECONDS * S_NS)
    at_once, by_bits = Market(store, config), Market(store, config)
    at_once.put(numbered, whole)
    at_once.derive()

    part_s = SECONDS // len(order)
    for piece in sorted(set(order)):
        parts = [part for part, own in enumerate(order) if own == piece]
        covered = IntervalSet(
            (START_NS + part * part_s * S_NS, START_NS + (part + 1) * part_s * S_NS) for part in parts
        )
        own = [(number, row) for number, row in numbered if row[0] // part_s in parts and number not in late]
        by_bits.put(own, covered)
        by_bits.derive()
    by_bits.put([(number, row) for number, row in numbered if number in late], IntervalSet())
    by_bits.derive()
    for span in SPANS:
        assert by_bits.bars(span) == at_once.bars(span)
