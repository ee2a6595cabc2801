"""Compares the pictures of a run with what was sent: which frame a picture is, and what became of each frame.

The comparison is of pixels and made here, so that it does not trust what a reduced context says about itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from benchmarks.images_legible import find_pixels, is_same_page
from benchmarks.images_messages import call_id
from benchmarks.images_run import BrowsingRun
from benchmarks.images_sent import Pixels, Sent, SentPicture, decode, read_expanded, words_of
from compressor import CompressorError
from compressor.context.refs import find_refs

Expand = Callable[[str], str]
NEAR = 0.03  # fraction of pixels up to which a frame is a near repeat of an earlier one
NEAR_PAIR = 0.25  # fraction of pixels up to which the difference is computed exactly
_SAME_CELL = 14.0  # largest mean difference of grey levels of an 8 x 8 place of two pictures that show the same
_SAME_SHIFTED_CELL = 42.0  # the same if one of them may be shifted by a part of a pixel
_PAGE_WORDS = 0.9  # fraction of a page's words that a text must have to stand for its picture
_MIN_PART = 0.35  # fraction of a frame's area that a part of it must have to stand for it
_PATCH = 8  # pixels of the side of a place
_MIN_SHRINK = 0.2  # of a smaller copy
_PICTURE = r"(?:image|picture|frame|screenshot)"
_SAMENESS = re.compile(
    rf"\b(?:same|identical|equal|unchanged|duplicate|repeats?)\b[^.\n]{{0,30}}\b{_PICTURE}|\bas {_PICTURE}\b", re.I
)
_CHANGE = re.compile(r"chang|differ|crop|scroll|→|->|except|\bbut\b|moved|region", re.I)


@dataclass(frozen=True)
class Frames:
    """The pictures of a run, decoded when they are needed.

    Attributes:
        run: The run.
        count: How many of its steps are looked at.
    """

    run: BrowsingRun
    count: int

    def data(self, step: int) -> bytes:
        """Returns a frame's PNG file."""
        return self.run.png(step)

    def pixels(self, step: int) -> Pixels:
        """Returns a frame's pixels."""
        return decode(self.run.png(step))

    def last_of_pages(self) -> list[int]:
        """Returns the last step of each page: of each tab and address."""
        return sorted({self.run.steps[i].page: i for i in range(self.count)}.values())

    def exact_repeats(self) -> list[int]:
        """Returns the steps whose picture an earlier step has, byte by byte."""
        names = [self.run.steps[i].frame for i in range(self.count)]
        return [i for i, name in enumerate(names) if name in names[:i]]

    def near_repeats(self) -> list[tuple[int, int]]:
        """Returns steps whose picture differs a little from an earlier one's, each with the nearest earlier step."""
        found = []
        for i in range(self.count):
            names = [self.run.steps[k].frame for k in range(i)]
            if i and self.run.steps[i].frame not in names:
                difference, nearest = min((difference_of(self.data(k), self.data(i)), -k) for k in range(i))
                if difference <= NEAR:
                    found.append((i, -nearest))
        return found


@lru_cache(maxsize=20_000)
def difference_of(first: bytes, second: bytes) -> float:
    """Returns the fraction of pixels that differ between two pictures; 1.0 if their sizes or most pixels do."""
    a, b = decode(first), decode(second)
    if a.shape != b.shape or changed_pixels(a[::16], b[::16]).mean() > 2 * NEAR_PAIR:
        return 1.0
    return float(changed_pixels(a, b).mean())


def changed_pixels(first: Pixels, second: Pixels) -> npt.NDArray[np.bool_]:
    """Returns for each pixel of two pictures of one size whether it differs."""
    differs: npt.NDArray[np.bool_] = first != second
    return differs[:, :, 0] | differs[:, :, 1] | differs[:, :, 2]


