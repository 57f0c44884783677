"""Changing the configuration file: only what was asked for, comments kept, all or nothing."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit import TOMLDocument
from tomlkit.items import Table

from dccd.application.config import AppConfig, parse_config
from dccd.domain.errors import ConfigError

Changes = Mapping[str, Any]


def save_changes(config: AppConfig, changes: Changes) -> AppConfig:
    """Merge `changes` into the file and return the configuration as it is then.

    The file is read anew first, so that what a person edited meanwhile stays. Nothing is written when the
    outcome would be invalid.

    Parameters
    ----------
    config : AppConfig
        Says which file.
    changes : mapping
        By section and name, nested as the file is; None takes a setting back to its default. A list
        replaces the whole list.

    Raises
    ------
    ConfigError
        The file is corrupt, a change makes no sense, or the file cannot be written.
    """
    return _edit(config, lambda document: _merge(document, changes))


def add_to_file(
    config: AppConfig, settings: Changes, jobs: Sequence[Changes], remarks: Sequence[str]
) -> AppConfig:
    """Set `settings`, and add jobs behind those that the file has; all or nothing, as `save_changes`.

    Parameters
    ----------
    remarks : sequence of str
        Lines for a person, written as comments behind the jobs; one that is there already is not repeated.

    Raises
    ------
    ConfigError
        As `save_changes`.
    """

    def change(document: TOMLDocument) -> None:
        if settings:
            _merge(document, {"settings": settings})
        if jobs:
            rows = document.setdefault("jobs", tomlkit.aot())
            for job in jobs:
                rows.append(_row(job))
        there = {line.lstrip("# ") for line in tomlkit.dumps(document).splitlines() if line.startswith("#")}
        for remark in remarks:
            if remark not in there:
                document.add(tomlkit.comment(remark))

    return _edit(config, change)


def _edit(config: AppConfig, change: Callable[[TOMLDocument], None]) -> AppConfig:
    file = config.path
    try:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        parse_config(text, file)
        document = tomlkit.parse(text)
        change(document)
        changed_text = tomlkit.dumps(document)
        changed = parse_config(changed_text, file)
        if changed_text != text:
            _write_atomically(file, changed_text.encode())
    except OSError as error:
        raise ConfigError(f"Saving the configuration {file} failed: {error}. Nothing was changed.") from error
    return changed.located(config._path, config._data_path)


def _merge(table: Any, changes: Changes) -> None:
    for name, value in changes.items():
        if value is None:
            table.pop(name, None)
        elif isinstance(value, Mapping):
            inner = table.get(name)
            if not isinstance(inner, Mapping):
                inner = table[name] = tomlkit.table()
            _merge(table[name], value)
        elif name not in table or table[name] != value:
            _set(table, name, value)


def _set(table: Any, name: str, value: Any) -> None:
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        array = tomlkit.aot()
        for item in value:
            array.append(_row(item))
        table[name] = array
    else:
        table[name] = value


def _row(item: Changes) -> Table:
    row: Table = tomlkit.table()
    row.update({key: inner for key, inner in item.items() if inner is not None})
    return row


def _write_atomically(file: Path, content: bytes) -> None:
    """The new content or the old one, never a part; readable by its owner alone."""
    target = file.resolve()  # where the file is a link, what it points to is replaced
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".config-", suffix=".toml", dir=target.parent)  # made 0600
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
