"""The recorded answers of an exchange, from the shared data."""

from __future__ import annotations

import gzip
import json
from typing import Any

import msgspec

from dccd.sources.base import Response
from tests import needs

LIVE = {  # channels with messages that a dialect is held to
    "trades", "agg_trades", "ohlcv", "book", "book_delta", "book_snapshot",
    "subscribe_ack", "error", "heartbeat", "session",
}  # fmt: skip
RECORDED = ("A", "A-")  # the other tier is test fixtures of other projects: good for shapes only


class Case(msgspec.Struct):
    """One recorded answer."""

    channel: str
    kind: str
    tier: str
    payload: msgspec.Raw
    market: str = ""
    payload_text: str | list[str] | None = None
    seq: bool = False
    direction: list[str] | None = None
    symbol: str | None = None
    api: str | None = None
    http_status: int | None = None
    expected: Any = None

    @property
    def response(self) -> Response:
        """As our transport would hand it over."""
        body = self.payload_text.encode() if isinstance(self.payload_text, str) else bytes(self.payload)
        return Response(self.http_status or 200, {}, body)

    @property
    def frames(self) -> list[bytes]:
        """The messages, in order, as they came; of a session those received."""
        if isinstance(self.payload_text, list):
            texts = [text.encode() for text in self.payload_text]
        elif self.seq:
            texts = [bytes(one) for one in msgspec.json.decode(self.payload, type=list[msgspec.Raw])]
        else:
            texts = [self.payload_text.encode() if self.payload_text else bytes(self.payload)]
        directions = self.direction or ["recv"] * len(texts)
        return [text for text, direction in zip(texts, directions, strict=True) if direction == "recv"]

    @property
    def content(self) -> Any:
        """What it says, read by another parser than ours."""
        return json.loads(self.response.body)


def rest_cases(exchange: str, channels: set[str]) -> dict[str, Case]:
    """All recorded REST answers of some channels by name; none without the shared data."""
    return _cases(exchange, channels, "rest")


def ws_cases(exchange: str, channels: set[str]) -> dict[str, Case]:
    """All recorded WebSocket messages of some channels by name; none without the shared data."""
    return _cases(exchange, channels, "ws")


def _cases(exchange: str, channels: set[str], kind: str) -> dict[str, Case]:
    try:
        folder = needs.shared_folder() / "corpus" / exchange
    except Exception:  # noqa: BLE001 (the tests that need them skip, with the reason)
        return {}
    files = sorted(path for path in folder.glob("*/*.json") if path.parent.name in channels)
    cases = {path.stem: msgspec.json.decode(path.read_bytes(), type=Case) for path in files}
    return {name: case for name, case in cases.items() if case.kind == kind}


def whole_listing(name: str) -> Response:
    """A whole instrument list by its file's name."""
    path = needs.shared_folder() / "datasets" / "instruments" / name
    return Response(200, {}, json.loads(gzip.decompress(path.read_bytes()))["body"].encode())
