"""Take over the configuration of the dccd 3 package: what comes along, and what has no place here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dccd.application.config import AppConfig, JobConfig
from dccd.application.operations.adoptable import NotTaken
from dccd.application.reference_config import ReferenceConfig, read_reference_config

_NAME = "adopted"
_FROM = "from the configuration of dccd 3, not carried over: "


class ConfigReport(BaseModel):
    """What came, or would come, of a configuration.

    Attributes
    ----------
    file : str
        The old one.
    written_to : str or None
        The one here; None while nothing is written.
    settings : dict
        What ``[settings]`` gets.
    jobs : list of dict
        Jobs that are added.
    jobs_there : int
        Jobs that are there already.
    not_carried : list of NotTaken
        What has no place here.
    """

    file: str
    written_to: str | None = None
    settings: dict[str, Any] = {}
    jobs: list[dict[str, Any]] = []
    jobs_there: int = 0
    not_carried: list[NotTaken] = []


def plan_config(file: Path, config: AppConfig) -> ConfigReport:
    """What taking over a configuration would write.

    Raises
    ------
    ConfigError
        It cannot be read.
    """
    return _planned(file, config)[1]


def adopt_config(file: Path, config: AppConfig) -> tuple[AppConfig, ConfigReport]:
    """Take over a configuration, and return this program's as it is then; a second time changes nothing.

    Raises
    ------
    ConfigError
        It cannot be read, or the one here cannot be written.
    """
    from dccd.application.config_file import add_to_file  # tomlkit is for writing alone

    found, report = _planned(file, config)
    remarks = [f"{_FROM}{remark}" for remark in found.remarks]
    changed = add_to_file(config, report.settings, report.jobs, remarks)
    report.written_to = str(config.path)
    return changed, report


def _planned(file: Path, config: AppConfig) -> tuple[ReferenceConfig, ConfigReport]:
    found = read_reference_config(file)
    report = ConfigReport(file=str(file), settings=found.settings)
    report.not_carried = [NotTaken(place=item.where, reason=item.reason) for item in found.not_carried]
    known = [*config.jobs]
    for job in found.jobs:
        if any(job.model_copy(update={"name": there.name}) == there for there in known):
            report.jobs_there += 1
            continue
        named = _named(job, known)
        known.append(named)
        report.jobs.append(named.model_dump(mode="json", exclude_defaults=True))
    return found, report


def _named(job: JobConfig, known: list[JobConfig]) -> JobConfig:
    """The job under a name that makes its ids differ from those that there are."""
    taken = {spec.id for there in known for spec in there.expand()}
    number = 0
    while {spec.id for spec in job.expand()} & taken:
        number += 1
        job = job.model_copy(update={"name": _NAME if number == 1 else f"{_NAME} {number}"})
    return job
