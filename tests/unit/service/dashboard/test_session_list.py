"""Which sessions are listed, and in what order."""

from __future__ import annotations

from typing import Any

import pytest

from support.property_tests import given, settings, st

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from compressor.service.dashboard.session_list import (
    LIVE_SECONDS,
    SORT_FIELDS,
    TASK_CHARS,
    SessionQuery,
    first_words,
    select_sessions,
)

NOW = 1_800_000_000.0
USAGE = st.fixed_dictionaries(
    {"last": st.integers(0, 3), "before": st.integers(0, 3), "saved": st.integers(-2, 2), "calls": st.integers(1, 3)},
    optional={"view": st.integers(0, 3), "model": st.sampled_from("ab"), "warnings": st.just(["late"])},
)


def usage(**told: Any) -> dict[str, Any]:
    return {"last": NOW, "started": NOW, "before": 10, "after": 5, "saved": 0.1, "calls": 1, **told}


def ids(sessions: dict[str, Any], tasks: dict[str, str] | None = None, **query: Any) -> list[str]:
    return [*select_sessions(sessions, tasks or {}, SessionQuery(**query), NOW).sessions]


@settings(max_examples=200)
@given(
    st.dictionaries(st.text(st.sampled_from("aB-é/"), min_size=1, max_size=4), USAGE, max_size=12),
    st.sampled_from([*SORT_FIELDS, "id"]),
    st.sampled_from(["asc", "desc", None]),
    st.integers(1, 5),
)
def test_the_pages_together_are_all_sessions_in_order(
    sessions: dict[str, Any], sort: str, order: str | None, limit: int
) -> None:
    pages = [
        ids(sessions, sort=sort, order=order, limit=limit, offset=offset)
        for offset in range(0, len(sessions) + 1, limit)
    ]
    listed = [id for page in pages for id in page]
    assert sorted(listed) == sorted(sessions) and all(len(page) <= limit for page in pages)
    if sort == "id":
        assert listed == sorted(sessions, reverse=order == "desc")
        return
    values = [sessions[id].get(SORT_FIELDS[sort]) for id in listed]
    known = [value for value in values if value is not None]
    assert known == sorted(known, reverse=order != "asc")
    assert values[len(known) :] == [None] * (len(values) - len(known))  # those without a value are last


def test_all_words_are_sought_in_the_id_the_model_and_the_task_whatever_their_case() -> None:
    sessions = {"team/Straße": usage(model="gpt-4o"), "other": usage(model="o3"), "third": usage()}
    tasks = {"other": "Fix the IMPORT"}
    assert ids(sessions, tasks, q="STRASSE") == ["team/Straße"]
    assert ids(sessions, tasks, q="gpt team/") == ["team/Straße"]
    assert ids(sessions, tasks, q="import o3") == ["other"] and ids(sessions, tasks, q="import gpt") == []
    assert len(ids(sessions, tasks, q="   ")) == 3
    assert ids(sessions, tasks, q=".*") == [] and ids(sessions, tasks, model="gpt") == []


def test_filters_add_up() -> None:
    old = NOW - LIVE_SECONDS - 1
    sessions = {"auto-1": usage(last=old), "a": usage(warnings=["late"], last=old), "b": usage(model="m")}
    assert ids(sessions, live=True) == ["b"] and set(ids(sessions, live=False)) == {"a", "auto-1"}
    assert ids(sessions, named=False) == ["auto-1"] and ids(sessions, live=False, named=True) == ["a"]
    assert ids(sessions, warnings=True) == ["a"] and ids(sessions, model="m", warnings=True) == []
    page = select_sessions(sessions, {}, SessionQuery(live=True, offset=7), NOW)
    assert (page.sessions, page.total, page.known, page.models) == ({}, 1, 3, ["m"])


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([], ""),
        ([{"role": "system", "content": "Be kind."}, {"role": "user", "content": " Fix\n\tit. "}], "Fix it."),
        ([{"role": "user", "content": [{"type": "image"}, {"type": "input_text", "text": "Look."}]}], "Look."),
        ([{"role": "user", "content": ""}, {"role": "user", "content": "Then this."}], "Then this."),
        ([{"role": "user", "content": None}, "text", 7, {"role": "user", "content": [3, {"text": None}]}], ""),
        ([{"role": "user", "content": "word " * 100}], ("word " * 100)[: TASK_CHARS - 1] + "…"),
    ],
)
def test_the_first_words_of_a_task(messages: list[Any], words: str) -> None:
    assert first_words(messages) == words
