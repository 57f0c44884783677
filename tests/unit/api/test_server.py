"""The server's connections."""

from __future__ import annotations

import socket

from tests.unit.api.running import Running


async def test_answers_do_not_wait_for_acknowledgements(api: Running) -> None:
    assert (await api.local.get("/api/health")).status_code == 200
    assert api.server._server is not None
    (connection,) = api.server._server.server_state.connections
    accepted = connection.transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
