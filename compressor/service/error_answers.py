"""Answers the exceptions of the service's own routes as JSON, and logs them without what they quote."""

from __future__ import annotations

import logging
import re
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from compressor.errors import CompressorError, DeviceError, ModelError, StoreError
from compressor.service.api import JsonResponse
from compressor.service.http_errors import HttpError, to_http_error
from compressor.service.route_hints import RouteHints
from compressor.service.session_ids import SLASH

log = logging.getLogger("compressor.service")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")  # session ids and refs in the message of an error


def answer_error(error: Exception) -> Response | None:
    """Returns the response to one of our exceptions, and logs it; None for any other."""
    if not isinstance(error, (CompressorError, HttpError)):
        return None
    if isinstance(error, (StoreError, ModelError, DeviceError)):  # the client is only told to see the log
        log.warning("request failed: %s: %s", type(error).__name__, _QUOTED.sub("'…'", str(error)))
    elif not isinstance(error, HttpError):
        log.info("request rejected: %s", type(error).__name__)
    return _answer(to_http_error(error))


def _answer(error: HttpError) -> Response:
    return JsonResponse(error.body, error.status, headers=error.headers)


def answer_errors(api: FastAPI) -> None:
    """Makes an application answer every exception with `{"error": {"type": "...", "message": "..."}}`."""

    async def ours(_: Request, error: Exception) -> Response:
        return answer_error(error) or _answer(to_http_error(error))

    async def broken(_: Request, error: Exception) -> Response:
        return _answer(to_http_error(error))  # Starlette raises it again, and the request handler logs it

    async def invalid(_: Request, error: Any) -> Response:
        first = error.errors()[0]  # without the input, which may be long and is the client's
        where = ".".join(str(part) for part in first.get("loc", ()) if part != "body")
        return _answer(
            HttpError(422, "invalid_request", f"{where or 'The request body (application/json)'}: {first.get('msg')}")
        )

    hints = RouteHints(api)

    async def http(request: Request, error: Any) -> Response:
        if error.status_code == 404:
            return _answer(hints.unknown_route(request.method, request.scope["path"].replace(SLASH, "/")))
        kinds = {405: "method_not_allowed"}
        return _answer(
            HttpError(error.status_code, kinds.get(error.status_code, "rejected"), str(error.detail), error.headers)
        )

    api.add_exception_handler(CompressorError, ours)
    api.add_exception_handler(HttpError, ours)
    api.add_exception_handler(Exception, broken)
    api.add_exception_handler(RequestValidationError, invalid)
    api.add_exception_handler(HTTPException, http)
