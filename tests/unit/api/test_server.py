"""The server's connections."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest

from dccd.application.service_factory import build_service
from dccd.domain.errors import DccdError, StorageError
from dccd.interfaces.server import LocalServer
from dccd.storage.recovery import RecoveryProgress
from tests.unit.api.running import Running, config


async def test_answers_do_not_wait_for_acknowledgements(api: Running) -> None:
    assert (await api.local.get("/api/health")).status_code == 200
    assert api.server._server is not None
    (connection,) = api.server._server.server_state.connections
    accepted = connection.transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


async def test_a_server_that_ends_before_it_begins_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_server: object, sockets: object = None) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("uvicorn.Server.startup", fail)
    async with build_service(config(tmp_path)) as service:
        server = LocalServer(service)
        with pytest.raises(DccdError, match="Too many open files"):
            await server.start()
        await server.stop()


async def test_health_says_how_far_the_recovery_is(api: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await api.local.get("/api/health")).json()["recovering"] is None
    for progress, told in (
        (RecoveryProgress("reading journals", 5, 9), {"step": "reading journals", "done": 5, "total": 9}),
        (RecoveryProgress("starting", 0, 0), {"step": "starting", "done": 0, "total": None}),
    ):
        monkeypatch.setattr(type(api.service.store), "recovering", progress)
        assert (await api.local.get("/api/health")).json()["recovering"] == told


async def test_routes_that_need_the_data_tell_of_a_recovery_that_failed(
    api: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failed(_recovery: object) -> None:
        raise StorageError("The disk refused.")

    monkeypatch.setattr("dccd.application.recovery.BackgroundRecovery.done", failed)
    dataset = "/api/datasets/binance:BTC-USDT:ohlc:1m"
    for path in (dataset, f"{dataset}/gaps", f"{dataset}/rows", f"{dataset}/chart"):
        answer = await api.local.get(path)
        assert (answer.status_code, answer.json()["code"]) == (500, "storage"), path
    for path in ("/api/health", "/api/inventory", "/api/config", "/api/exchanges", "/api/runs"):
        assert (await api.local.get(path)).status_code == 200, path
