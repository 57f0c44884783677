"""The YAML configuration of the dccd 3 package as settings and jobs here; what has no place is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dccd.application.config import JobConfig, SettingsConfig
from dccd.domain.dataset import SPAN_TYPES
from dccd.domain.errors import ConfigError, DccdError
from dccd.domain.types import DataType

_SIZE_MAX = 1 << 20

# What it does where nothing is written; a value written all the same asks for nothing.
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "settings": {
        "data_path": "./data/crypto", "timezone": "local", "ui_host": "127.0.0.1", "ui_port": 8080,
        "ui_auth_token": None, "ui_allow_origins": [], "ui_readonly": False, "ui_rate_limit": 0,
        "ui_trusted_proxy": False, "runs_retention_days": 90,
    },
    "storage": {"local_path": "", "remotes": [], "sync_interval": 3600, "min_free_gb": 0.0},
    "alerts": {"webhook_url": None, "max_consecutive_errors": 3},
}  # fmt: skip
_REASONS = {
    "settings.data_path": "it is where the old data lies; the data folder here is chosen apart from it",
    "settings.ui_host": "only this computer is listened to; see docs/security.md",
    "settings.ui_port": "the port is named when serving: dccd serve --port N",
    "settings.ui_auth_token": "access is by tickets and a secret of its own; see docs/security.md",
    "settings.ui_allow_origins": "other sites are never let in; see docs/security.md",
    "settings.ui_trusted_proxy": "only this computer is listened to; see docs/security.md",
    "storage.local_path": "it is where the old data lies; the data folder here is chosen apart from it",
    "storage.remotes": "this version makes no copies elsewhere",
    "storage.sync_interval": "this version makes no copies elsewhere",
    "storage.min_free_gb": "no data is deleted to make room; downloads wait at settings.free_space_floor_gb",
    "alerts.webhook_url": "this version calls no webhook",
    "alerts.max_consecutive_errors": "this version calls no webhook",
}
_NO_COUNTERPART = "this version has no such setting"
_UNKNOWN = "the package has no such setting either"
_JOB_KEYS = {
    "exchange", "pairs", "data_type", "operation", "span", "trigger_kind", "every", "cron", "start", "depth",
    "snapshot_interval",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class NotCarried:
    """Something in the configuration that has no place here; never a value, which may be a secret.

    Attributes
    ----------
    where : str
        ``settings.ui_port``, ``jobs[2].cron``.
    """

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReferenceConfig:
    """What a configuration becomes.

    Attributes
    ----------
    settings : dict
        Of ``[settings]``: what it sets to something.
    jobs : list of JobConfig
    not_carried : list of NotCarried
    remarks : list of str
        Of jobs, in words for a person: what the not yet carried part of each asked for.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    jobs: list[JobConfig] = field(default_factory=list)
    not_carried: list[NotCarried] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def read_reference_config(file: Path) -> ReferenceConfig:
    """Read a configuration of the package; the file stays as it is.

    Raises
    ------
    ConfigError
        It cannot be read, or is no YAML, or no configuration at all.
    """
    data = _load(file)
    made = ReferenceConfig()
    for name, section in data.items():
        if name == "jobs":
            _take_jobs(section, made)
        elif name not in _DEFAULTS:
            made.not_carried.append(NotCarried(str(name), _UNKNOWN))
        elif isinstance(section, Mapping):
            _take_section(str(name), section, made)
        elif section is not None:
            made.not_carried.append(NotCarried(str(name), "it has no settings in it"))
    return made


def _load(file: Path) -> Mapping[object, object]:
    import yaml  # late: the program needs it for this alone

    try:
        if file.stat().st_size > _SIZE_MAX:
            raise ConfigError(f"{file} is too large to be a configuration of the dccd 3 package.")
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"The configuration {file} cannot be read ({error.strerror}). Name another."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not text in UTF-8, as the dccd 3 package writes it.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f", line {mark.line + 1}"
        raise ConfigError(f"{file}{line}: not valid YAML ({getattr(error, 'problem', error)}).") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} cannot be read as YAML ({error}).") from None
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise ConfigError(f"{file} is no configuration of the dccd 3 package: it has no sections.")
    return data


