"""Session ids mean the same in a header and in a path, whatever characters they have."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("fastapi")

from compressor.service.http_errors import HttpError
from compressor.service.session_ids import (
    MAX_ID_LENGTH,
    check_session_id,
    protect_slashes,
    read_id_header,
    restore_slashes,
    write_id_header,
)

TEXTS = st.text(st.characters(codec="utf-8"), max_size=MAX_ID_LENGTH + 5)


def is_valid(id: str) -> bool:
    try:
        return check_session_id(id) == id
    except HttpError as error:
        assert (error.status, error.kind) == (400, "invalid_session_id")
        return False


@given(TEXTS)
def test_header_and_path_take_the_same_ids(id: str) -> None:
    segment = quote(id, safe="")
    raw = f"/v1/sessions/{segment}/view"
    extended = f"UTF-8''{segment}".encode()
    if is_valid(id):
        path = protect_slashes(raw, unquote(raw))
        assert path.count("/") == raw.count("/")
        assert restore_slashes(path.split("/")[3]) == id
        assert {read_id_header(one) for one in (write_id_header(id), segment.encode(), extended)} == {id}
    elif id:
        with pytest.raises(HttpError, match="session id"):
            protect_slashes(raw, unquote(raw))
        with pytest.raises(HttpError, match="session id"):
            read_id_header(extended)


@given(TEXTS)
def test_a_header_may_hold_utf_8_as_it_is(id: str) -> None:
    if is_valid(id) and "%" not in id and not id.lower().startswith("utf-8'"):
        assert read_id_header(id.encode()) == id


def test_what_no_session_can_be_called() -> None:
    for id in ("", ".", "..", " a", "a\n", "\x00", "a\x1fb", "a" * (MAX_ID_LENGTH + 1), "\ue000"):
        assert not is_valid(id), id
    for id in ("team/run-1", "org/run/7", "Größe 5", "日本", "a/../b", "50%", "a" * MAX_ID_LENGTH, "a//b", "/"):
        assert is_valid(id), id
    with pytest.raises(HttpError, match="UTF-8"):
        read_id_header(b"\xff")
    assert read_id_header(b"") == ""


def test_only_sessions_have_ids() -> None:
    assert protect_slashes("/v1/retrieve/a%2Fb", "/v1/retrieve/a/b") == "/v1/retrieve/a/b"
    assert protect_slashes("/v1/sessions", "/v1/sessions") == "/v1/sessions"
    path = protect_slashes("/admin/v1/tenants/t/sessions/a%2Fb", "")
    assert path == "/admin/v1/tenants/t/sessions/a\x1fb"
