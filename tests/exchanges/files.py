"""How the hosts of public files answer: whole, or from a byte on."""

import re

from tests.exchanges.engine import Request, Response

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
