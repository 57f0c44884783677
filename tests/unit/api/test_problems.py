"""Errors as problems: codes, statuses, words."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from dccd.domain import errors
from dccd.domain.errors import AmbiguousSymbol, DccdError, DiskFull, Throttled
from dccd.interfaces.api import models, problems
from tests.unit.api.running import Running


def every_error(kind: type[DccdError] = DccdError) -> Iterator[type[DccdError]]:
    """The tree, from a class down."""
    yield kind
    for below in kind.__subclasses__():
        yield from every_error(below)


@pytest.mark.parametrize("kind", list(every_error()), ids=lambda kind: kind.__name__)
def test_every_error_has_a_status(kind: type[DccdError]) -> None:
    error = kind.__new__(kind)
    status = problems.status_of(error)
    assert 400 <= status < 600
    wrong_use = issubclass(kind, errors.UsageError | errors.AccessDenied)
    assert (status < 500) == wrong_use or kind.code in ("data_folder_locked", "too_many_streams")


def test_codes_are_unique_where_they_are_named() -> None:
    named = [kind.code for kind in every_error() if "code" in vars(kind)]
    assert len(named) == len(set(named))


def test_a_problem_says_what_retry_and_choices_there_are() -> None:
    throttled = problems.problem_response(Throttled("Binance asks for a pause.", 11.2))
    assert throttled.headers["retry-after"] == "12"
    assert json.loads(bytes(throttled.body))["retry_after_s"] == 11.2
    ambiguous = problems.problem_response(AmbiguousSymbol("binance", "BTC/USD:perp", ["A", "B"]))
    assert json.loads(bytes(ambiguous.body))["choices"] == ["A", "B"]
    full = json.loads(bytes(problems.problem_response(DiskFull("No room.")).body))
    assert full == {
        "type": "urn:dccd:problem:disk_full",
        "title": "Disk full",
        "status": 507,
        "detail": "No room.",
        "code": "disk_full",
        "retryable": True,
        "errors": [],
        "choices": [],
        "retry_after_s": None,
        "incident": None,
    }


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"symbol": "BTC/USDT", "data_type": "ohlc"}, "exchange", "is missing"),
        ({"exchange": "", "symbol": "x", "data_type": "ohlc"}, "exchange", "must not be empty"),
        ({"exchange": "a", "symbol": "x", "data_type": "candles"}, "data_type", "must be one of 'ohlc'"),
        ({"exchange": "a", "symbol": "x", "data_type": "ohlc", "path": "/"}, "path", "is not a member"),
        ({"exchange": "a", "symbol": "x" * 201, "data_type": "ohlc"}, "symbol", "is longer than 200"),
        (
            {"exchange": "a", "symbol": "x", "data_type": "orderbook", "depth": 0},
            "depth",
            "must be at least 1, not 0",
        ),
        (
            {"exchange": "a", "symbol": 5, "data_type": "ohlc"},
            "symbol",
            "is wrong: input should be a valid string",
        ),
    ],
)
def test_what_is_wrong_with_a_member_is_said_in_words(
    body: dict[str, object], field: str, words: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        models.BackfillRequest.model_validate(body)
    (error,) = problems.InvalidRequest.of(caught.value).errors
    assert error.field == field
    assert error.message.startswith(words)


async def test_validation_errors_name_their_fields(api: Running) -> None:
    answer = await api.local.post("/api/plan", json={"exchange": "binance", "symbol": "BTC/USDT"})
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["errors"] == [{"field": "data_type", "message": "is missing"}]
    assert problem["detail"] == "data_type is missing."


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"\xff"])
async def test_a_body_that_is_no_object_is_said_to_be(api: Running, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    problem = (await api.local.post("/api/plan", content=body, headers=headers)).json()
    assert problem["code"] == "invalid_request"
    assert problem["errors"][0]["field"] == "body"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"limit": "many"}, "limit is wrong"),
        ({"limit": "0"}, "limit must be at least 1"),
        ({"page": "2"}, "page is not a member of this request"),
        ([("limit", "1"), ("limit", "2")], "limit is given twice"),
    ],
)
async def test_a_wrong_query_is_said_in_words(api: Running, query: dict[str, str], words: str) -> None:
    problem = (await api.local.get("/api/runs", params=query)).json()
    assert problem["detail"].startswith(words)
    none_taken = (await api.local.get("/api/health", params={"a": "1"})).json()
    assert none_taken["errors"] == [{"field": "a", "message": "is not a parameter of this request"}]


async def test_a_fault_of_ours_tells_an_incident_and_no_internals(
    api: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> list[object]:
        raise RuntimeError("the secret internals")

    monkeypatch.setattr(api.service, "inventory", broken)
    answer = await api.local.get("/api/inventory")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (500, "internal")
    assert "internals" not in answer.text
    assert problem["incident"] in problem["detail"]
    assert problem["incident"] in caplog.text
    assert "the secret internals" in caplog.text
    assert (await api.local.get("/api/health")).status_code == 200


async def test_the_wrong_method_is_a_problem(api: Running) -> None:
    answer = await api.local.delete("/api/health")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
