"""An endpoint is a function whose signature says what it takes and gives; nothing says it twice.

A handler takes a :class:`~dccd.interfaces.api.context.Context` first; then, by name: each parameter of its
path, ``body`` and ``query`` (models, parsed and checked before it runs), ``scope`` (the caller's right) and
``request`` (the raw one, for its headers). It returns the model of an answer, or a response.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, get_type_hints

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from dccd.domain.errors import AccessDenied, DccdError
from dccd.interfaces.api.access import Scope
from dccd.interfaces.api.context import Context
from dccd.interfaces.api.models import Answer, FieldError
from dccd.interfaces.api.problems import (
    BodyTooLarge,
    InvalidRequest,
    WrongContentType,
    problem_response,
    unexpected_response,
)

# A backfill of every symbol of an exchange fits many times over.
BODY_BYTES_MAX = 1 << 20
JSON = "application/json"

Handler = Callable[..., Awaitable[Answer | Response]]


@dataclass(frozen=True)
class Endpoint:
    """One method of one path.

    Attributes
    ----------
    scope
        The least right its caller must have.
    body, query, answer
        Models it takes and gives, None where there are none.
    media_types
        What it answers with.
    """

    method: str
    path: str
    handler: Handler
    scope: Scope
    status: HTTPStatus
    media_types: tuple[str, ...]
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    answer: type[Answer] | None

    @property
    def name(self) -> str:
        """``METHOD /path``."""
        return f"{self.method} {self.path}"

    @property
    def summary(self) -> str:
        """First paragraph of the handler's docstring."""
        return " ".join(inspect.getdoc(self.handler).partition("\n\n")[0].split())  # type: ignore[union-attr]

    @property
    def path_names(self) -> list[str]:
        """Names of the path's parameters."""
        return re.findall(r"{(\w+)}", self.path)

    async def respond(self, request: HTTPRequest) -> Response:
        """Check a request, run the handler, and make its answer or its error a response."""
        try:
            return await self._respond(request)
        except DccdError as error:
            return problem_response(error)
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST)  # nobody is there to read it
        except Exception as error:  # noqa: BLE001 - the edge of the program: logged whole, told in part
            return unexpected_response(error, self.name)

    async def _respond(self, request: HTTPRequest) -> Response:
        scope: Scope = request.state.scope
        if self.scope is Scope.LOCAL and scope is not Scope.LOCAL:
            raise AccessDenied(f"{self.name} is for the command line and programs on this computer only.")
        arguments: dict[str, Any] = dict(request.path_params)
        wanted = inspect.signature(self.handler).parameters
        offered = {"scope": scope, "request": request}
        arguments |= {name: value for name, value in offered.items() if name in wanted}
        query = _parse_query(self.query, request)
        if query is not None:
            arguments["query"] = query
        if self.body is not None:
            arguments["body"] = await _parse_body(self.body, request)
        context: Context = request.app.state.context
        result = await self.handler(context, **arguments)
        if isinstance(result, Response):
            return result
        return Response(result.model_dump_json(), status_code=self.status, media_type=JSON)


def endpoint(
    method: str,
    path: str,
    *,
    scope: Scope = Scope.PAGE,
    status: HTTPStatus = HTTPStatus.OK,
    media_types: tuple[str, ...] = (JSON,),
) -> Callable[[Handler], Endpoint]:
    """Make a handler an :class:`Endpoint`."""

    def made(handler: Handler) -> Endpoint:
        hints = get_type_hints(handler)
        given = hints["return"]
        answer = given if inspect.isclass(given) and issubclass(given, Answer) else None
        return Endpoint(
            method, path, handler, scope, status, media_types, hints.get("body"), hints.get("query"), answer
        )

    return made


def _parse_query(model: type[BaseModel] | None, request: HTTPRequest) -> BaseModel | None:
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given or model is None:
            problem = "is given twice" if name in given else "is not a parameter of this request"
            raise InvalidRequest([FieldError(field=name, message=problem)])
        given[name] = value
    if model is None:
        return None
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise InvalidRequest.of(error) from None


async def _parse_body(model: type[BaseModel], request: HTTPRequest) -> BaseModel:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != JSON:
        raise WrongContentType(f"The body must be JSON, with Content-Type: {JSON}.")
    body = bytearray()
    announced = request.headers.get("content-length", "0")
    if int(announced) <= BODY_BYTES_MAX:  # the server's parser lets digits through alone
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                break
    if max(int(announced), len(body)) > BODY_BYTES_MAX:
        raise BodyTooLarge(f"A body may have {BODY_BYTES_MAX:,} bytes at most.")
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        raise InvalidRequest.of(error) from None
