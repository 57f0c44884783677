"""Connections to one exchange: a request goes out, an answer comes back; aiohttp is known here alone."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Mapping

import aiohttp
from yarl import URL

from dccd.domain.errors import NetworkError
from dccd.sources.base import Request
from dccd.transport.tls import trusted

_TIMEOUT = aiohttp.ClientTimeout(total=60, connect=10, sock_read=30)
_HINT = "Check the network, or the address in the configuration."
_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)


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
        self, request: Request, address: str, proxy: str | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request to an address, and return status, headers (names in lower case) and body.

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
            ) as answer:
                body = await answer.read()
                return answer.status, {name.lower(): value for name, value in answer.headers.items()}, body
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
