"""What Binance refuses and counts: parameters, weights, the minute's budget, bans.

From its API documentation (developers.binance.com: Spot REST API, USDⓈ-M Futures, COIN-M Futures, and their
lists of error codes). Where that is silent the rule here is the stricter reading, and says so.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MINUTE_MS = 60_000
FIVE_MINUTES_MS = 300_000
_BAN_FIRST_S, _BAN_LONGEST_S = 120, 3 * 86_400
_PATTERNS = {
    "number": "^[0-9]{1,20}$",
    "symbol": r"^[\w\-._&&[^a-z]]{1,50}$",
    "text": "^.*$",
}
_MATCHERS = {  # Java's character class intersection, as the exchange prints it, is not Python's
    "number": re.compile(r"[0-9]{1,20}"),
    "symbol": re.compile(r"[^\Wa-z](?:[^\Wa-z]|[-.]){0,49}"),
    "text": re.compile(r".*"),
}
_NUMBERS = frozenset({"startTime", "endTime", "fromId", "limit"})
_SYMBOLS = frozenset({"symbol", "pair"})


class Refused(Exception):
    """A request answered with one of the exchange's error bodies."""

    def __init__(
        self, code: int, message: str, *, status: int = 400, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s


def read_parameters(
    pairs: Sequence[tuple[str, str]], allowed: Sequence[str], required: Sequence[str], *, strict_names: bool
) -> dict[str, str]:
    """Return the query's parameters, or refuse them as the exchange does.

    Parameters
    ----------
    strict_names
        Refuse parameters the endpoint does not know (spot does; the futures' servers are not documented to).
    """
    values = dict(pairs)
    if len(values) != len(pairs):
        raise Refused(-1101, "Duplicate values for a parameter detected.")
    if strict_names and len(values) > len(allowed):
        raise Refused(-1101, f"Too many parameters; expected '{len(allowed)}' and received '{len(values)}'.")
    for name, value in values.items():
        kind = "number" if name in _NUMBERS else "symbol" if name in _SYMBOLS else "text"
        if value == "":
            raise Refused(-1105, f"Parameter '{name}' was empty.")
        if name in allowed and not _MATCHERS[kind].fullmatch(value):
            raise Refused(
                -1100, f"Illegal characters found in parameter '{name}'; legal range is '{_PATTERNS[kind]}'."
            )
    for name in required:
        if name not in values:
            raise Refused(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    read = sum(1 for name in values if name in allowed)
    if strict_names and read < len(values):
        raise Refused(
            -1104,
            f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{len(values)}'.",
        )
    return values


def klines_weight(limit: int) -> int:
    """Weight of a futures klines request."""
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1_000 else 10


def futures_depth_weight(limit: int) -> int:
    """Weight of a futures depth request."""
    return {100: 5, 500: 10, 1_000: 20}.get(limit, 2)


def spot_depth_weight(limit: int) -> int:
    """Weight of a spot depth request."""
    return 5 if limit <= 100 else 25 if limit <= 500 else 50 if limit <= 1_000 else 250


@dataclass(slots=True)
class Budget:
    """One limit: so much in each window of the server's clock.

    Attributes
    ----------
    patience
        429s that may follow the first one of a window before the address is banned with a 418.
    used_max
        The most that any window saw, refused requests included.
    """

    limit: int
    window_ms: int = MINUTE_MS
    patience: int = 10
    used: int = 0
    used_max: int = 0
    _window: int = -1
    _refused: int = 0
    _bans: int = 0
    _banned_until_ms: int = field(default=0)

    def spend(self, weight: int, now_ms: int) -> None:
        """Count a request; refuse it when the window's limit is passed or a ban is on."""
        if now_ms < self._banned_until_ms:
            raise self._ban(now_ms)
        if now_ms // self.window_ms != self._window:
            self._window = now_ms // self.window_ms
            self.used = self._refused = 0
        self.used += weight
        self.used_max = max(self.used_max, self.used)
        if self.used <= self.limit:
            return
        self._refused += 1
        if self._refused > self.patience + 1:
            self._banned_until_ms = now_ms + min(_BAN_FIRST_S * 2**self._bans, _BAN_LONGEST_S) * 1_000
            self._bans += 1
            raise self._ban(now_ms)
        minutes = self.window_ms // MINUTE_MS
        raise Refused(
            -1003,
            f"Too much request weight used; current limit is {self.limit} request weight"
            f" per {minutes} MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API.",
            status=429,
            retry_after_s=_seconds((self._window + 1) * self.window_ms - now_ms),
        )

    def _ban(self, now_ms: int) -> Refused:
        return Refused(
            -1003,
            f"Way too much request weight used; IP banned until {self._banned_until_ms}."
            " Please use WebSocket Streams for live updates to avoid bans.",
            status=418,
            retry_after_s=_seconds(self._banned_until_ms - now_ms),
        )


def _seconds(duration_ms: int) -> int:
    return -(-duration_ms // 1_000)


DEFAULT_LIMITS: Mapping[str, int] = {
    "spot": 6_000,
    "usdm": 2_400,
    "coinm": 2_400,
    "funding": 500,
    "data": 1_000,
}
