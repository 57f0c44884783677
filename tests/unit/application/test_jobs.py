from __future__ import annotations

import pytest
from pydantic import ValidationError

from dccd.application.jobs import JobParams, JobSpec, JobTarget, RunState, job_id
from dccd.application.requests import BackfillRequest
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import InvalidRange
from dccd.domain.types import DataType

HOUR = JobTarget(exchange="binance", symbol="BTC/USDT", data_type=DataType.OHLC, span="1h")


@pytest.mark.parametrize(
    ("target", "name", "expected"),
    [
        (HOUR, "", "backfill:binance:BTC/USDT:ohlc:3600s"),
        (HOUR, "nightly", "backfill:binance:BTC/USDT:ohlc:3600s#nightly"),
        (
            JobTarget(exchange="binance", symbol="BTC/USDT:USDT", data_type=DataType.TRADES),
            "",
            "backfill:binance:BTC/USDT:USDT:trades",
        ),
    ],
)
def test_job_id(target: JobTarget, name: str, expected: str) -> None:
    assert job_id("backfill", target, name) == expected


@pytest.mark.parametrize("spelling", ["1h", "60m", 3600, "hourly", "3600"])
def test_a_span_is_kept_as_its_label(spelling: str | int) -> None:
    assert JobTarget.model_validate(HOUR.model_dump() | {"span": spelling}) == HOUR


@pytest.mark.parametrize(
    ("start", "kept"),
    [
        ("last", "last"),
        ("origin", "origin"),
        ("2024-01-01", 1_704_067_200_000_000_000),
        ("2024-01-01T01:00+01:00", 1_704_067_200_000_000_000),
        (1_704_067_200_000_000_000, 1_704_067_200_000_000_000),
        ("1704067200000000000", 1_704_067_200_000_000_000),
    ],
)
def test_a_start_is_a_word_or_a_moment(start: str | int, kept: str | int) -> None:
    assert JobParams.model_validate({"start": start}).start == kept


def test_a_start_that_is_neither_says_how_to_write_it() -> None:
    with pytest.raises(InvalidRange, match=r"'yesterday' is not a time\. Write it like 2024-01-31"):
        JobParams.model_validate({"start": "yesterday"})


def test_params_survive_json() -> None:
    params = JobParams.model_validate({"start": "2024-01-01", "end": "2024-02-01", "depth": 50})
    assert JobParams.model_validate_json(params.model_dump_json()) == params


def test_a_request_is_a_target_and_parameters() -> None:
    asked = {"exchange": " Binance", "symbol": "BTC/USDT", "data_type": "ohlc", "span": "60m"}
    request = BackfillRequest.model_validate(asked | {"start": "2024-01-01"})
    assert request.target == HOUR
    assert request.params == JobParams(start=1_704_067_200_000_000_000)


def test_a_target_names_its_dataset() -> None:
    dataset = DatasetId.parse("binance:BTC-USDT:ohlc:1h")
    assert JobTarget.of(dataset) == HOUR


def test_specs_do_not_change_and_take_no_unknown_fields() -> None:
    spec = JobSpec.backfill(HOUR)
    with pytest.raises(ValidationError, match="frozen"):
        spec.enabled = False
    with pytest.raises(ValidationError, match="Extra inputs"):
        JobParams.model_validate({"begin": "last"})


def test_final_states() -> None:
    assert [state for state in RunState if not state.final] == [RunState.PENDING, RunState.RUNNING]
