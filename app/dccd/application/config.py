"""The configuration: its sections, where it lies, and where the data lies."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_config_path, user_data_path
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from dccd.application.jobs import JobParams, JobSpec, JobTarget, Moment, SpanLabel, Start, Trigger
from dccd.domain.dataset import SPAN_TYPES
from dccd.domain.errors import ConfigError, UsageError
from dccd.domain.types import DataType

PathLike = str | os.PathLike[str]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SettingsConfig(_Section):
    """``[settings]``: what the Settings page shows first.

    Attributes
    ----------
    data_path : str or None
        Data folder; ``~`` is the home folder; None is the platform's place for a user's data.
    theme : {"system", "light", "dark"}
    timezone : {"UTC", "local"}
        How times are shown; they are stored in UTC.
    runs_retention_days : int
        How long the history of runs is kept.
    trash_days : int
        How long a deleted dataset can be had back.
    free_space_floor_gb : float
        Downloads wait while the disk has less free than this many gigabytes (10⁹ bytes).
    """

    data_path: str | None = None
    theme: Literal["system", "light", "dark"] = "system"
    timezone: Literal["UTC", "local"] = "UTC"
    runs_retention_days: int = Field(default=90, ge=1)
    trash_days: int = Field(default=7, ge=1)
    free_space_floor_gb: float = Field(default=1.0, ge=0, allow_inf_nan=False)


class SourceConfig(BaseModel):
    """``[sources.EXCHANGE]``: one exchange.

    Beside the fields, every ``*_url`` replaces the host of that name (a mirror, a regional host); which
    there are is the exchange's affair, see ``docs/configuration.md``.

    Attributes
    ----------
    enabled : bool
        Whether the exchange is offered.
    proxy : str or None
        Address of an HTTP proxy for this exchange.
    budgets : mapping of str to int
        Allowances to stay under instead of the exchange's own, by the exchange's names for them and in
        its units (Binance: weight a minute).
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    enabled: bool = True
    proxy: str | None = None
    budgets: Mapping[str, PositiveInt] = {}

    @model_validator(mode="before")
    @classmethod
    def _only_urls_beside_the_fields(cls, data: Any) -> Any:
        for name, value in data.items() if isinstance(data, Mapping) else ():
            if name in cls.model_fields:
                continue
            if not name.endswith("_url"):
                raise ValueError(f"unknown setting {name!r}")
            if not (isinstance(value, str) and re.match(r"(https?|wss?)://[^/\s]+", value)):
                raise ValueError(f"{name} must be an address such as https://api.example.com")
        return data

    @property
    def hosts(self) -> dict[str, str]:
        """Addresses by host name, as written: ``{"rest_url": "https://..."}``."""
        return dict(self.model_extra or {})


class JobConfig(_Section):
    """``[[jobs]]``: the same download for a list of pairs.

    Attributes
    ----------
    name : str
        Tells apart jobs that would have one id.
    pairs : tuple of str
        Symbols, in any form the exchange's list resolves.
    """

    name: str = ""
    exchange: str
    pairs: tuple[str, ...] = Field(min_length=1)
    data_type: DataType = DataType.OHLC
    span: SpanLabel | None = None
    start: Start = "last"
    end: Moment | None = None
    depth: int | None = Field(default=None, gt=0)
    trigger_kind: Literal["once", "manual"] = "manual"
    enabled: bool = True

    @model_validator(mode="after")
    def _span_where_it_belongs(self) -> JobConfig:
        if (self.data_type in SPAN_TYPES) != (self.span is not None):
            wants = "needs a span such as 1m or 1h" if self.span is None else "has no span"
            raise ValueError(f"{self.data_type} {wants}")
        return self

    def expand(self) -> list[JobSpec]:
        """One spec a pair."""
        params = JobParams(start=self.start, end=self.end, depth=self.depth)
        return [
            JobSpec.backfill(
                JobTarget(exchange=self.exchange, symbol=pair, data_type=self.data_type, span=self.span),
                params,
                trigger=Trigger(kind=self.trigger_kind),
                name=self.name,
                origin="config",
            ).model_copy(update={"enabled": self.enabled})
            for pair in self.pairs
        ]


