"""Connections to one exchange: a request goes out, an answer comes back; aiohttp is known here alone."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import aiohttp
import certifi
from yarl import URL

from dccd.domain.errors import NetworkError
from dccd.sources.base import Request

_TIMEOUT = aiohttp.ClientTimeout(total=60, connect=10, sock_read=30)
_HINT = "Check the connection; what was fetched is kept, and the next run goes on from there."


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
        # The system's certificates, and Mozilla's for a bundle on a machine that keeps its own elsewhere.
        context = ssl.create_default_context()
        context.load_verify_locations(certifi.where())
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=in_flight, ssl=context),
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
        except TimeoutError as fault:
            raise NetworkError(f"{self._name} ({url.host}) did not answer in time. {_HINT}") from fault
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            said = str(fault) or type(fault).__name__
            raise NetworkError(f"Cannot reach {self._name} at {url.host}: {said}. {_HINT}") from fault
