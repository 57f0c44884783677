"""The application: all routes in one table, behind the security layer."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from dccd.domain.errors import DccdError
from dccd.interfaces.api import (
    routes_adopt,
    routes_data,
    routes_events,
    routes_exchanges,
    routes_export,
    routes_folder,
    routes_keep,
    routes_mend,
    routes_program,
    routes_runs,
    routes_settings,
)
from dccd.interfaces.api.context import Context
from dccd.interfaces.api.endpoint import Endpoint
from dccd.interfaces.api.problems import MethodNotAllowed, NotFound, problem_response
from dccd.interfaces.api.security import SecurityMiddleware
from dccd.interfaces.api.static_shell import StaticShell

ENDPOINTS: tuple[Endpoint, ...] = (
    *routes_program.ENDPOINTS,
    *routes_exchanges.ENDPOINTS,
    *routes_runs.ENDPOINTS,
    *routes_data.ENDPOINTS,
    *routes_mend.ENDPOINTS,
    *routes_export.ENDPOINTS,
    *routes_settings.ENDPOINTS,
    *routes_folder.ENDPOINTS,
    *routes_keep.ENDPOINTS,
    *routes_adopt.ENDPOINTS,
    *routes_events.ENDPOINTS,
)


def build_app(context: Context, *, static: StaticShell | None = None) -> ASGIApp:
    """The ASGI application over a context."""
    shell = static or StaticShell()
    app = Starlette(
        routes=[
            *(Route(item.path, item.respond, methods=[item.method]) for item in ENDPOINTS),
            Route("/{path:path}", shell.serve),
        ],
        exception_handlers={DccdError: _on_dccd_error, HTTPException: _on_http_exception},
    )
    app.router.redirect_slashes = False
    app.state.context = context
    app.state.endpoints = ENDPOINTS
    return SecurityMiddleware(app, context.access, context.url.removeprefix("http://"))


async def _on_dccd_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, DccdError)
    return problem_response(error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return problem_response(MethodNotAllowed(f"{request.method} is not for {request.url.path}."))
    return problem_response(NotFound(f"There is nothing at {request.url.path}."))
