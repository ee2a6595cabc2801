"""Serves the busiest routes without the way through FastAPI, which takes longer than a small session's own work.

Only requests that are valid are served here. All others go to FastAPI, which finds them invalid once more and says why,
so there is one wording of errors. The functions are those of the routes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.routing import BaseRoute

from compressor.scoring.runtime.executor import run_in_thread
from compressor.service import schemas
from compressor.service.http_errors import HttpError
from compressor.service.request_limits import parse

MIN_THREAD_BYTES = 100_000  # larger bodies are parsed in a thread
_PATH = re.compile(r"/v1/(?:(compress)|sessions/([A-Za-z0-9_.-]{1,200})/(append|view))")  # ids that need no decoding
_BODIES: dict[str, tuple[str, type[BaseModel]]] = {
    "compress": ("/v1/compress", schemas.CompressRequest),
    "append": ("/v1/sessions/{id}/append", schemas.AppendRequest),
    "view": ("/v1/sessions/{id}/view", schemas.ViewRequest),
}


class DirectRoutes:
    """The routes that are served without FastAPI.

    Args:
        routes: The routes of the API.
        max_depth: How deep the JSON of a body may be nested.
        answer: Makes the response to an exception of ours.
    """

    def __init__(
        self, routes: Iterable[BaseRoute], max_depth: int, answer: Callable[[Exception], Response | None]
    ) -> None:
        self._routes = {route.path: route for route in routes if isinstance(route, APIRoute)}
        self._max_depth, self._answer = max_depth, answer

    async def serve(self, scope: Any, body: bytes, send: Any) -> bool:
        """Serves a request if it is one for this object; otherwise returns False, and has done nothing.

        Args:
            scope: ASGI's description of the request, with its tenant.
            body: Its body.
            send: Takes the response.
        """
        found = _PATH.fullmatch(scope["path"])
        if found is None or scope["method"] != "POST" or not body or not _is_json(scope["headers"]):
            return False
        path, schema = _BODIES[found[1] or found[3]]
        given = await self._read(body, schema)
        if given is None:
            return False
        route = scope["route"] = self._routes[path]
        request = Request(scope)
        try:
            response = await (route.endpoint(request, given) if found[1] else route.endpoint(request, found[2], given))
        except Exception as error:
            response = self._answer(error)
            if response is None:
                raise
        await response(scope, _receive_nothing, send)
        return True

    async def _read(self, body: bytes, schema: type[BaseModel]) -> BaseModel | None:
        """Returns a valid body, or None."""
        try:
            if len(body) > MIN_THREAD_BYTES:
                data = await run_in_thread(parse, body, self._max_depth)
            else:
                data = parse(body, self._max_depth)
            return schema.model_validate(data)
        except (HttpError, ValidationError):
            return None


def _is_json(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    types = [value for name, value in headers if name == b"content-type"]
    return len(types) == 1 and types[0].partition(b";")[0].strip().lower() == b"application/json"


async def _receive_nothing() -> Any:
    raise RuntimeError("the body was read already")
