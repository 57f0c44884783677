"""The configuration of the dccd 3 package: what comes along, and that nothing else is lost unsaid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dccd.application.config import AppConfig, parse_config
from dccd.application.operations.adopt_config import ConfigReport, adopt_config, plan_config
from dccd.domain.errors import ConfigError
from tests.adopt.conftest import write_with_reference

ASKED: dict[str, Any] = {
    "settings": {
        "data_path": "/old/crypto",
        "timezone": "Europe/Paris",
        "ui_port": 9000,
        "ui_auth_token": "hidden-token",
        "runs_retention_days": 30,
    },
    "storage": {"remotes": [{"remote": "s3:bucket/hidden-path"}], "min_free_gb": 5.0},
    "alerts": {"webhook_url": "https://hooks.example.com/hidden-hook"},
    "jobs": [
        {"exchange": "Binance", "pairs": ["BTC/USDT", "ETH-USDT"], "span": 3600, "trigger_kind": "manual",
         "start": "2024-01-31"},
        {"exchange": "binance", "pairs": ["BTC/USDT"], "span": 3600, "every": 7200},
        {"exchange": "kraken", "pairs": ["XBT/EUR"], "data_type": "trades", "trigger_kind": "cron",
         "cron": "5 4 * * *", "start": "origin"},
        {"exchange": "binance", "pairs": ["BTC/USDT:perp"], "span": 2592000, "trigger_kind": "once"},
        {"exchange": "okx", "pairs": ["BTC/USDT"], "data_type": "trades", "operation": "stream",
         "trigger_kind": "supervised"},
        {"exchange": "bybit", "pairs": ["BTC/USDT"], "data_type": "orderbook", "operation": "backfill",
         "trigger_kind": "manual", "depth": 50, "snapshot_interval": 10},
    ],
}  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> AppConfig:
    return AppConfig().located(tmp_path / "config.toml", tmp_path / "data")


@pytest.fixture(scope="module")
def old_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("configuration") / "crypto"
    folder.mkdir()
    write_with_reference(folder, [], config=ASKED)
    return folder / "config.yml"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yml"
    path.write_text(text, encoding="utf-8")
    return path


def not_carried(report: ConfigReport) -> dict[str, str]:
    return {item.place: item.reason for item in report.not_carried}


@pytest.mark.needs("reference")
def test_what_the_package_wrote_comes_along_and_the_rest_is_told(old_config: Path, config: AppConfig) -> None:
    before = old_config.read_bytes()
    made, report = adopt_config(old_config, config)
    assert made.settings.runs_retention_days == 30
    jobs = {spec.id: spec for spec in made.job_specs()}
    assert sorted(jobs) == [
        "backfill:binance:BTC/USDT:ohlc:3600s",
        "backfill:binance:BTC/USDT:ohlc:3600s#adopted",
        "backfill:binance:BTC/USDT:perp:ohlc:2592000s",
        "backfill:binance:ETH-USDT:ohlc:3600s",
        "backfill:bybit:BTC/USDT:orderbook",
        "backfill:kraken:XBT/EUR:trades",
    ]
    first = jobs["backfill:binance:BTC/USDT:ohlc:3600s"]
    assert (first.params.start, first.trigger.kind) == (1_706_659_200_000_000_000, "manual")
    assert jobs["backfill:kraken:XBT/EUR:trades"].params.start == "origin"
    assert jobs["backfill:binance:BTC/USDT:perp:ohlc:2592000s"].target.span == "1mo"
    assert jobs["backfill:binance:BTC/USDT:perp:ohlc:2592000s"].trigger.kind == "once"
    assert jobs["backfill:bybit:BTC/USDT:orderbook"].params.depth == 50
    assert not_carried(report).keys() == {
        "settings.data_path",
        "settings.timezone",
        "settings.ui_port",
        "settings.ui_auth_token",
        "storage.local_path",
        "storage.remotes",
        "storage.min_free_gb",
        "alerts.webhook_url",
        "jobs[1].trigger_kind",
        "jobs[2].trigger_kind",
        "jobs[4]",
        "jobs[5].snapshot_interval",
    }
    assert old_config.read_bytes() == before


@pytest.mark.needs("reference")
def test_no_secret_is_repeated(old_config: Path, config: AppConfig) -> None:
    _, report = adopt_config(old_config, config)
    assert "hidden" not in report.model_dump_json()
    assert "hidden" not in config.path.read_text(encoding="utf-8")


@pytest.mark.needs("reference")
def test_a_plan_writes_nothing_and_a_second_time_adds_nothing(old_config: Path, config: AppConfig) -> None:
    planned = plan_config(old_config, config)
    assert not config.path.exists()
    made, report = adopt_config(old_config, config)
    assert report.jobs == planned.jobs
    text = config.path.read_text(encoding="utf-8")
    _, again = adopt_config(old_config, made)
    assert (again.jobs, again.jobs_there) == ([], 5)
    assert config.path.read_text(encoding="utf-8") == text


def test_what_a_job_cannot_be_here_stands_in_the_file_as_a_comment(tmp_path: Path, config: AppConfig) -> None:
    config.path.write_text(
        '# mine\n[[jobs]] # and this\nexchange = "binance"\npairs = ["A/B"]\nspan = "1m"\n'
    )
    old = written(
        tmp_path,
        "jobs:\n"
        "- {exchange: binance, pairs: [BTC/USDT], span: 60, every: 300}\n"
        "- {exchange: okx, pairs: [BTC/USDT], data_type: trades, operation: stream}\n",
    )
    made, _ = adopt_config(old, parse_config(config.path.read_text(), config.path).located(config.path, None))
    lines = config.path.read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["# mine", "[[jobs]] # and this"]
    assert [line for line in lines if line.startswith("# from")] == [
        "# from the configuration of dccd 3, not carried over: binance BTC/USDT ohlc 60 (every 300 s)",
        "# from the configuration of dccd 3, not carried over: okx BTC/USDT trades (stream)",
    ]
    assert [job.pairs for job in made.jobs] == [("A/B",), ("BTC/USDT",)]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("", []),
        ("settings:\n", []),
        ("settings: 5\njobs: no\nmore: {a: 1}\n", ["settings", "jobs", "more"]),
        ("settings: {ui_prot: 1, 7: 8}\n", ["settings.ui_prot", "settings.7"]),
        ("settings: {runs_retention_days: 0}\n", ["settings.runs_retention_days"]),
        ("jobs: [5, {exchange: [a], pairs: x, color: red}]\n", ["jobs[0]", "jobs[1].color", "jobs[1]"]),
        ("jobs: [{exchange: binance, pairs: [5], span: 60}]\n", ["jobs[0]"]),
        ("jobs: [{exchange: binance, pairs: [A/B], span: never, trigger_kind: [1]}]\n", ["jobs[0]"]),
        ("jobs: [{exchange: binance, pairs: [A/B], data_type: {}, span: 1m, start: soon}]\n", ["jobs[0]"]),
    ],
)
def test_what_makes_no_sense_is_told_and_not_fatal(
    tmp_path: Path, config: AppConfig, text: str, places: list[str]
) -> None:
    made, report = adopt_config(written(tmp_path, text), config)
    assert [item.place for item in report.not_carried] == places
    assert made.jobs == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("settings: [\n", "config.yml, line 2: not valid YAML"),
        ("- a\n- b\n", "it has no sections"),
        ("a: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
        ("start: 2024-13-99\n", "cannot be read as YAML"),
        ("[" * 1500, "cannot be read as YAML|not valid YAML"),
        ("a: " + "x" * (1 << 20), "too large"),
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, config: AppConfig, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plan_config(written(tmp_path, text), config)
    with pytest.raises(ConfigError, match="cannot be read"):
        plan_config(tmp_path / "missing.yml", config)


def test_nested_references_that_would_fill_the_memory_cost_nothing(tmp_path: Path, config: AppConfig) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    lines.append("jobs: [{exchange: *a11, pairs: *a11, operation: *a11, cron: *a11}]")
    report = plan_config(written(tmp_path, "\n".join(lines)), config)
    assert report.not_carried[-1].place == "jobs[0]"


def test_days_are_taken_as_the_package_takes_them(tmp_path: Path, config: AppConfig) -> None:
    job = "{{exchange: binance, pairs: [A/B], span: 60, trigger_kind: manual, start: {}}}"
    starts = ["2024-01-31", "'2024-01-31T16:00:00'", "2024-01-31 16:00:00", "'1706659200000000000'"]
    for start in starts:
        report = plan_config(written(tmp_path, f"jobs: [{job.format(start)}]"), config)
        assert [row["start"] for row in report.jobs] == [1_706_659_200_000_000_000], start
