"""Words left out of sentences: which may go, which never, and what the whole flow makes of it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from compressor import BudgetTooSmallError, Compressor
from compressor.context.refs import PLACEHOLDER_RE, find_refs
from compressor.errors import ModelError
from compressor.pipeline.block_reports import LOW_INFORMATION_WORDS
from compressor.pipeline.protected_words import find_removable_words
from compressor.pipeline.word_pruner import WordPruner, max_per_word, merge_word_units
from compressor.scoring import Query, SourceBlock, UnitBatch
from compressor.text.segmenters import segment_text
from compressor.text.segmenters.span_layout import SpanLayout
from compressor.tokens import get_counter
from support.property_tests import HealthCheck, given, settings, st

ALL = WordPruner(keep_fraction=0.0, word_value=0.0)  # everything that may go, from every sentence
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

PLAIN = (
    "the of and a in to is was that as on for with it an its been had also this are were which known film city people "
    "river house building water made found work part member year time great world music school group"
).split()
#: each has to stay as it stands, together with the words beside it
KEPT = (
    "not the",
    "never been",
    "without the",
    "unless it",
    "except for",
    "no longer",
    "isn't the",
    "isn’t the",
    "cannot be",
    "5 km",
    "3.5 million people",
    "two hundred years",
    "about 40 percent",
    "University of the West of England",
    "Lord of the Rings",
    "Simon and Garfunkel",
    "Vincent van Gogh",
    "12 square miles",
    "&quot;that it is the end of&quot;",
    "https://example.com/the/of?is=a",
    "src/is/the.py",
    "--the flag",
    "ID-7731 was",
    "deadbeefcafe",
    "user@example.com",
    "snake_case_name is",
    '"the film of the year is it"',
    "“that was the river”",
    "'it is the city'",
    "«la casa is the one»",
    "`git is the in`",
    "[the link of it](http://example.com/a)",
    "[note of the group]",
)
words = st.sampled_from(PLAIN)
atoms = st.sampled_from(KEPT)


@st.composite
def sentences(draw: st.DrawFn) -> tuple[str, list[str]]:
    """An English sentence and what in it has to stay."""
    parts = [draw(words).capitalize(), *draw(st.lists(words, min_size=6, max_size=12))]
    held = draw(st.lists(atoms, max_size=3))
    for atom in held:
        parts.insert(draw(st.integers(2, len(parts))), atom)
    return " ".join([*parts, "the", "end."]), held


@st.composite
def worded_texts(draw: st.DrawFn, most: int = 8) -> tuple[str, list[str]]:
    found = draw(st.lists(sentences(), min_size=1, max_size=most))
    gaps = [draw(st.sampled_from((" ", " ", "\n\n"))) for _ in found]
    return "".join(s + g for (s, _), g in zip(found, gaps, strict=True)).rstrip(), [a for _, h in found for a in h]


def pruned(text: str, query: str = "", pruner: WordPruner = ALL) -> str:
    """A text of which every unit is kept, without the words that may go."""
    layout = segment_text(text)
    n = len(layout.spans)
    units = UnitBatch([SourceBlock("document", layout, np.ones(n, np.float32))])
    found = pruner.removable_words(units, [0], Query(((query, 1.0),)))
    if not found:
        return text
    assert isinstance(layout, SpanLayout)
    return layout.render(np.ones(n, np.bool_), found[0].spans)


def is_part(small: list[str], large: list[str]) -> bool:
    """Whether one list is left of the other when items are left out."""
    rest = iter(large)
    return all(item in rest for item in small)


@SLOW
@given(worded_texts())
def test_whole_words_go_and_what_is_protected_stays(made: tuple[str, list[str]]) -> None:
    text, held = made
    after = pruned(text)
    assert is_part(after.split(), text.split()), "only whole words go, in place"
    assert get_counter(None).count(after) <= get_counter(None).count(text)
    for atom in held:
        assert after.count(atom) >= held.count(atom)
    for name in "isn't not never cannot without unless except no".split():
        assert after.split().count(name) == text.split().count(name)


@SLOW
@given(st.text(max_size=300), st.sampled_from((*KEPT, "<p>", "\n\n", "```", "| a | b |", "The thing is that it was.")))
def test_any_text_at_all(noise: str, piece: str) -> None:
    text = f"It was the film of the year and the city. {noise} {piece} {noise} This is what the people in it made."
    after = pruned(text)
    assert is_part(after.split(), text.split()) and len(after) <= len(text)


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("The house was built in the year of the great fire and the war.", "The"),
        ("He said that it is not the house of the man in the city.", "is not the"),
        ("It is one of the five members of the group that is in the city.", "one of the five members"),
        ("The work of the poet is in the Museum of the City of London now.", "Museum of the City of London"),
        ("This is the part of the book where he says “the end of the world is it”.", "“the end of the world is it”"),
        ("It is the case that `rm -r the of` is the command of the group.", "`rm -r the of`"),
        ("The man was bitten by the dog of the house in the city.", " by "),
        ("The people must leave the city if the river is high in the year.", "must"),
        ("The weight of the car is 1200 kg and the speed of it is great.", "is 1200 kg"),
    ],
)
def test_what_stays(text: str, stays: str) -> None:
    after = pruned(text)
    assert stays in after and after != text


@pytest.mark.parametrize(
    "text",
    [
        "Der Mann war in der Stadt, die an dem Fluss liegt, und so will er in das Haus.",
        "La ville est au sud de la France et on y trouve un pont sur la Seine.",
        "Status of the order: the parcel is in the city",  # no sentence
        "It is so.",  # too short
        "# The history of the city and of the people that are in it.\n\nsee [x](http://a.b/c)\n",
        "| the name of it | the part of it is this. |\n|---|---|\n| the end of the | the one that is in it. |",
        "```\nthe code of the house is in the city and it was made.\n```\n\n# A\n\n```\nthis is the end of it.\n```\n",
        "    the block of code that is in the page as it was found.\n",
        "> It is the word of the author that is in the book of the year.\n",
        "<html><body><h1>The history of the city and the people.</h1><pre>it is the end of the line.</pre></body>",
        "<html><body><table><tr><td>The part of the table that is in the page as it was.</td></tr></table></body>",
        json.dumps([{"id": i, "note": "It is the note of the one that was in the city."} for i in range(3)]),
        "def f(x):\n    # this is the part of the code that is in the file.\n    return x\n",
        "2024-05-01 12:00:00 INFO it is the log of the server that was in the city.\n" * 4,
        "Traceback (most recent call last):\n  File 'a.py', line 1, in f\nValueError: it is the end of the line.",
    ],
)
def test_left_alone(text: str) -> None:
    assert pruned(text) == text


def test_text_of_a_page_goes_without_its_tags() -> None:
    page = (
        '<html><body><p class="the of is">The <b>city</b> was the home of the people that had made the river '
        'of <a href="/the of" title="it is the">the house</a> in the end.</p></body></html>'
    )
    after = pruned(page)
    assert after != page and '<p class="the of is">' in after and '<a href="/the of" title="it is the">the' in after


def test_query_terms_stay_and_strength_is_a_share_of_the_words() -> None:
    text = "The river of the city was the home of the people that made the music of the school in the year. " * 5
    assert "river" not in pruned(text) and "people" not in pruned(text)
    after = pruned(text, "which people live at the river?")
    assert after.count("river") == after.count("people") == 5 and "music" not in after
    size = len(text.split())
    for keep in (0.9, 0.75, 0.6):
        assert len(pruned(text, pruner=WordPruner(keep)).split()) == size - int((1 - keep) * size)
    assert len(pruned(text, pruner=WordPruner(1.0)).split()) == size
    assert "music" in pruned(text, pruner=WordPruner(0.75)), "what is rare goes last"


def test_of_equal_words_the_later_goes_first() -> None:
    text = "The home of it is great and the part of it is found in the city and made for the group of it."
    after = pruned(text, pruner=WordPruner(0.95))
    assert after == text.replace("for the group", "for group")


def test_a_model_can_say_what_words_are_worth() -> None:
    text = "The river of the city was the home of the people in the year."

    def importance(given: str) -> tuple[Any, Any]:
        assert given == text
        at = [(i, min(i + 3, len(given))) for i in range(0, len(given), 3)]  # pieces that are no words
        return np.array(at, np.int32), np.array([9.0 if a >= 15 else 0.1 for a, _ in at], np.float32)

    assert pruned(text, pruner=WordPruner(0.8, importance=importance)) == text.replace(" river of", "")


def test_a_model_that_fails_is_done_without_and_says_so() -> None:
    def importance(given: str) -> tuple[Any, Any]:
        raise ModelError("no memory left")

    text = "The river of the city was the home of the people that made the music of the school in the year. " * 9
    r = Compressor(store="memory", prune_words=WordPruner(importance=importance)).compress_text(text, 0.6)
    assert r.text == Compressor(store="memory", prune_words=True).compress_text(text, 0.6).text
    assert r.warnings == ["words: no memory left; their idf was used instead"]


def test_a_word_says_what_its_best_piece_says() -> None:
    spans = np.array([[3, 7], [7, 10], [20, 24]], np.int32)
    pieces = np.array([[0, 3], [3, 5], [5, 7], [7, 10]], np.int32)
    assert max_per_word(spans, pieces, np.array([5, 1, 2, 3], np.float32)).tolist() == [2.0, 3.0, np.inf]


def test_words_stand_in_the_order_behind_their_unit() -> None:
    order = np.array([2, 0, 1], np.int32)
    priority = np.array([4.0, 1.0, 8.0])
    grains = np.array([0, 2], np.int32)
    assert merge_word_units(order, priority, grains, 0.4).tolist() == [2, 0, 4, 3, 1]
    assert merge_word_units(order, priority, grains, 1.0).tolist() == [2, 4, 0, 3, 1]
    assert merge_word_units(order, priority, grains, 0.0).tolist() == [2, 0, 1, 4, 3]


def speech(tool_text: str) -> list[dict[str, Any]]:
    said = "It is the work of the group in the city that was found as the part of it."
    return [
        {"role": "system", "content": f"{said} {said}"},
        {"role": "user", "content": f"{said} What is the film of the year?"},
        {
            "role": "assistant",
            "content": f"{said} {said} {said}",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "read", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": tool_text},
    ]


@SLOW
@given(worded_texts(20), st.floats(0.3, 0.95), st.sampled_from((ALL, WordPruner(), WordPruner(0.6, 0.2))))
def test_messages(made: tuple[str, list[str]], share: float, pruner: WordPruner) -> None:
    text, _ = made
    messages = speech(text)
    c = Compressor(store="memory", prune_words=pruner)
    try:
        r = c.compress(messages, share)
    except BudgetTooSmallError:
        return
    assert r.tokens_after <= r.budget
    assert r.messages[:3] == messages[:3], "what is said stays as it was said"
    after = r.messages[3]["content"]
    again = Compressor(store="memory", prune_words=pruner).compress(messages, share)
    assert again.messages == r.messages
    for budget in (share, r.budget):
        assert c.compress(r.messages, budget).messages == r.messages
    for ref in find_refs(after):
        assert c.expand(ref) == text
    gone = [d for d in r.dropped if d.reason == LOW_INFORMATION_WORDS]
    assert bool(gone) == ("[…words cut ref" in after)
    for d in gone:
        assert all(word.isalpha() and word.islower() for word in text[slice(*d.span)].split())
        assert c.expand(d.ref) == text
    if not r.warnings:
        assert is_part(
            PLACEHOLDER_RE.sub("", after).replace("[…words ]", "").replace("[…]", "").replace("…", "").split(),
            text.split(),
        )


@SLOW
@given(st.lists(worded_texts(6), min_size=1, max_size=4), st.floats(0.1, 0.95))
def test_documents_and_texts(made: list[tuple[str, list[str]]], share: float) -> None:
    c = Compressor(store="memory", prune_words=ALL)
    documents = [{"title": f"Part {i}", "text": text} for i, (text, _) in enumerate(made)]
    try:
        r = c.compress_documents(documents, query="What is the river?", budget=share)
    except BudgetTooSmallError:
        return
    assert r.tokens_after == get_counter(None).count(r.text) <= r.budget
    for d in r.dropped:
        assert c.expand(d.ref) == documents[d.block]["text"]
    if any(d.reason == LOW_INFORMATION_WORDS for d in r.dropped):
        assert "[…words cut ref" in r.text
    for document, (text, held) in zip(documents, made, strict=True):
        one = c.compress_text(text, max(40, get_counter(None).count(text) * 3 // 4))
        assert one.tokens_after <= max(one.budget, 1)
        for ref in find_refs(one.text):
            assert c.expand(ref) == document["text"]
        if all(b.reason.startswith(f"{n} of {n} ") for b in one.blocks if (n := len(segment_text(text).spans))):
            assert all(atom in one.text for atom in held), "every unit was kept"


def test_words_make_room_for_sentences_and_come_back_where_there_is_room() -> None:
    text = " ".join(
        f"The {w} of the city was the part of it that is known as the home of the people in the year {1900 + i}."
        for i, w in enumerate("river house building music school group film water".split())
    )
    size = get_counter(None).count(text)
    plain, short = Compressor(store="memory"), Compressor(store="memory", prune_words=WordPruner(0.6, 0.0))
    years = [str(1900 + i) for i in range(8)]
    found = [sum(year in c.compress_text(text, size * 7 // 10).text for year in years) for c in (plain, short)]
    assert found[0] < found[1] == 8
    roomy = short.compress_text(text, size - 1)
    assert sum(len(text[slice(*d.span)].split()) for d in roomy.dropped) < 20
    assert short.compress_text(text, size).text == text


def test_it_is_off_unless_asked_for() -> None:
    text = "The river of the city was the home of the people that made the music of the school in the year. " * 9
    r = Compressor(store="memory").compress_text(text, 0.5)
    assert "words cut" not in r.text and all(d.reason != LOW_INFORMATION_WORDS for d in r.dropped)
    assert "words cut" in Compressor(store="memory", prune_words=True).compress_text(text, 0.5).text


def test_pasted_material_in_a_user_message_keeps_its_words() -> None:
    page = "Document [1](Title: A)\nThe river of the city was the home of the people that made the music.\n"
    material = "".join(page.replace("[1]", f"[{i}]").replace("river", f"river {i}") for i in range(1, 40))
    messages = [
        {"role": "user", "content": "Read this."},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": f"{material}\n\nWhat is the river?"},
    ]
    r = Compressor(store="memory", prune_words=ALL).compress(messages, 0.5)
    assert r.tokens_after <= r.budget < r.tokens_before
    assert all(d.reason != LOW_INFORMATION_WORDS for d in r.dropped)


def test_loose_words_of_an_empty_text() -> None:
    layout = segment_text("")
    assert isinstance(layout, SpanLayout)
    spans, unit, size = find_removable_words(layout)
    assert (spans.shape, len(unit), size) == ((0, 2), 0, 0)