class AppConfig(_Section):
    """All sections. Made by :func:`load_config`; ``AppConfig()`` is the defaults.

    Attributes
    ----------
    path : Path
        The file it was read from, or would be written to.
    data_path : Path
        The data folder: the explicit argument, else ``DCCD_DATA_PATH``, else ``settings.data_path``, else
        the platform's place.
    """

    settings: SettingsConfig = SettingsConfig()
    sources: Mapping[str, SourceConfig] = {}
    jobs: tuple[JobConfig, ...] = ()

    _path: Path | None = PrivateAttr(default=None)
    _data_path: Path | None = PrivateAttr(default=None)

    @field_validator("jobs")
    @classmethod
    def _job_ids_differ(cls, jobs: tuple[JobConfig, ...]) -> tuple[JobConfig, ...]:
        seen: set[str] = set()
        for spec in (spec for job in jobs for spec in job.expand()):
            if spec.id in seen:
                raise ValueError(f"two jobs are {spec.id}; give one of them a name")
            seen.add(spec.id)
        return jobs

    @property
    def path(self) -> Path:
        """The configuration file."""
        return self._path or default_config_path()

    @property
    def data_path(self) -> Path:
        """The data folder, absolute; nothing is created."""
        chosen = (
            self._data_path or self.settings.data_path or user_data_path("dccd", appauthor=False) / "data"
        )
        return Path(chosen).expanduser().absolute()

    @property
    def names_data_path_apart(self) -> bool:
        """Whether the data folder was named apart from the file: by an argument, or ``DCCD_DATA_PATH``."""
        return self._data_path is not None

    def located(self, path: Path | None, data_path: Path | None) -> AppConfig:
        """A copy that knows its file and, where one was given apart from it, its data folder."""
        made = self.model_copy()
        made._path, made._data_path = path, data_path
        return made

    def job_specs(self) -> list[JobSpec]:
        """The specs of all jobs."""
        return [spec for job in self.jobs for spec in job.expand()]


def default_config_path() -> Path:
    """``DCCD_CONFIG``, else ``config.toml`` in the platform's folder for a user's configuration."""
    named = os.environ.get("DCCD_CONFIG")
    return Path(named).expanduser() if named else user_config_path("dccd", appauthor=False) / "config.toml"


def load_config(path: PathLike | None = None, *, data_path: PathLike | None = None) -> AppConfig:
    """Read the configuration; what is not in the file has its default.

    Parameters
    ----------
    path : path, optional
        The file, which must exist when it is named here or by ``DCCD_CONFIG``.
    data_path : path, optional
        Data folder that wins over the file and over ``DCCD_DATA_PATH``.

    Raises
    ------
    ConfigError
        The file is missing, cannot be read, or has something in it that makes no sense: says where.
    """
    file = (Path(path).expanduser() if path is not None else default_config_path()).absolute()
    named = path is not None or "DCCD_CONFIG" in os.environ
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        if named:
            raise ConfigError(
                f"There is no configuration file {file}. Create it, or leave the option out."
            ) from None
        text = ""
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not text in UTF-8. Save it as that, or move the file away.") from error
    except OSError as error:
        raise ConfigError(
            f"The configuration {file} cannot be read ({error.strerror}). Make it readable, or name another."
        ) from error
    chosen = data_path if data_path is not None else os.environ.get("DCCD_DATA_PATH") or None
    return parse_config(text, file).located(file, None if chosen is None else Path(chosen))


def parse_config(text: str, file: Path) -> AppConfig:
    """The configuration written in `text`; `file` is named in errors.

    Raises
    ------
    ConfigError
        With the file, the line, and what is wrong with it.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{file} is not valid TOML: {error}. Mend that line, or move the file away."
        ) from None
    try:
        return AppConfig.model_validate(data)
    except UsageError as error:
        raise ConfigError(f"{file}: {error}") from None
    except ValidationError as error:
        lines = [
            f"{file}{_place(text, e['loc'])}: {_words(e['type'], e['loc'], e['msg'])}" for e in error.errors()
        ]
        raise ConfigError("; ".join(lines) + ". Mend it, or move the file away.") from None


# By pydantic's kind of error, where its own words are about Python.
_WORDS = {
    "model_type": "must be a section with settings of its own",
    "dict_type": "must be a section with settings of its own",
    "tuple_type": "must be a list, in square brackets",
    "too_short": "must have one item at least",
    "string_type": "must be text, in quotes",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "missing": "is missing",
}


def _words(kind: str, loc: tuple[int | str, ...], message: str) -> str:
    name = ".".join(str(part) for part in loc)
    if kind == "extra_forbidden":
        return f"unknown setting {name}"
    said = message.removeprefix("Value error, ").replace("Input should be", "must be")
    return f"{name}: {_WORDS.get(kind, said)}"


_HEADER = re.compile(r"\s*\[+\s*([^\]]+?)\s*\]+")
_KEY = re.compile(r"""\s*["']?([\w.-]+)["']?\s*=""")


def _place(text: str, loc: tuple[int | str, ...]) -> str:
    """``, line N`` of the setting at `loc`, or of the closest thing around it."""
    wanted = [str(part) for part in loc]
    table: list[str] = []
    counts: dict[str, int] = {}
    best, best_depth = 0, 0
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            name = header[1].replace('"', "").replace("'", "")
            table = name.split(".")
            if line.lstrip().startswith("[["):
                table.append(str(counts.get(name, 0)))
                counts[name] = counts.get(name, 0) + 1
            here = table
        elif key := _KEY.match(line):
            here = table + key[1].split(".")
        else:
            continue
        if here == wanted[: len(here)] and len(here) > best_depth:
            best, best_depth = number, len(here)
    return f", line {best}" if best else ""
