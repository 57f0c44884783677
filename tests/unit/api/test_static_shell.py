"""The built frontend, as it is served."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from dccd.interfaces.api.problems import NotFound
from dccd.interfaces.api.static_shell import StaticShell


@pytest.fixture
def built(tmp_path: Path) -> StaticShell:
    """Return a shell over a small build."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>page")
    (tmp_path / ".sources").write_text("digest")
    for name in ("app-1a2b.js", "app.css", "font.woff2", "icon.svg", "strange.exe"):
        (tmp_path / "assets" / name).write_text(name)
    return StaticShell(tmp_path)


async def get(shell: StaticShell, path: str) -> Response:
    """What a request for a path gives."""
    return await shell.serve(Request({"type": "http", "method": "GET", "path": path, "headers": []}))


async def test_the_page_is_looked_up_again_each_time(built: StaticShell) -> None:
    answer = await get(built, "/")
    assert answer.body == b"<!doctype html>page"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("app-1a2b.js", "text/javascript; charset=utf-8"),
        ("app.css", "text/css; charset=utf-8"),
        ("font.woff2", "font/woff2"),
        ("icon.svg", "image/svg+xml"),
    ],
)
async def test_assets_are_kept_for_ever_and_have_their_type(
    built: StaticShell, name: str, media_type: str
) -> None:
    answer = await get(built, f"/assets/{name}")
    assert answer.body == name.encode()
    assert answer.headers["content-type"] == media_type
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize("path", ["/assets", "/assets/", "/nothing.js", "/.sources", "/assets/strange.exe"])
async def test_what_is_no_part_of_the_page_is_not_there(built: StaticShell, path: str) -> None:
    with pytest.raises(NotFound):
        await get(built, path)


async def test_a_page_that_was_not_built_says_so(tmp_path: Path) -> None:
    answer = await get(StaticShell(tmp_path / "missing"), "/")
    assert answer.status_code == 503
    assert b"not built" in answer.body
