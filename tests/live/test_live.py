"""What ``dccd doctor`` tries, against the real exchanges: ``pytest -m live tests/live``, with a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from dccd.application.config import parse_config
from dccd.application.operations.doctor import DoctorParams, DoctorResult
from dccd.application.service_factory import SOURCES, build_service

pytestmark = pytest.mark.live


@pytest.mark.parametrize("exchange", [source.id for source in SOURCES])
async def test_all_that_is_declared_works(exchange: str, data_path: Path, tmp_path: Path) -> None:
    config = parse_config("", Path("config.toml")).located(tmp_path / "config.toml", data_path)
    async with build_service(config) as service:
        submission = await service.mending.doctor(DoctorParams(exchanges=[exchange]))
        run = await service.wait(submission.run_id)
    assert run.error is None
    findings = DoctorResult.model_validate(run.result).findings
    assert findings
    assert {f"{it.market} {it.what} {it.transport}": it.words for it in findings if not it.works} == {}
