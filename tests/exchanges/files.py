"""Hosts of public files, which answer with all of one, or with what comes from a byte on."""

import re
from collections.abc import Callable

from tests.exchanges.engine import Request, Response, StandIn

_RANGE = re.compile(r"bytes=(\d+)-")


def served(file: bytes, request: Request) -> Response:
    """A file, or the rest of it where a range asks for that."""
    wanted = _RANGE.fullmatch(request.headers.get("range", ""))
    if wanted is None:
        return Response(file, content_type="application/octet-stream", headers={"Accept-Ranges": "bytes"})
    first = int(wanted[1])
    if first >= len(file):
        return Response(b"", 416, {"Content-Range": f"bytes */{len(file)}"})
    headers = {"Content-Range": f"bytes {first}-{len(file) - 1}/{len(file)}"}
    return Response(file[first:], 206, headers, content_type="application/octet-stream")


class FileHost(StandIn):
    """A host of files.

    Parameters
    ----------
    make : callable (path) -> bytes or None
        A file; None where there is none.
    """

    def __init__(self, make: Callable[[str], bytes | None]) -> None:
        super().__init__()
        self._make = make

    def respond(self, request: Request) -> Response:
        """See `StandIn`."""
        file = self._make(request.path)
        return Response(b"not found", 404) if file is None else served(file, request)
