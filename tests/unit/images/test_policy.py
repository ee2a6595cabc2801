"""The policy for images, as callers give it."""

from __future__ import annotations

from typing import Any

import pytest

from compressor import Compressor, CompressorError
from compressor.images.policy import ImagePolicy, check_image_policy


def test_true_is_the_defaults_and_false_is_nothing() -> None:
    assert check_image_policy(True) == ImagePolicy()
    assert check_image_policy(False) is None
    given = ImagePolicy(keep_frames=3)
    assert check_image_policy(given) is given


@pytest.mark.parametrize("wrong", [1, "yes", {}, ImagePolicy(keep_frames=0), ImagePolicy(max_stale_tokens=-1)])
def test_anything_else_is_an_error(wrong: Any) -> None:
    with pytest.raises(CompressorError, match="images"):
        check_image_policy(wrong)
    with pytest.raises(CompressorError, match="images"):
        Compressor(store="memory", images=wrong)


def test_what_costs_time_or_may_lose_a_word_is_off() -> None:
    policy = ImagePolicy()
    assert policy.fold_repeats and policy.shrink and policy.drop_stale and policy.ocr
    assert not policy.read_as_text and policy.encoder is None and policy.keep_frames == 1
