"""Sentences: abbreviations, numbers and list items stay whole, wrapped lines go on."""

from __future__ import annotations

import pytest

from compressor.text.segmenters.content_type import detect_content_type
from compressor.text.segmenters.sentences import segment_prose, sentence_starts
from support.segment_tools import units


def sentences(text: str) -> list[str]:
    starts = sentence_starts(text)
    return [" ".join(text[a:b].split()) for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]


@pytest.mark.parametrize(
    "sentence",
    [
        "See p. 200 of vol. 12.",
        "Art. 12 para. 3 of the act says so.",
        "It costs Rs. 450 or approx. Fr. 5.20 a kg.",
        "It needs min. 4 cores, max. 8.",
        "The term (§ 5 Abs. 2 Nr. 3) endet z. B. am 1. Mai 2024.",
        "Es kostet env. 20 €.",
        "Im 19. Jahrhundert war es so.",
    ],
)
def test_no_end_within_a_sentence(sentence: str) -> None:
    assert sentences(f"Here it begins. {sentence} And here it ends.") == [
        "Here it begins.",
        sentence,
        "And here it ends.",
    ]


def test_ends_that_stay_ends() -> None:
    assert sentences("We met in 1990. The end. Ok? 3 left. It is vitamin c. The rest.") == [
        "We met in 1990.",
        "The end.",
        "Ok?",
        "3 left.",
        "It is vitamin c.",
        "The rest.",
    ]


def test_list_items_are_whole() -> None:
    text = "Sources:\n[1] Journal of Wage, vol. 12. Oxford. See there.\n- First thing. Second thing.\n"
    assert sentences(text)[1:] == ["[1] Journal of Wage, vol. 12. Oxford. See there.", "- First thing. Second thing."]


def test_wrapped_lines_go_on() -> None:
    text = (
        "       The jq lan-\n       guage is quite rich: it supports regu-\n       lar expressions. A sentence that\n"
        "       goes on over here until it\n       ends.\n\n   OPTIONS\n       --seq:\n"
    )
    assert sentences(text) == [
        "The jq lan- guage is quite rich: it supports regu- lar expressions.",
        "A sentence that goes on over here until it ends.",
        "OPTIONS",
        "--seq:",
    ]


def test_a_manual_page_is_prose() -> None:
    page = "NAME\n       jq\n\nDESCRIPTION\n" + "".join(
        f"       The filter number {i} can transform the input in various ways by selecting and\n"
        f"       iterating over it, and it is written in the language of the program called jq\n"
        for i in range(8)
    )
    assert detect_content_type(page) == "prose"


@pytest.mark.parametrize(
    "line",
    ("row-{i} of team {k} says run number {i} of many", "Worker {i} ended job {k} without any trouble at all today"),
)
def test_lines_that_begin_alike_are_not_one_sentence(line: str) -> None:
    text = "".join(line.format(i=i, k=i % 7) + "\n" for i in range(30))
    assert units(segment_prose(text)) == text.splitlines(keepends=True)
    wrapped = "The harbour was closed in the winter and the ferry\nof the northern line stayed there\nof its own will."
    assert units(segment_prose(wrapped)) == [wrapped]
