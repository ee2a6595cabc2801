"""Reads the path of a request: the key in it, the route that it names, and the ids of sessions."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote

from compressor.service.http_errors import HttpError
from compressor.service.proxy.routes import ProviderRoute, find_route
from compressor.service.session_ids import protect_slashes

_ALIASES = {"/health": "/healthz"}
_KEY = re.compile(r"/k/([^/]+)(/.*)", re.DOTALL)
_OWN = re.compile(r"/v1/(compress|examples|tools|retrieve|sessions|stats)(/.*)?", re.DOTALL)  # never forwarded


def prepare_path(scope: Any) -> None:
    """Sets the `raw_path` of a scope, and replaces a path that has another name here."""
    # Some servers give no raw path, or leave the query in it.
    raw: bytes = scope.get("raw_path") or quote(scope["path"], safe="/:@!$&'()*+,;=~").encode()
    scope["raw_path"] = raw.split(b"?")[0]
    if (alias := _ALIASES.get(scope["path"].rstrip("/"))) is not None:
        scope["path"], scope["raw_path"] = alias, alias.encode()


def take_path_key(scope: Any) -> str:
    """Removes the key from the path of a scope, so that nothing behind sees it; returns it, or "".

    Raises:
        HttpError: 400 for a key that is percent-encoded.
    """
    found = _KEY.fullmatch(scope["path"])
    if found is None:
        return ""
    front = f"/k/{found[1]}/".encode("utf-8", "surrogateescape")
    if not scope["raw_path"].startswith(front):
        raise HttpError(400, "invalid_path", "The key in the path must not be percent-encoded")
    scope["path"], scope["raw_path"] = found[2], scope["raw_path"][len(front) - 1 :]
    prepare_path(scope)
    return found[1]


def is_own_route(path: str) -> bool:
    """Returns whether a path under /v1 is one of this service's own, which are never forwarded."""
    return _OWN.fullmatch(path) is not None


def route_request(scope: Any, forward_unknown: bool) -> ProviderRoute | None:
    """Returns the provider's route of a request, None for our own; makes the path of our own one that can be matched.

    Args:
        scope: ASGI's description of the request, as `prepare_path` left it.
        forward_unknown: Whether paths under /v1 that nobody is known to have are forwarded.

    Raises:
        HttpError: 400 for a path with . or .. segments, and for an id that no session can have.
    """
    raw, path = scope["raw_path"].decode("ascii", "replace"), unquote(scope["raw_path"])
    if not is_own_route(path):
        route = find_route(raw)
        if route is None and forward_unknown and raw.startswith("/v1/"):
            route = ProviderRoute("", "/v1/*", raw)
        if route is not None:
            _check_segments(path)
            return route
    scope["path"] = protect_slashes(raw.rstrip("/") or "/", path.rstrip("/") or "/")
    _check_segments(scope["path"])
    return None


def _check_segments(path: str) -> None:
    if any(part in (".", "..") for part in path.replace("\\", "/").split("/")):
        raise HttpError(400, "invalid_path", "The path must not contain . or .. segments")
