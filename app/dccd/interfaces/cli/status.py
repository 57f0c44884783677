"""``dccd status``, ``open`` and ``validate``: the running program, and the configuration."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

import httpx

from dccd.interfaces.api.runtime_file import RuntimeInfo, read_runtime_file
from dccd.interfaces.cli.connection import config_of
from dccd.interfaces.cli.output import duration, print_json, size
from dccd.interfaces.cli.statuses import DONE, FAILED

Json = dict[str, Any]

_TIMEOUT_S = 60  # a window that is opened anew takes seconds on a slow machine


async def validate(arguments: Namespace) -> int:
    """Check the configuration; a fault is raised as ConfigError."""
    from dccd.application.service_factory import check_sources

    config = config_of(arguments)
    check_sources(config)
    print(f"{config.path}: valid. Data folder: {config.data_path}")
    return DONE


async def status(arguments: Namespace) -> int:
    """Say what runs on the data folder."""
    config = config_of(arguments)
    running = read_runtime_file(config.data_path)
    health = (await _ask(running, "GET", "/api/health")) if running else None
    if arguments.json:
        print_json({"running": health is not None, "data_path": str(config.data_path), "health": health})
    elif health is None or running is None:
        print(f"dccd is not running on {config.data_path}")
    else:
        print(f"dccd {health['version']} runs on {health['data_path']} (up {duration(health['uptime_s'])})")
        print(f"address: {running.url} · runs in progress: {health['running']}")
        if health["disk"]:
            print(
                f"room on disk: {size(health['disk']['free_bytes'])} of {size(health['disk']['total_bytes'])}"
            )
        if health["recovering"]:
            print(f"recovering what the last run left: {progress_of(health['recovering'])}")
        for problem in health["problems"]:
            print(f"problem: {problem}")
    return DONE


def progress_of(recovering: Json) -> str:
    """``reading journals (45 of 90)``, the numbers only where they are known."""
    step, done, total = recovering["step"], recovering["done"], recovering["total"]
    return str(step) if total is None else f"{step} ({done:,} of {total:,})"


async def open_app(arguments: Namespace) -> int:
    """Raise the running app's window, or print an address where there is none."""
    config = config_of(arguments)
    running = read_runtime_file(config.data_path)
    if running is None:
        print(f"dccd: dccd is not running on {config.data_path}. Start it with: dccd", file=sys.stderr)
        return FAILED
    raised = await _ask(running, "POST", "/api/app/raise")
    if raised is not None:
        print("The window is open.")
        return DONE
    ticket = await _ask(running, "POST", "/api/app/ticket")
    if ticket is None:
        print(f"dccd: dccd at {running.url} does not answer. Restart it.", file=sys.stderr)
        return FAILED
    print(ticket["url"])
    return DONE


async def _ask(running: RuntimeInfo, method: str, path: str) -> Json | None:
    headers = {"Authorization": f"Bearer {running.secret}"}
    async with httpx.AsyncClient(
        base_url=running.url, headers=headers, timeout=_TIMEOUT_S, trust_env=False
    ) as http:
        try:
            response = await http.request(method, path)
        except httpx.TransportError:
            return None
    answer: Json | None = response.json() if response.is_success else None
    return answer