@lru_cache(maxsize=2_000)
def pixel_digest(data: bytes) -> bytes:
    """Returns a hash of a picture's size and pixels."""
    pixels = decode(data)
    return hashlib.blake2b(pixels.tobytes(), digest_size=16, person=f"{pixels.shape[1]}".encode()).digest()


def is_equal(data: bytes, picture: SentPicture) -> bool:
    """Returns whether a picture has all pixels of a frame."""
    return pixel_digest(data) == pixel_digest(picture.data)


def shows(data: bytes, picture: SentPicture) -> bool:
    """Returns whether a picture is a frame, a smaller copy of it, or the greater part of it."""
    return is_equal(data, picture) or _shows(data, picture.data)


@lru_cache(maxsize=50_000)
def _shows(data: bytes, other: bytes) -> bool:
    frame, sent = decode(data), decode(other)
    if abs(sent.shape[0] / frame.shape[0] - sent.shape[1] / frame.shape[1]) < 0.02:
        return is_same_page(data, other) and _is_copy(frame, sent)
    is_large = sent.shape[0] * sent.shape[1] >= _MIN_PART * frame.shape[0] * frame.shape[1]
    if is_large and find_pixels(sent.tobytes(), sent.shape[:2], data) is not None:
        return True
    inner, content = _content_box(frame), _content_box(sent)
    scales = [(content[i + 2] - content[i]) / max(1, inner[i + 2] - inner[i]) for i in (0, 1)]
    shrink = scales[inner[3] - inner[1] > inner[2] - inner[0]]  # the longer side has the smaller error
    fits = all(abs(scale - shrink) * (inner[i + 2] - inner[i]) < 3 for i, scale in enumerate(scales))
    if not fits or not _MIN_SHRINK < shrink < 1.02:
        return False
    left, top = (max(0.0, inner[i] - content[i] / shrink) for i in (0, 1))
    right, bottom = (
        min(frame.shape[1], left + sent.shape[1] / shrink),
        min(frame.shape[0], top + sent.shape[0] / shrink),
    )
    return _is_copy(frame, sent, 2, (left, top, right, bottom))


