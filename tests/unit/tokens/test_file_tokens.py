"""Tokens of files, by what the providers say about PDFs."""

from __future__ import annotations

import pytest

from compressor.context.model import AttachedFile, Image, Turn
from compressor.tokens.counter import get_counter


@pytest.mark.parametrize(
    ("model", "file", "tokens"),
    [
        # Gemini, Document understanding: 258 for each page; Gemini 3: by resolution, and its text is free
        ("gemini-2.5-pro", AttachedFile(3, 9_000), 3 * 258),
        ("gemini-3-pro", AttachedFile(3, 9_000), 3 * 560),
        ("gemini-3-pro", AttachedFile(3, 9_000, "low"), 3 * 280),
        ("gemini-3-pro", AttachedFile(3, 9_000, "high"), 3 * 1120),
        # text and an image of each page
        ("gpt-4o", AttachedFile(2, 7_000), 2_000 + 2 * 765),
        ("gpt-4o", AttachedFile(2, 7_000, "low"), 2_000 + 2 * 85),
        ("gpt-4o", AttachedFile(0, 7_000), 2_000),
        ("claude-sonnet-4-5", AttachedFile(2, 7_000), 2_600 + 2 * 34 * 44),
    ],
)
def test_files(model: str, file: AttachedFile, tokens: int) -> None:
    counter = get_counter(model)
    with_file, without = (counter.count_turn(Turn(0, "user", files=files), "openai_chat") for files in ((file,), ()))
    assert with_file - without == tokens


def test_a_page_of_anthropic_costs_about_what_its_documentation_says() -> None:
    """Text of 1,500 to 3,000 tokens and an image, for a page of 4,000 to 8,000 characters."""
    for model, image in (("claude-sonnet-4-5", 34 * 44), ("claude-opus-4-7", 4758)):
        counter = get_counter(model)
        assert counter.count_image(Image(1700, 2200)) == image
        for characters in (4_000, 6_000):
            turn = Turn(0, "user", files=(AttachedFile(1, characters),))
            text = counter.count_turn(turn, "anthropic") - counter.count_turn(Turn(0, "user"), "anthropic") - image
            assert 1_400 <= text <= 3_000
