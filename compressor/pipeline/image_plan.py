"""What becomes of the images of a context before its texts are selected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from compressor.context.model import Path


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """The edits of images, by message and path of their slots.

    Attributes:
        edits: The edits, see `compressor.context.image_edits`.
        reasons: Why each image was edited, in a few words.
        refs: The ref of the image that each edit stands for.
        originals: The image parts as JSON, by ref.
        words: What is known of an image in words, by which it is scored like a text.
        lines: What stands for an image that the selection drops, without its ref.
        kept: The images that leave last of all: what the agent looks at now.
        warnings: What the caller should know.
        matches: How well images match the query by their pixels, in [0, 1], if a model has looked at them.
        is_fallback: Whether a model should have looked at them and could not, so that the plan must not be remembered.
    """

    edits: Mapping[tuple[int, Path], str] = field(default_factory=dict)
    reasons: Mapping[tuple[int, Path], str] = field(default_factory=dict)
    refs: Mapping[tuple[int, Path], str] = field(default_factory=dict)
    originals: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[tuple[int, Path], str] = field(default_factory=dict)
    lines: Mapping[tuple[int, Path], str] = field(default_factory=dict)
    kept: frozenset[tuple[int, Path]] = frozenset()
    warnings: Sequence[str] = ()
    matches: Mapping[tuple[int, Path], float] = field(default_factory=dict)
    is_fallback: bool = False


NO_IMAGES = ImagePlan()
