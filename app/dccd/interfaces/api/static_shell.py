"""The built frontend: a page and its assets, looked up among the files that are there, never by path."""

from __future__ import annotations

from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from dccd.interfaces.api.problems import NotFound

ROOT = Path(__file__).parent / "static"

# Written down, as the system's table can be changed by other programs (on Windows .js often is text/plain).
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
FOREVER = "public, max-age=31536000, immutable"
NOT_BUILT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>dccd</title></head><body>
<h1>The page of dccd is not built</h1>
<p>The program runs, but this copy of it was installed without its window's page. Build it with
<code>npm ci</code> and <code>npm run build</code> in the folder <code>frontend</code>, then load this page
again. The command line works meanwhile: try <code>dccd --help</code>.</p>
</body></html>
"""


class StaticShell:
    """Serves the files under one folder.

    Parameters
    ----------
    root
        Folder of the built frontend; it need not exist.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root

    async def serve(self, request: Request) -> Response:
        """The file at the request's path; ``/`` is the page.

        Raises
        ------
        NotFound
            No built file has this name.
        """
        name = request.scope["path"].removeprefix("/") or "index.html"
        content = await run_in_threadpool(self._read, name)
        if content is None and name == "index.html":
            return Response(NOT_BUILT, status_code=503, media_type="text/html")
        if content is None:
            raise NotFound("There is nothing at this address. The page of dccd is at /.")
        caching = FOREVER if name.startswith("assets/") else "no-cache"
        return Response(
            content, headers={"Content-Type": MEDIA_TYPES[Path(name).suffix], "Cache-Control": caching}
        )

    def _read(self, name: str) -> bytes | None:
        files = {file.relative_to(self._root).as_posix(): file for file in self._root.rglob("*")}
        file = files.get(name)
        if file is None or file.suffix not in MEDIA_TYPES or not file.is_file():
            return None
        return file.read_bytes()
