"""Connections to one exchange: a request goes out, an answer comes back; aiohttp is known here alone."""

from __future__ import annotations

import errno
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import aiohttp
from yarl import URL

from dccd.domain.errors import NetworkError
from dccd.sources.base import Request
from dccd.transport.tls import trusted

_TIMEOUT = aiohttp.ClientTimeout(total=60, connect=10, sock_read=30)
# A file may take as long as it needs, while any of it still comes.
_DOWNLOAD_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=10, sock_read=30)
_PIECE_BYTES = 1 << 18
_HINT = "Check the network, or the address in the configuration."
_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)

# Takes status, headers (names in lower case) and body, a piece at a time, of an answer that is to be kept.
Sink = Callable[[int, Mapping[str, str], AsyncIterator[bytes]], Awaitable[None]]


class Connections:
    """Kept open between requests.

    Parameters
    ----------
    name : str
        The exchange's, for errors.
    in_flight : int
        Connections to one host at most.
    """

    def __init__(self, name: str, in_flight: int) -> None:
        self._name = name
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=in_flight, ssl=trusted()),
            timeout=_TIMEOUT,
            headers={"User-Agent": "dccd", "Accept": "application/json"},
        )

    async def aclose(self) -> None:
        """Close them all."""
        await self._session.close()

    async def send(
        self, request: Request, address: str, proxy: str | None, sink: Sink | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request to an address, and return status, headers (names in lower case) and body.

        With a `sink`, that takes the body of a success as it was sent, and none is returned.

        Raises
        ------
        NetworkError
            No answer came, or only a part of one.
        """
        url = URL(address, encoded=True)
        headers = dict(request.headers)
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with self._session.request(
                request.method,
                url,
                headers=headers,
                data=request.body,
                proxy=proxy,
                allow_redirects=False,
                timeout=_TIMEOUT if sink is None else _DOWNLOAD_TIMEOUT,
                auto_decompress=sink is None,
            ) as answer:
                named = {name.lower(): value for name, value in answer.headers.items()}
                if sink is not None and answer.status < 300:
                    await sink(answer.status, named, answer.content.iter_chunked(_PIECE_BYTES))
                    return answer.status, named, b""
                return answer.status, named, await answer.read()
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            where = f"{self._name} at {url.origin()} ({_reason(fault)})"
            # aiohttp quotes a proxy's address, password and all: not even a log may have its words.
            told = None if proxy else fault
            if isinstance(fault, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
                raise NetworkError(f"Cannot connect to {where}. {_HINT}") from told
            raise NetworkError(f"No whole answer came from {where}. {_HINT}") from told


def _reason(fault: Exception) -> str:
    """Why no answer came, in plain words."""
    cause = fault.os_error if isinstance(fault, aiohttp.ClientConnectorError) else fault.__cause__ or fault
    match fault:
        case aiohttp.ClientProxyConnectionError():
            return "the proxy cannot be reached"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy answers with HTTP {fault.status}"
        case aiohttp.ClientConnectorDNSError():
            return "name not found"
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not trusted"
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return "no secure connection: TLS failed"
        case TimeoutError():
            return "timed out"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return "disconnected"
    match cause:
        case ConnectionRefusedError():
            return "connection refused"
        case ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError():
            return "disconnected"
        case TimeoutError():
            return "timed out"
        case OSError() if cause.errno in _UNREACHABLE:
            return "network unreachable"
        case OSError() if cause.strerror:
            return cause.strerror
    return type(fault).__name__
