"""Session ids as clients write them: in a header, and as one segment of a path. All places accept the same ids.

An id may have any printable characters, `/` and UTF-8 included. In a path it is percent-encoded as one segment
(`team%2Frun-1`). In a header it stands as it is, percent-encoded, or in the form of RFC 8187 (`UTF-8''team%2Frun-1`).
"""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import quote, unquote_to_bytes

from fastapi import Path
from pydantic import BeforeValidator

from compressor.service.http_errors import HttpError

MAX_ID_LENGTH = 200
#: Stands for a `/` inside an id while a path is matched with the routes, which would take it for a separator. An id
#: cannot hold it, because it is not printable.
SLASH = "\x1f"
_SESSION = re.compile(r"(?P<front>(?:/[^/]+)*?/sessions/)(?P<id>[^/]+)(?P<rest>(?:/.*)?)")
_EXT_VALUE = re.compile(rb"(?i)utf-8'[A-Za-z0-9-]*'(.*)", re.DOTALL)
_HEADER_SAFE = "/:@!$&()*+,;=~ "


def check_session_id(id: str) -> str:
    """Returns the id.

    Raises:
        HttpError: 400 for an id that no session can have.
    """
    if not id or len(id) > MAX_ID_LENGTH or not id.isprintable() or id.strip() != id or id in (".", ".."):
        raise HttpError(
            400,
            "invalid_session_id",
            f"A session id must have 1 to {MAX_ID_LENGTH} printable characters, no space at either end, "
            "and must not be . or ..",
        )
    return id


def read_id_header(value: bytes) -> str:
    """Returns the id that a header names, "" for an empty header.

    Raises:
        HttpError: 400 for an id that no session can have, or that is not UTF-8.
    """
    value = value.strip()
    extended = _EXT_VALUE.fullmatch(value)
    given = extended[1] if extended else value
    return check_session_id(_decode(given)) if given else ""


def write_id_header(id: str) -> bytes:
    """Returns an id as `read_id_header` reads it."""
    return quote(id, safe=_HEADER_SAFE).encode()


def protect_slashes(raw_path: str, path: str) -> str:
    """Returns the path to route by: if it names a session, each `/` inside the id is `SLASH`.

    Args:
        raw_path: The path as it arrived, percent-encoded.
        path: The same path, decoded.

    Raises:
        HttpError: 400 for an id that no session can have, or that is not UTF-8.
    """
    found = _SESSION.fullmatch(raw_path)
    if found is None:
        return path
    id = check_session_id(_decode(found["id"].encode()))
    rest = unquote_to_bytes(found["rest"]).decode("utf-8", "replace")
    return found["front"] + id.replace("/", SLASH) + rest


def restore_slashes(id: Any) -> Any:
    """Returns an id that `protect_slashes` has changed as it was."""
    return id.replace(SLASH, "/") if isinstance(id, str) else id


def _decode(given: bytes) -> str:
    try:
        return unquote_to_bytes(given).decode("utf-8")
    except UnicodeDecodeError:
        raise HttpError(
            400, "invalid_session_id", "A session id must be UTF-8, as it is or percent-encoded (team%2Frun-1)"
        ) from None


#: The id of a session in the path of a route.
SessionId = Annotated[
    str,
    BeforeValidator(restore_slashes),
    Path(max_length=MAX_ID_LENGTH, examples=["import-42"], description="The id of the session, percent-encoded."),
]
