"""Events: order, ids, resuming, heartbeats, ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from dccd.application.events import InventoryEvent, LogEvent
from dccd.interfaces.api import sse
from dccd.interfaces.api.routes_events import STREAMS_MAX
from tests.unit.api.running import Running


@dataclass
class Event:
    """One event as a reader sees it."""

    id: int
    name: str
    data: dict[str, object]


class Reader:
    """Reads a stream's frames one by one."""

    def __init__(self, answer: httpx.Response) -> None:
        self._pieces = answer.aiter_bytes()
        self._rest = b""

    async def frame(self) -> list[str]:
        """The lines up to the next empty one; none at the end of the stream."""
        while b"\n\n" not in self._rest:
            piece = await asyncio.wait_for(anext(self._pieces, b""), 10)
            if not piece:
                return []
            self._rest += piece
        frame, _, self._rest = self._rest.partition(b"\n\n")
        return frame.decode().split("\n")

    async def event(self) -> Event:
        """The next event, comments passed over."""
        while (lines := await self.frame())[0].startswith(":"):
            pass
        fields = dict(line.split(": ", 1) for line in lines)
        return Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))


@asynccontextmanager
async def stream(api: Running, last_id: int | None = None) -> AsyncIterator[Reader]:
    """An open stream."""
    headers = {} if last_id is None else {"Last-Event-ID": str(last_id)}
    async with api.local.stream("GET", "/api/events", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield Reader(answer)


def publish(api: Running, number: int) -> None:
    """One event that can be told from others."""
    api.service.events.publish(LogEvent(run_id="r", message=f"line {number}", ts_ns=number * 1_000_000))


async def test_events_need_a_token(api: Running) -> None:
    assert (await api.anyone.get("/api/events")).status_code == 401


async def test_a_new_stream_says_reset_then_what_happens(api: Running) -> None:
    async with stream(api) as reader:
        first = await reader.event()
        assert (first.name, first.data) == ("reset", {"last_id": first.id})
        publish(api, 7)
        second = await reader.event()
    assert second.id == first.id + 1
    assert second.name == "log"
    assert second.data == {"run_id": "r", "ts_ms": 7, "level": "info", "message": "line 7"}


async def test_a_stream_goes_on_after_the_last_event_it_had(api: Running) -> None:
    async with stream(api) as reader:
        first = await reader.event()
    for number in range(5):
        publish(api, number)
    async with stream(api, first.id + 2) as reader:
        events = [await reader.event() for _ in range(3)]
    assert [event.data["message"] for event in events] == ["line 2", "line 3", "line 4"]
    assert [event.id for event in events] == [first.id + n for n in (3, 4, 5)]


@pytest.mark.parametrize("last_id", [1, 10**18])
async def test_a_stream_whose_events_are_gone_says_reset(api: Running, last_id: int) -> None:
    publish(api, 1)
    async with stream(api, last_id) as reader:
        event = await reader.event()
        assert (event.name, event.id) == ("reset", api.service.events.last_id)
        publish(api, 2)
        assert (await reader.event()).data["message"] == "line 2"


@pytest.mark.parametrize("last_id", ["x", "-1", "1.5", "9" * 30, ""])
async def test_an_id_that_is_none_is_refused(api: Running, last_id: str) -> None:
    answer = await api.local.get("/api/events", headers={"Last-Event-ID": last_id})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_quiet_stream_beats(api: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT_S", 0.01)
    async with stream(api) as reader:
        await reader.event()
        assert await reader.frame() == [": still here"]
        assert await reader.frame() == [": still here"]
        publish(api, 3)
        assert (await reader.event()).data["message"] == "line 3"


async def test_an_inventory_event_names_its_dataset(api: Running) -> None:
    async with stream(api) as reader:
        await reader.event()
        api.service.events.publish(InventoryEvent(dataset="binance:BTC-USDT:ohlc:1m"))
        event = await reader.event()
    assert (event.name, event.data) == ("inventory", {"dataset": "binance:BTC-USDT:ohlc:1m"})


async def test_text_with_line_breaks_stays_one_event(api: Running) -> None:
    async with stream(api) as reader:
        await reader.event()
        text = "one\n\nevent: status\ndata: {}\r\n\r\ntwo\u2028three"
        api.service.events.publish(LogEvent(run_id="r", message=text))
        event = await reader.event()
    assert (event.name, event.data["message"]) == ("log", text)


async def test_a_slow_reader_is_told_to_start_anew_and_costs_bounded_memory(api: Running) -> None:
    async with stream(api) as reader:
        await reader.event()
        for number in range(50_000):
            publish(api, number)
        names: list[str] = []
        while not names or names[-1] != "reset":
            names.append((await reader.event()).name)
    assert len(names) < 5_000


async def test_too_many_streams_are_refused_and_ended_ones_do_not_count(api: Running) -> None:
    limits = httpx.Limits(max_connections=None)
    headers = {"Authorization": f"Bearer {api.server.secret}"}
    async with httpx.AsyncClient(
        base_url=api.server.url, headers=headers, trust_env=False, limits=limits, timeout=20
    ) as many:
        requests = [many.build_request("GET", "/api/events") for _ in range(STREAMS_MAX)]
        answers = [await many.send(request, stream=True) for request in requests]
        # Kept, as a response is closed when its reader is collected.
        readers = [Reader(answer) for answer in answers]
        for reader in readers:
            assert (await reader.event()).name == "reset"
        refused = await many.get("/api/events")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
        await answers.pop().aclose()
        async with asyncio.timeout(10):
            while (
                again := await many.send(many.build_request("GET", "/api/events"), stream=True)
            ).status_code == 429:
                await again.aclose()
        assert again.status_code == 200
        for answer in [*answers, again]:
            await answer.aclose()


async def test_the_server_stops_at_once_with_streams_open(api: Running) -> None:
    async with stream(api) as reader:
        await reader.event()
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await api.server.stop()
        assert loop.time() - began_s < 1.0
        assert await reader.frame() == []
