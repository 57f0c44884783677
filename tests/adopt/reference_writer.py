# mypy: ignore-errors
"""Run in the environment of the dccd 3 package: makes a data folder with that package's own code.

``python reference_writer.py ASKED.json FOLDER``, where the file asks for datasets and runs, and for a
configuration.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from dccd.application.config import AppConfig
from dccd.application.service_factory import (
    build_coverage_store,
    build_runs_store,
    build_store,
)
from dccd.domain import records
from dccd.domain.dataset import DatasetId, Provenance
from dccd.domain.symbol import Symbol
from dccd.domain.types import DataType

RECORDS = {
    "ohlc": "OHLCBar",
    "trades": "Trade",
    "orderbook": "OrderBookSnapshot",
    "funding": "FundingRate",
    "open_interest": "OpenInterest",
}


def main(asked_file: str, folder: str) -> None:
    """Make what is asked for."""
    asked = json.loads(Path(asked_file).read_text(encoding="utf-8"))
    store: Any = build_store(folder)
    for dataset in asked["datasets"]:
        made: Any = DatasetId(
            exchange=dataset["exchange"],
            symbol=Symbol.parse(dataset["symbol"]),
            data_type=DataType(dataset["data_type"]),
            span=dataset["span"],
        )
        kind = getattr(records, RECORDS[dataset["data_type"]])
        rows = [kind(**row) for row in dataset["rows"]]
        # In two parts, as a download and the one after it.
        for part in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
            store.save(made, part, Provenance(source=f"{dataset['exchange']}:rest"))
        build_coverage_store(folder).record(made, min_ts=rows[0].ts, max_ts=rows[-1].ts, rows_added=len(rows))
    for spec_id, started_ns, ended_ns in asked["runs"]:
        runs: Any = build_runs_store(folder)
        operation, exchange, symbol = spec_id.split(":")[:3]
        run_id = f"{spec_id}@{started_ns}"
        runs.create_run(run_id, spec_id, operation, exchange, symbol, "-", started_at=started_ns)
        runs.finish_run(run_id, "succeeded", ended_at=ended_ns)
    if asked["config"]:
        config: Any = AppConfig.model_validate(asked["config"])
        config.all_job_specs()
        with (Path(folder) / "config.yml").open("w", encoding="utf-8") as file:
            yaml.safe_dump(config.model_dump(), file)


main(*sys.argv[1:])
