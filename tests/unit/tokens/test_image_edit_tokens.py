"""Counts of images with edits are those of what is rendered."""

from __future__ import annotations

import pytest

from compressor.context.formats import detect_format
from compressor.context.image_edits import PictureEdit, ShownBox
from compressor.context.model import Image, TextSlot
from compressor.tokens import get_counter
from support.property_tests import given, settings, st

NOTE = "[image 1: as image 2; its part at x 1, y 2, 64 x 48 follows] […cut ref 123456789012]"
MODELS = ("gpt-4o", "gpt-5.5", "claude-opus-4-1", "gemini-2.5-pro", "qwen2.5-vl")


def slot(width: int, height: int, needs_picture: bool = False) -> TextSlot:
    image = Image(width, height, needs_picture=needs_picture)
    return TextSlot(0, ("content", 1), "image", editable=not needs_picture, image=image)


@settings(max_examples=30)
@given(st.sampled_from(MODELS), st.integers(1, 3000), st.integers(1, 3000))
def test_a_picture_costs_what_its_size_and_its_note_do(model: str, width: int, height: int) -> None:
    counter, whole = get_counter(model), slot(1280, 800)
    edit = str(PictureEdit((ShownBox(0, 0, 5, 5),), width, height, NOTE))
    picture = counter.count_image(Image(width, height))
    assert counter.count_slot(whole) == counter.count_image(Image(1280, 800))
    assert counter.count_edit(whole, edit) == picture + counter.count(NOTE)
    assert counter.count_edit(slot(1280, 800, needs_picture=True), edit) == picture
    assert counter.count_edit(whole, NOTE) == counter.count(NOTE)


def test_the_edit_of_a_text_is_a_text_whatever_it_says() -> None:
    counter, text = get_counter("gpt-4o"), "picture 0,0 5x5 at 50x50\nno"
    assert counter.count_edit(TextSlot(0, ("content",), "user", "long " * 50), text) == counter.count(text)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5", "claude-opus-4-1"])
def test_the_running_count_with_edited_images_is_the_count_of_what_is_rendered(model: str) -> None:
    pytest.importorskip("PIL")
    import random

    import numpy as np

    from compressor.context.blocks import Priority, split_into_blocks
    from compressor.images.drawing import draw_edits
    from compressor.images.policy import ImagePolicy
    from compressor.pipeline.image_planner import plan_images
    from compressor.pipeline.working_context import WorkingContext
    from compressor.scoring.base import Query
    from compressor.text.segmenters import find_pasted_content
    from support.picture_runs import browsing, write_run

    form = "anthropic" if model.startswith("claude") else "openai_chat"
    shots = [shot._replace(title="\n".join(f"line {i} of {shot.url}" for i in range(60))) for shot in browsing()]
    messages, counter, chance = write_run(form, shots), get_counter(model), random.Random(model)
    dialect = detect_format(messages)
    for fraction in (0.9, 0.7, 0.4):
        context = dialect.parse(messages)
        before = counter.count_context(context)
        blocks = split_into_blocks(context, "full", find_pasted_content)
        policy = ImagePolicy(ocr=False)
        plan = plan_images(context, blocks, counter, before, int(fraction * before), policy, Query())
        assert plan.edits
        working = WorkingContext(context, blocks, counter, before, images=plan)
        working.unlock_priority(Priority.HISTORY)
        for density in (1.0, 0.5, 0.0):
            for edit in chance.sample(working.block_edits, len(working.block_edits) // 2):
                edit.apply_mask(np.array([chance.random() < density for _ in edit.layout.spans], np.bool_))
            count = working.count_tokens()
            edits = draw_edits(context, working.edits())
            rendered = dialect.render(context, edits, tuple(sorted(working.left_out)))
            assert counter.count_context(dialect.parse(rendered)) == count
