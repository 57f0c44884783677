"""Errors as problem+json (RFC 9457): the domain's stable code, a status, a sentence for people."""

from __future__ import annotations

import json
import logging
import math
import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from dccd.domain.errors import AccessDenied, DccdError, UsageError
from dccd.interfaces.api.models import FieldError, Problem

logger = logging.getLogger(__name__)


class InvalidRequest(UsageError):
    """A body or a query that is not what the route takes."""

    code = "invalid_request"

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(f"{error.field} {error.message}" for error in errors) + ".")

    @classmethod
    def of(cls, error: ValidationError) -> InvalidRequest:
        """What pydantic found, in words."""
        return cls([_in_words(item) for item in error.errors(include_url=False, include_context=True)])


class NotAuthenticated(AccessDenied):
    """No token, or one that is not known here."""

    code = "not_authenticated"


class InvalidTicket(AccessDenied):
    """A ticket that was never given, was used, or is too old."""

    code = "invalid_ticket"


class BodyTooLarge(UsageError):
    """A body larger than any request of this API can be."""

    code = "body_too_large"


class WrongContentType(UsageError):
    """A body that does not say it is JSON."""

    code = "wrong_content_type"


class NotFound(UsageError):
    """No route has this address."""

    code = "not_found"


class MethodNotAllowed(UsageError):
    """The address exists, for other methods."""

    code = "method_not_allowed"


class NotOffered(UsageError):
    """What this way of running the program has not got: a window to raise, a dialog to show."""

    code = "not_offered"


class TooManyStreams(DccdError):
    """More event streams at once than anybody needs."""

    code = "too_many_streams"
    retryable = True


STATUS: Mapping[str, HTTPStatus] = {
    "error": HTTPStatus.INTERNAL_SERVER_ERROR,
    "usage": HTTPStatus.UNPROCESSABLE_ENTITY,
    "unknown_exchange": HTTPStatus.NOT_FOUND,
    "unknown_symbol": HTTPStatus.NOT_FOUND,
    "unknown_dataset": HTTPStatus.NOT_FOUND,
    "unknown_run": HTTPStatus.NOT_FOUND,
    "unknown_trash": HTTPStatus.NOT_FOUND,
    "dataset_busy": HTTPStatus.CONFLICT,
    "runs_under_way": HTTPStatus.CONFLICT,
    "exchange": HTTPStatus.BAD_GATEWAY,
    "network": HTTPStatus.BAD_GATEWAY,
    "exchange_unavailable": HTTPStatus.BAD_GATEWAY,
    "throttled": HTTPStatus.SERVICE_UNAVAILABLE,
    "storage": HTTPStatus.INTERNAL_SERVER_ERROR,
    "disk_full": HTTPStatus.INSUFFICIENT_STORAGE,
    "data_folder_unusable": HTTPStatus.SERVICE_UNAVAILABLE,
    "data_folder_locked": HTTPStatus.LOCKED,
    "access_denied": HTTPStatus.FORBIDDEN,
    "not_authenticated": HTTPStatus.UNAUTHORIZED,
    "invalid_ticket": HTTPStatus.UNAUTHORIZED,
    "invalid_request": HTTPStatus.UNPROCESSABLE_ENTITY,
    "body_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "wrong_content_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "not_found": HTTPStatus.NOT_FOUND,
    "method_not_allowed": HTTPStatus.METHOD_NOT_ALLOWED,
    "not_offered": HTTPStatus.CONFLICT,
    "too_many_streams": HTTPStatus.TOO_MANY_REQUESTS,
}


def status_of(error: DccdError) -> HTTPStatus:
    """The status of an error: that of its code, or of the nearest class above it that has one."""
    codes = (kind.code for kind in type(error).__mro__ if issubclass(kind, DccdError))
    return next(STATUS[code] for code in codes if code in STATUS)


def problem_response(error: DccdError) -> Response:
    """The answer that reports an error raised on purpose."""
    retry_after_s: float | None = getattr(error, "retry_after_s", None)
    choices: Sequence[str] = getattr(error, "choices", ()) or getattr(error, "similar", ())
    response = _response(
        status_of(error),
        detail=str(error),
        code=error.code,
        retryable=error.retryable,
        errors=list(getattr(error, "errors", ())),
        choices=list(choices),
        retry_after_s=retry_after_s,
    )
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(math.ceil(retry_after_s))
    if isinstance(error, NotAuthenticated):
        response.headers["WWW-Authenticate"] = 'Bearer realm="dccd"'
    return response


def unexpected_response(error: Exception, doing: str) -> Response:
    """The answer to a fault of ours: it is logged whole under an incident's id, and only that is told."""
    incident = secrets.token_hex(4)
    logger.error("Incident %s: %s failed", incident, doing, exc_info=error)
    return _response(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        detail=f"Something went wrong inside dccd during {doing}; its log tells more at incident {incident}.",
        code="internal",
        retryable=False,
        incident=incident,
    )


def _response(status: HTTPStatus, **members: Any) -> Response:
    code: str = members["code"]
    problem = Problem(type=f"urn:dccd:problem:{code}", title=_title(code), status=status.value, **members)
    return Response(
        problem.model_dump_json(exclude_defaults=False),
        status_code=status.value,
        media_type="application/problem+json",
    )


def _title(code: str) -> str:
    return code.replace("_", " ").capitalize()


def _in_words(item: Any) -> FieldError:
    """One finding of pydantic's as a predicate that follows the member's name."""
    field = ".".join(str(part) for part in item["loc"]) or "body"
    context: Mapping[str, Any] = item.get("ctx", {})
    match item["type"]:
        case "missing":
            message = "is missing"
        case "extra_forbidden":
            message = "is not a member of this request"
        case "json_invalid":
            message = f"is not JSON ({context['error']})"
        case "model_type" | "dict_type":
            message = "must be a JSON object"
        case "enum" | "literal_error":
            message = f"must be one of {context['expected']}, not {_shown(item['input'])}"
        case "string_too_long":
            message = f"is longer than {context['max_length']} characters"
        case "string_too_short":
            message = "must not be empty"
        case "greater_than_equal":
            message = f"must be at least {context['ge']}, not {_shown(item['input'])}"
        case "less_than_equal":
            message = f"must be at most {context['le']}, not {_shown(item['input'])}"
        case "value_error":
            message = f"makes no sense: {context['error']}"
        case _:
            text = str(item["msg"])
            message = f"is wrong: {text[:1].lower()}{text[1:]}"
    return FieldError(field=field, message=message)


def _shown(value: object) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
