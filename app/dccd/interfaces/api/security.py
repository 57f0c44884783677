"""The outermost layer: nothing behind it sees a request that is not ours. See docs/security.md."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as ASGIScope

from dccd.domain.errors import AccessDenied
from dccd.interfaces.api.access import Access, Scope
from dccd.interfaces.api.problems import NotAuthenticated, problem_response

API_PREFIX = "/api/"
SESSION_PATH = "/api/session"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class SecurityMiddleware:
    """Checks Host, Origin and Authorization of each request, and adds the headers to each answer.

    The caller's right is left in ``request.state.scope`` for routes that ask for more than a page's.

    Parameters
    ----------
    app
        What to protect.
    access
        Who knows the tokens.
    authority
        ``127.0.0.1:port`` as it must stand in ``Host``.
    """

    def __init__(self, app: ASGIApp, access: Access, authority: str) -> None:
        self._app = app
        self._access = access
        self._host = authority.encode()
        self._origin = f"http://{authority}".encode()

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        is_api = scope["path"].startswith(API_PREFIX)

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if is_api:
                    headers["Cache-Control"] = "no-store"
            await send(message)

        try:
            scope.setdefault("state", {})["scope"] = self._check(scope)
        except AccessDenied as error:
            await problem_response(error)(scope, receive, send_protected)
        else:
            await self._app(scope, receive, send_protected)

    def _check(self, scope: ASGIScope) -> Scope:
        """What the caller has a right to.

        Raises
        ------
        AccessDenied
            The request was meant for another host or sent by another site's page.
        NotAuthenticated
            A route that needs a token was asked for without one.
        """
        # With DNS rebinding a page's own name points to us: only Host tells. An absolute-form target
        # would override Host, and nobody but a proxy has a reason to send one.
        if _values(scope, b"host") != [self._host] or not scope["raw_path"].startswith(b"/"):
            raise AccessDenied(f"dccd answers only at http://{self._host.decode()}/. Open that address.")
        if _values(scope, b"origin") not in ([], [self._origin]):
            raise AccessDenied("Another site's page tried to reach dccd. It was refused.")
        credentials = _values(scope, b"authorization")
        right = Scope.PUBLIC
        if len(credentials) == 1 and credentials[0][:7].lower() == b"bearer ":
            right = self._access.scope_of(credentials[0][7:].strip().decode("latin-1"))
        if right is Scope.PUBLIC and not is_public(scope["method"], scope["path"]):
            raise NotAuthenticated("This needs a token. Open dccd again from its icon, or run `dccd open`.")
        return right


def is_public(method: str, path: str) -> bool:
    """Whether a request needs no token: the static shell, and a ticket's exchange."""
    if path.startswith(API_PREFIX):
        return (method, path) == ("POST", SESSION_PATH)
    return method in ("GET", "HEAD")


def _values(scope: ASGIScope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]