def _take_section(name: str, section: Mapping[object, object], made: ReferenceConfig) -> None:
    for key, value in section.items():
        where = f"{name}.{key}"
        if key not in _DEFAULTS[name]:
            made.not_carried.append(NotCarried(where, _UNKNOWN))
        elif where == "settings.timezone" and str(value).upper() in ("UTC", "LOCAL"):
            made.settings["timezone"] = "UTC" if str(value).upper() == "UTC" else "local"
        elif where == "settings.runs_retention_days" and _is_setting(str(key), value):
            made.settings[str(key)] = value
        elif where == "settings.timezone":
            made.not_carried.append(NotCarried(where, "times are shown in UTC or in local time"))
        elif where == "settings.runs_retention_days":
            made.not_carried.append(NotCarried(where, "the history of runs is kept for one day at least"))
        elif value != _DEFAULTS[name][str(key)]:
            made.not_carried.append(NotCarried(where, _REASONS.get(where, _NO_COUNTERPART)))


def _is_setting(name: str, value: object) -> bool:
    try:
        SettingsConfig.model_validate({name: value})
    except ValidationError:
        return False
    return not isinstance(value, bool)


def _take_jobs(jobs: object, made: ReferenceConfig) -> None:
    if not isinstance(jobs, list):
        if jobs is not None:
            made.not_carried.append(NotCarried("jobs", "it is no list"))
        return
    for number, job in enumerate(jobs):
        where = f"jobs[{number}]"
        if not isinstance(job, Mapping):
            made.not_carried.append(NotCarried(where, "it is no job"))
            continue
        made.not_carried.extend(NotCarried(f"{where}.{key}", _UNKNOWN) for key in job if key not in _JOB_KEYS)
        _take_job(where, job, made)


def _take_job(where: str, job: Mapping[Any, Any], made: ReferenceConfig) -> None:
    operation = _text(job.get("operation")) or "backfill"
    if operation != "backfill":
        made.not_carried.append(NotCarried(where, f"this version has no jobs that {operation}"))
        made.remarks.append(f"{_words(job)} ({operation})")
        return
    data_type = _text(job.get("data_type")) or "ohlc"
    kind = _text(job.get("trigger_kind")) or "interval"
    fields = {
        "exchange": _text(job.get("exchange")).lower(),
        "pairs": job.get("pairs"),
        "data_type": data_type,
        "span": job.get("span") if data_type in SPAN_TYPES else None,
        "start": _start(job.get("start")),
        "depth": job.get("depth") if data_type == DataType.ORDERBOOK else None,
        "trigger_kind": "once" if kind == "once" else "manual",
    }
    try:
        made.jobs.append(JobConfig.model_validate(fields))
    except (ValidationError, DccdError) as error:
        made.not_carried.append(NotCarried(where, f"it makes no job here ({_said(error)})"))
        made.remarks.append(_words(job))
        return
    if kind not in ("once", "manual"):
        every = _text(job.get("every")) or _text(job.get("span"))
        when = f"cron {_text(job.get('cron'))}" if kind == "cron" else f"every {every} s" if every else kind
        made.not_carried.append(
            NotCarried(
                f"{where}.trigger_kind", "this version starts a job when you say so; it was made manual"
            )
        )
        made.remarks.append(f"{_words(job)} ({when})")
    made.not_carried.extend(_idle(where, job, data_type))


def _idle(where: str, job: Mapping[Any, Any], data_type: str) -> Iterator[NotCarried]:
    """Members that did nothing for such a job there."""
    if job.get("depth") is not None and data_type != DataType.ORDERBOOK:
        yield NotCarried(f"{where}.depth", f"{data_type} has no depth")
    if job.get("span") is not None and data_type not in SPAN_TYPES:
        yield NotCarried(f"{where}.span", f"{data_type} has no span")
    if job.get("snapshot_interval") is not None:
        yield NotCarried(f"{where}.snapshot_interval", "it is of streams alone")


def _start(value: object) -> object:
    """``last``, ``origin``, nanoseconds, or a day: of a time, the package takes its day."""
    if value is None:
        return "last"
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value[:10] if isinstance(value, str) else value


def _words(job: Mapping[Any, Any]) -> str:
    """A job in one line, from members that hold no secret."""
    pairs = job.get("pairs")
    names = ", ".join(_text(pair) for pair in pairs[:20]) if isinstance(pairs, list) else ""
    parts = [_text(job.get("exchange")), names, _text(job.get("data_type")) or "ohlc", _text(job.get("span"))]
    return " ".join(part for part in parts if part)


def _text(value: object) -> str:
    """A scalar as one line; nothing for all else, which could be of any size once written out."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return "".join(char if char.isprintable() else " " for char in str(value))[:100]


def _said(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}".lstrip(": ")
    return str(error)
