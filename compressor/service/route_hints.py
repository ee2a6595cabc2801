"""Answers requests to routes that do not exist with the route that was probably meant."""

from __future__ import annotations

from difflib import SequenceMatcher
from functools import cached_property
from typing import Any

from compressor.service.http_errors import HttpError
from compressor.service.proxy.routes import list_templates

_SIMILAR = 0.75  # how alike two paths have to be, from 0 to 1
_MAX_PATH = 200  # characters of a path that are compared and shown


class RouteHints:
    """The routes that a client may have meant.

    Args:
        api: The application for the service's own routes, with all of them by the time of the first request.
    """

    def __init__(self, api: Any) -> None:
        self._api = api

    @cached_property
    def _templates(self) -> list[tuple[str, str]]:
        """Each template with its methods. Our own come first, because they win a tie."""
        own = [(path, "/".join(sorted(map(str.upper, item)))) for path, item in self._api.openapi()["paths"].items()]
        return [*own, *((path, "") for path in list_templates() if "{" not in path)]

    def find(self, path: str) -> str:
        """Returns the route that is most like a path, with its methods, or "" if none is like it."""
        best, score = "", _SIMILAR
        segments = path[:_MAX_PATH].rstrip("/").split("/")
        for template, methods in self._templates:
            ours = template.split("/")
            if len(ours) != len(segments):
                continue
            filled = [mine if part.startswith("{") else part for mine, part in zip(segments, ours, strict=True)]
            likeness = SequenceMatcher(None, "/".join(segments), "/".join(filled)).ratio()
            if likeness > score:
                best, score = f"{methods} {template}".strip(), likeness
        return best

    def unknown_route(self, method: str, path: str) -> HttpError:
        """Returns the error for a request to a route that neither this service nor a provider has."""
        hint = self.find(path)
        message = f"There is no route {method} {path:.{_MAX_PATH}}, and nothing was sent to a provider."
        message += f" Did you mean {hint}?" if hint else ""
        if path.startswith("/v1/"):
            message += " If your provider has this route, set forward_unknown_routes"
        return HttpError(404, "not_found", message)
