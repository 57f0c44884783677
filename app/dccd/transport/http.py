"""HTTP to one exchange: sending, budgets, retries and silence, behind one method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

from dccd.domain.errors import DccdError, ExchangeError, MalformedPayload, Throttled
from dccd.domain.timeutils import S_NS
from dccd.sources.base import Request, Response, Source
from dccd.transport.ratelimit import Budget, Gate, RollingBudget
from dccd.transport.retry import Backoff, Sleep, retry

if TYPE_CHECKING:
    from dccd.transport.connections import Connections, Sink

T = TypeVar("T")

# Requests under way at once, to one host. At 150 ms and Binance's widest allowance (50 pages of bars a
# second) eight would do; twenty-four keep up over 400 ms, and make the first, unpaced, minute as much faster.
IN_FLIGHT = 24


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a request is about to be tried again, and when."""

    host: str
    error: ExchangeError
    retry_ns: int


class HttpTransport:
    """One exchange's requests.

    Parameters
    ----------
    source : Source
    urls : mapping of setting to address
        Replaces hosts' addresses, by :attr:`~dccd.sources.base.Host.setting`.
    units : mapping of budget to int
        Replaces budgets' units in each window.
    proxy : str or None
        Address of an HTTP proxy; without one, the environment's (``HTTPS_PROXY``, ``NO_PROXY``).
    backoff : Backoff
    now_ns, sleep
        Our clock, and how to wait by it.
    """

    def __init__(
        self,
        source: Source,
        *,
        urls: Mapping[str, str],
        units: Mapping[str, int],
        proxy: str | None,
        backoff: Backoff,
        now_ns: Callable[[], int],
        sleep: Sleep,
    ) -> None:
        self._source, self._backoff, self._sleep = source, backoff, sleep
        self._our_now_ns = now_ns
        # Each host's clock minus ours, as far as it is known.
        self.offsets_ns = dict.fromkeys(source.hosts, 0)
        self._urls = {key: urls.get(host.setting, host.url).rstrip("/") for key, host in source.hosts.items()}
        self._proxies = {key: proxy or _environment_proxy(url) for key, url in self._urls.items()}
        self._fixed = frozenset(units)
        self._budgets = {
            # Windows that roll are ours: measuring the exchange's clock must not let what they count lapse.
            name: RollingBudget(limit, now_ns=now_ns, sleep=sleep)
            if limit.rolling
            else Budget(limit, now_ns=partial(self.now_ns, limit.host or name), sleep=sleep)
            for name, limit in source.budgets.items()
        }
        for name, count in units.items():
            if name in self._budgets:
                self._budgets[name].units = count
        self._gates = {key: Gate(now_ns=now_ns, sleep=sleep) for key in source.hosts}
        # By request under way; a host that answers takes all of its failures out.
        self._failures: dict[object, _Failure] = {}
        self._connections: Connections | None = None

    def address(self, host: str) -> tuple[str, str | None]:
        """A host's address, and the proxy on the way to it."""
        return self._urls[host], self._proxies[host]

    def now_ns(self, host: str) -> int:
        """A host's clock, as far as it is known."""
        return self._our_now_ns() + self.offsets_ns[host]

    async def aclose(self) -> None:
        """Close the connections; the transport may be used again afterwards."""
        if self._connections is not None:
            connections, self._connections = self._connections, None
            await connections.aclose()

    def units(self, request: Request) -> int:
        """What the budget that a request draws on allows in each window."""
        return self._budgets[request.budget or request.host].units

    def learn(self, units: Mapping[str, int]) -> None:
        """Take over what the exchange says of its allowances, save those set by hand."""
        for name, count in units.items():
            if name in self._budgets and name not in self._fixed:
                self._budgets[name].units = count

    def waiting(self) -> str | None:
        """Why nothing is being sent just now, for people; None when nothing waits."""
        now_ns = self._our_now_ns()
        for host, gate in self._gates.items():
            if gate.closed:
                left_s = (gate.opens_ns - now_ns) / S_NS
                return f"{self._source.name} ({host}) asked for silence; resumes in {left_s:.0f} s"
        for budget in self._budgets.values():
            if budget.resumes_ns is not None:
                left_s = max(0.0, (budget.resumes_ns - budget.now_ns()) / S_NS)
                limit = budget.limit
                each = "a minute" if limit.window_s == 60 else f"every {limit.window_s} s"
                allowed = f"{self._source.name} allows {budget.units:,} {limit.unit} {each}"
                return f"{allowed}; resumes in {left_s:.0f} s"
        if self._failures:
            next_one = min(self._failures.values(), key=lambda failure: failure.retry_ns)
            what = str(next_one.error).partition(". ")[0]  # the rest says what to do when nothing helps
            left_s = (next_one.retry_ns - now_ns) / S_NS
            return f"{what}; trying again " + (f"in {ceil(left_s)} s" if left_s > 0 else "now")
        return None

    async def fetch(
        self, request: Request, parse: Callable[[Response], T], *, backoff: Backoff | None = None
    ) -> T:
        """Send a request until its answer can be read, within budget, and return what `parse` makes of it.

        Raises
        ------
        ExchangeError
            The last attempt's; never anything else, whatever the exchange answers.
        """
        return await self._tried(lambda: request, parse, self._source.error, backoff)

    async def download(
        self,
        ask: Callable[[], Request],
        sink: Sink | None,
        parse: Callable[[Response], T],
        error: Callable[[Response], ExchangeError | None],
    ) -> T:
        """Like :meth:`fetch`, of a host of files: the body of a success goes to `sink`, where there is one.

        Parameters
        ----------
        ask : callable () -> Request
            Asked before each attempt, so that one may go on where the last was cut.
        error : callable (response) -> ExchangeError or None
            What is wrong with an answer; it is not the exchange's API that answers.
        """
        return await self._tried(ask, parse, error, None, sink)

    async def _tried(
        self,
        ask: Callable[[], Request],
        parse: Callable[[Response], T],
        judge: Callable[[Response], ExchangeError | None],
        backoff: Backoff | None,
        sink: Sink | None = None,
    ) -> T:
        ours = object()
        host = ask().host

        def failed(error: ExchangeError, wait_s: float) -> None:
            retry_ns = self._our_now_ns() + round(wait_s * S_NS)
            self._failures[ours] = _Failure(host, error, retry_ns)

        async def attempt() -> T:
            request = ask()
            response = await self._send(request, sink)
            try:
                error = judge(response)
            except ValueError as fault:  # what is not even text
                raise self._malformed(request, response, fault) from fault
            if error is not None:
                if isinstance(error, Throttled):
                    budget = self._budgets[request.budget or request.host]
                    self._gates[request.host].close(error, budget.left_s)
                raise error
            try:
                parsed = parse(response)
            except DccdError:
                raise
            except Exception as fault:
                raise self._malformed(request, response, fault) from fault
            self._failures = {by: one for by, one in self._failures.items() if one.host != host}
            return parsed

        try:
            return await retry(attempt, sleep=self._sleep, backoff=backoff or self._backoff, failed=failed)
        finally:
            self._failures.pop(ours, None)

    def _malformed(self, request: Request, response: Response, fault: Exception) -> MalformedPayload:
        return MalformedPayload(
            f"{self._source.name} answered {request.path} with something else than it documents: "
            f"{fault} (HTTP {response.status}, {response.body[:60]!r})."
        )

    async def _send(self, request: Request, sink: Sink | None = None) -> Response:
        budget = self._budgets[request.budget or request.host]
        gate = self._gates[request.host]
        await gate.wait()
        window = await budget.reserve(request.weight)
        used: int | None = None
        try:
            # Another request may have closed the gate while this one waited for its budget.
            await gate.wait()
            response = await self._exchange(request, sink)
            header = budget.limit.used_header
            stated = response.headers.get(header) if header else None
            used = int(stated) if stated is not None and stated.isdecimal() else None
            return response
        finally:
            budget.settle(request.weight, window, used)

    async def _exchange(self, request: Request, sink: Sink | None) -> Response:
        if self._connections is None:
            # Late: aiohttp takes a fifth of a second to import, which a start need not wait for.
            from dccd.transport.connections import Connections

            self._connections = Connections(self._source.name, IN_FLIGHT)
        base = self._urls[request.host]
        url = f"{base}{request.path}?{urlencode(request.query)}" if request.query else base + request.path
        status, headers, body = await self._connections.send(request, url, self._proxies[request.host], sink)
        return Response(status, headers, body, self.now_ns(request.host))


def _environment_proxy(url: str) -> str | None:
    """The proxy that the environment (on Windows and macOS the system) wants for an address.

    Read once: aiohttp's own ``trust_env`` also looks for ``.netrc`` in a thread, before every request.
    """
    parts = urlsplit(url)
    if parts.hostname is None or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)
