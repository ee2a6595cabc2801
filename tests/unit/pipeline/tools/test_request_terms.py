"""Requests as weighted terms: synonyms, phrases, forms, and material that counts less."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.pipeline.tools.ranking import ToolRanker
from compressor.pipeline.tools.request_terms import MATERIAL, request_terms, synonyms
from compressor.pipeline.tools.tool import parse_functions
from compressor.scoring.base import Query
from compressor.scoring.token_index import terms
from support.tool_schemas import chat

#: Tools of servers that nothing was chosen on: a library, a house, a gym.
TOOLS = [
    ("extend_loan", "Extends the loan of a book by two weeks."),
    ("reserve_book", "Reserves a book that is lent to somebody else."),
    ("create_defect_report", "Creates a report about a defect in the building."),
    ("delete_membership", "Deletes the membership of a person."),
    ("list_courses", "Lists the courses of a week."),
    ("update_course", "Updates a course."),
    ("send_reminder", "Sends a message to all participants of a course."),
    ("cancel_course", "Cancels a course and informs the participants."),
    ("press_doorbell", "Rings at the door."),
    ("get_file_of_member", "Gets the file about a member."),
]


def best(request: str) -> str:
    tools = [chat(name, about, {"id": {"type": "string"}}, ["id"]) for name, about in TOOLS]
    functions = [function for function in parse_functions(tools) if function is not None]
    scores = ToolRanker(functions).scores(Query(((request, 1.0),)), [])
    return functions[int(scores.argmax())].name


@pytest.mark.parametrize(
    ("request_text", "name"),
    [
        ("file a bug about house/north: the doorbell button does nothing", "create_defect_report"),
        ("call the yoga course off", "cancel_course"),
        ("throw away her membership", "delete_membership"),
        ("let everybody in the course know: bring a towel", "send_reminder"),
        ("show me the courses", "list_courses"),
        ("lösche die Mitgliedschaft (membership)", "delete_membership"),
        ("correct the course's time", "update_course"),
    ],
)
def test_tools_are_found_by_what_users_call_things(request_text: str, name: str) -> None:
    assert best(request_text) == name


def test_material_counts_less_than_the_task() -> None:
    found = {
        term.alternatives[0][0]: term.weight for term in request_terms(Query((('send "delete all" to Kim', 1.0),)))
    }
    assert found["send"] == 1.0 and found["delet"] == pytest.approx(MATERIAL)
    only_material = request_terms(Query((("Question: where is the museum", 1.0),)))
    assert any(t.alternatives[0] == ("museum", 1.0) and t.weight == 1.0 for t in only_material)


def test_forms_say_what_a_word_stands_for() -> None:
    def kinds(text: str) -> set[str]:
        return {term for found in request_terms(Query(((text, 1.0),))) for term, _ in found.alternatives}

    assert set(terms("repository owner")) <= kinds("look at acme/web")
    assert set(terms("issue")) <= kinds("what is #12 about")
    assert set(terms("page")) <= kinds("what does https://example.org say")
    assert set(terms("page")).isdisjoint(kinds("ask tom@example.org"))
    assert set(terms("path")) <= kinds("shorten notes.txt")


def test_every_line_of_the_table_is_read() -> None:
    table = synonyms()
    assert len(table) > 300
    assert all(others and term not in ("_", "") for term, others in table.items())
    assert "delet" in table["eras"] and "remov" in table["delet"]


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=string.printable + "äß漢字#/@", max_size=80), st.floats(0.1, 1.0))
def test_any_text_gives_terms_with_weights_in_range(text: str, weight: float) -> None:
    for term in request_terms(Query(((text, weight),))):
        assert 0 < term.weight <= weight and term.alternatives
        assert all(0 < w <= 1 for _, w in term.alternatives)
