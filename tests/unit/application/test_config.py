from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from dccd.application.config import (
    AppConfig,
    JobConfig,
    SettingsConfig,
    SourceConfig,
    load_config,
    parse_config,
)
from dccd.application.config_file import save_changes
from dccd.application.service_factory import SOURCES, check_sources
from dccd.domain.errors import ConfigError, UsageError

WRITTEN = """\
# my notes
[settings]
data_path = "~/lake"  # the big disk
theme = "dark"

[sources.binance]
rest_url = "http://127.0.0.1:8081"

[[jobs]]
exchange = "binance"
pairs = ["BTC/USDT", "ETH/USDT"]
span = "1h"
start = "2024-01-01"
"""


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DCCD_CONFIG", raising=False)
    monkeypatch.delenv("DCCD_DATA_PATH", raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(WRITTEN, encoding="utf-8")
    return path


def test_what_is_not_in_the_file_has_its_default(file: Path) -> None:
    config = load_config(file)
    assert config.settings.theme == "dark"
    assert config.settings.timezone == "UTC"
    assert config.sources["binance"].hosts == {"rest_url": "http://127.0.0.1:8081"}


def test_the_data_folder_is_the_argument_then_the_environment_then_the_file(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_config(file).data_path == Path.home() / "lake"
    monkeypatch.setenv("DCCD_DATA_PATH", str(tmp_path / "env"))
    assert load_config(file).data_path == tmp_path / "env"
    assert load_config(file, data_path=tmp_path / "given").data_path == tmp_path / "given"


def test_the_file_can_be_named_by_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCCD_CONFIG", str(file))
    assert load_config().path == file


def test_without_a_file_everything_has_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dccd.application.config.user_config_path", lambda *_, **__: tmp_path / "none")
    assert load_config().settings == AppConfig().settings


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"There is no configuration file .*gone\.toml"):
        load_config(tmp_path / "gone.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[settings]\ntheme = \n", r"x\.toml is not valid TOML: .*line 2.*Mend that line"),
        ('[settings]\n\ntheme = "pink"\n', r"x\.toml, line 3: settings\.theme: .*'light' or 'dark'"),
        ("[settings]\ncolour = 1\n", r"x\.toml, line 2: unknown setting settings\.colour"),
        ("[setings]\n", r"x\.toml, line 1: unknown setting setings"),
        ('[sources.binance]\nrest_url = "x.com"\n', r"line 1: sources\.binance: rest_url must be"),
        ("[sources.binance]\nspeed = 3\n", r"line 1: sources\.binance: unknown setting 'speed'"),
        ("[[jobs]]\nexchange='a'\npairs=['A/B']\n[[jobs]]\npairs=[]\n", r"line 5: jobs\.1\.pairs"),
        ('[[jobs]]\nexchange="a"\npairs=["A/B"]\n', r"line 1: jobs\.0: ohlc needs a span such as 1m or 1h"),
        ('[[jobs]]\nexchange="a"\npairs=["A/B"]\nspan="soon"\n', r"x\.toml: 'soon' is not a span"),
        (
            '[[jobs]]\nexchange="a"\npairs=["A/B","A/B"]\nspan="1m"\n',
            r"two jobs are backfill:a:A/B:ohlc:60s; give one of them a name",
        ),
    ],
)  # fmt: skip
def test_a_corrupt_file_is_one_sentence_with_its_place(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config(text, Path("x.toml"))


JOB = '[[jobs]]\nexchange="a"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("settings = 3\n", "line 1: settings: must be a section with settings of its own."),
        ("[sources]\nbinance = 3\n", "line 2: sources.binance: must be a section with settings of its own."),
        ("jobs = 3\n", "line 1: jobs: must be a list, in square brackets."),
        ("[settings]\ndata_path = 3\n", "line 2: settings.data_path: must be text, in quotes."),
        (
            "[settings]\nruns_retention_days = 1.5\n",
            "line 2: settings.runs_retention_days: must be a whole number.",
        ),
        (
            "[settings]\nruns_retention_days = 0\n",
            "line 2: settings.runs_retention_days: must be greater than or equal to 1.",
        ),
        ("[sources.binance]\nenabled = 7\n", "line 2: sources.binance.enabled: must be true or false."),
        ('[[jobs]]\npairs=["A/B"]\nspan="1m"\n', "line 1: jobs.0.exchange: is missing."),
        (f"{JOB}pairs=[]\n", "line 3: jobs.0.pairs: must have one item at least."),
        (
            f'{JOB}pairs=["A/B"]\nspan="1m"\nstart=2024-01-31\n',
            'line 5: jobs.0.start: must be a time in quotes, such as "2024-01-31", or nanoseconds.',
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_words_of_the_file(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_config(text, Path("x.toml"))
    assert str(raised.value) == f"x.toml, {said} Mend it, or move the file away."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[sources.binanse]\n", r"\[sources\.binanse\]: there is no exchange 'binanse'\. Known: .*binance"),
        (
            '[sources.binance]\nspot_url = "http://x"\n',
            r"sources\.binance\.spot_url: Binance has no such host",
        ),
        (
            "[sources.binance.budgets]\nmany = 3\n",
            r"sources\.binance\.budgets\.many: Binance has no such budget",
        ),
    ],
)
def test_names_that_no_exchange_knows_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_sources(parse_config(text, Path("x.toml")))


def test_a_job_is_one_spec_a_pair(file: Path) -> None:
    specs = load_config(file).job_specs()
    assert [spec.id for spec in specs] == [
        "backfill:binance:BTC/USDT:ohlc:3600s",
        "backfill:binance:ETH/USDT:ohlc:3600s",
    ]
    assert {spec.params.start for spec in specs} == {1_704_067_200_000_000_000}


def test_reference_fault_10_saving_a_setting_leaves_all_others_and_the_comments(file: Path) -> None:
    config = save_changes(load_config(file), {"settings": {"theme": "light"}})
    assert config.settings.theme == "light"
    assert file.read_text(encoding="utf-8") == WRITTEN.replace('"dark"', '"light"')


def test_a_change_made_by_hand_meanwhile_is_kept(file: Path) -> None:
    config = load_config(file)
    file.write_text(WRITTEN.replace("8081", "9999"), encoding="utf-8")
    changed = save_changes(config, {"settings": {"timezone": "local"}})
    assert changed.sources["binance"].hosts["rest_url"].endswith("9999")


def test_none_takes_a_setting_back_to_its_default(file: Path) -> None:
    changed = save_changes(load_config(file), {"settings": {"data_path": None}})
    assert changed.settings.data_path is None
    assert "theme" in file.read_text(encoding="utf-8")


def test_sections_and_lists_can_be_added(file: Path) -> None:
    job = {"exchange": "binance", "pairs": ["XRP/ETH"], "data_type": "trades"}
    changed = save_changes(
        load_config(file), {"jobs": [job], "sources": {"binance": {"budgets": {"spot": 10}}}}
    )
    assert [spec.id for spec in changed.job_specs()] == ["backfill:binance:XRP/ETH:trades"]
    assert load_config(file).model_dump() == changed.model_dump()
    assert changed.sources["binance"].hosts == {"rest_url": "http://127.0.0.1:8081"}


@pytest.mark.parametrize("changes", [{"settings": {"theme": "pink"}}, {"colours": {"a": 1}}])
def test_a_change_that_makes_no_sense_writes_nothing(file: Path, changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        save_changes(load_config(file), changes)
    assert file.read_text(encoding="utf-8") == WRITTEN


def test_a_corrupt_file_is_not_written_over(file: Path) -> None:
    config = load_config(file)
    file.write_text("[settings\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 1"):
        save_changes(config, {"settings": {"theme": "light"}})
    assert file.read_text(encoding="utf-8") == "[settings\n"


def test_the_file_is_made_where_there_was_none_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.toml"
    save_changes(AppConfig().located(path, None), {"settings": {"theme": "dark"}})
    assert load_config(path).settings.theme == "dark"
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in path.parent.iterdir()] == ["config.toml"]


def test_a_link_is_kept_and_what_it_points_to_replaced(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    save_changes(load_config(link), {"settings": {"theme": "light"}})
    assert link.is_symlink()
    assert '"light"' in file.read_text(encoding="utf-8")


def test_a_file_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(UsageError, match=r"Saving the configuration .* failed: .*Nothing was changed"):
        save_changes(AppConfig().located(blocked / "config.toml", None), {"settings": {"theme": "dark"}})


def test_every_setting_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")
    for section in (SettingsConfig, SourceConfig, JobConfig):
        for name in section.model_fields:
            assert f"| `{name}` |" in page
    for source in SOURCES:
        for name in (*source.budgets, *(host.setting for host in source.hosts.values())):
            assert f"`{name}`" in page


def test_the_documented_example_is_valid() -> None:
    page = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    config = parse_config(example, Path("example.toml"))
    check_sources(config)
    assert len(config.job_specs()) == 2