def _content_box(pixels: Pixels) -> tuple[int, int, int, int]:
    """Returns the part of a picture within the rows and columns that have one colour, its corner's."""
    inked = changed_pixels(pixels, np.broadcast_to(pixels[-1, -1], pixels.shape))
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    if not rows.size:
        return 0, 0, pixels.shape[1], pixels.shape[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _is_copy(frame: Pixels, sent: Pixels, blur: int = 0, box: tuple[float, float, float, float] | None = None) -> bool:
    """Compares after scaling: near frames differ in a small place, so the largest difference of a place counts.

    Args:
        frame: The frame, or its part.
        sent: What may be a smaller copy.
        blur: Pixels by which the two may be shifted against each other.
        box: Left, top, right and bottom of the part of the frame that it may be a copy of; None for all of it.
    """
    from PIL import Image, ImageFilter

    height, width, _ = sent.shape
    if min(height, width) < 8:
        return False
    blurred = ImageFilter.BoxBlur(blur)
    scaled = Image.fromarray(frame).convert("L").resize((width, height), Image.Resampling.LANCZOS, box).filter(blurred)
    grey = np.asarray(Image.fromarray(sent).convert("L").filter(blurred), np.int16)
    difference = np.abs(np.asarray(scaled, np.int16) - grey)
    cell = difference[: height // 8 * 8, : width // 8 * 8].reshape(height // 8, 8, width // 8, 8).mean(axis=(1, 3))
    return float(cell.max()) < (_SAME_SHIFTED_CELL if blur else _SAME_CELL)


def is_composed(step: int, frames: Frames, sent: Sent) -> bool:
    """Returns whether a frame can be put together from another one in view and what is said or shown of the change.

    Each line of text that the other frame lacks must stand in the step's own texts, or a picture of the step must show
    the changed place with the frame's pixels.
    """
    own = sent.calls.get(call_id(frames.run, step), Sent())
    for other in range(frames.count):
        if other == step or not any(shows(frames.data(other), picture) for picture in sent.pictures):
            continue
        if frames.run.steps[other].frame == frames.run.steps[step].frame:
            return True
        if _covers(frames.pixels(other), frames.data(step), own.pictures):
            return True
        known = set(frames.run.steps[other].text.splitlines())
        new = [line for line in frames.run.steps[step].text.splitlines() if line not in known]
        told = set(words_of(own.texts))
        if new and all(word in told for word in words_of(new)):
            return True
    return False


def _covers(old: Pixels, data: bytes, parts: Sequence[SentPicture]) -> bool:
    """Returns whether every pixel in which a frame differs from `old` is in a part that has the frame's pixels."""
    new = decode(data)
    if old.shape != new.shape or not parts:
        return old.shape == new.shape and np.array_equal(old, new)
    open_ = changed_pixels(old, new)
    for part in parts:
        pixels = part.pixels
        at = find_pixels(pixels.tobytes(), pixels.shape[:2], data)
        if at is not None:
            open_[at[1] : at[1] + pixels.shape[0], at[0] : at[0] + pixels.shape[1]] = False
    # A part may hold several places of the frame, so each place is looked for by itself.
    for top in range(0, new.shape[0], _PATCH):
        for left in range(0, new.shape[1], _PATCH):
            place = slice(top, top + _PATCH), slice(left, left + _PATCH)
            if open_[place].any() and not any(
                find_pixels(new[place].tobytes(), new[place].shape[:2], part.data) for part in parts
            ):
                return False
    return True


def has_page_text(step: int, frames: Frames, texts: Sequence[str]) -> bool:
    """Returns whether one text has nearly all words of a frame."""
    wanted = set(words_of([frames.run.steps[step].text]))
    return bool(wanted) and any(
        len(wanted & set(words_of([text]))) >= _PAGE_WORDS * len(wanted) for text in texts if len(text) > 40
    )


def is_false_fold(step: int, frames: Frames, sent: Sent, expand: Expand) -> bool:
    """Returns whether the place of a frame in a reduced context leads to another picture than the frame."""
    return fold_of(step, frames, sent, expand) == "false"


def fold_of(step: int, frames: Frames, sent: Sent, expand: Expand) -> str:
    """Returns what stands at the place of a frame in a reduced context.

    Returns:
        "picture": the frame in any size. "none": neither picture nor a ref to one, so nothing can be judged. "own": a
        ref to the frame itself, which claims nothing. "claim": the place says rightly that another frame shows the
        same, or that it is another frame with a change. "false": nothing that the place's refs expand to has the
        frame's pixels, and the pictures there do not add up to it; or the place's text says that the frame repeats
        another one, names no change, and no other frame has its pixels.
    """
    own = sent.calls.get(call_id(frames.run, step), Sent())
    data = frames.data(step)
    if any(shows(data, picture) for picture in own.pictures):
        return "picture"
    behind: list[SentPicture] = []
    says_same = says_changed = False
    for text in own.texts:
        pictures = [picture for ref in find_refs(text) for picture in expanded(ref, expand).pictures]
        behind += pictures
        same = [line for line in text.splitlines() if _SAMENESS.search(line)] if pictures else []
        says_changed |= any(_CHANGE.search(line) for line in same)
        says_same |= any(not _CHANGE.search(line) for line in same)
    if not behind:
        return "none"
    if not any(is_equal(data, picture) or _covers(picture.pixels, data, own.pictures) for picture in behind):
        return "false"
    if says_same and not own.pictures:
        others = [i for i in range(frames.count) if i != step]
        return "claim" if any(pixel_digest(frames.data(i)) == pixel_digest(data) for i in others) else "false"
    return "claim" if says_same or says_changed or own.pictures else "own"


def expanded(ref: str, expand: Expand) -> Sent:
    """Returns what a ref expands to; nothing for a ref that cannot be expanded."""
    try:
        return read_expanded(expand(ref))
    except CompressorError:
        return Sent()
