"""Computes what an image costs in tokens from its size in pixels, by the providers' published formulas.

* OpenAI tiles ("Images and vision", calculating costs): fit into 2048 x 2048, then the short side to 768 at most;
  `base` plus `tile` for each 512-pixel square. `low` detail: `base`.
* OpenAI patches (same page): the image is fitted into `edge` pixels and into `cap` squares of 32 pixels; each square
  costs `factor`. The limits depend on the model and on `detail`, which older models ignore. From GPT-5.6 on,
  `original` and `auto` are limited only by the 30,000 squares above which the API refuses an image.
* Anthropic ("Vision" and "Coordinates and bounding boxes"): one token for each 28-pixel square that covers the image,
  after it is scaled down to fit `edge` pixels and `cap` squares: 1568 and 1568, from Claude 4.7 on 2576 and 4784.
* Gemini 2 ("Image understanding"): 258 up to 384 x 384, else 258 for each tile; a tile is 2/3 of the short side, 256
  to 768 pixels. Larger images than 3072 x 3072 are scaled down to it.
* Gemini 3 ("Media resolution"): a number for each resolution, whatever the size: 1120 by default.
* Models with open weights: see `open_model_images.py`.
* All other models: as Anthropic's.

An image of unknown size, such as a URL or a file id, costs the most that an image can cost; nothing is fetched.
OpenAI's `auto` counts as its sizing table says, else as `high`. No provider says that it turns a photo by its EXIF
orientation (Anthropic and OpenAI: metadata is not read), so sizes are those of the file. An animated GIF is billed as
its first frame.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import partial

from compressor.context.model import Image
from compressor.tokens.model_families import base_name
from compressor.tokens.open_model_images import OPEN_MODELS

Formula = Callable[[Image], int]


def _tiles(image: Image, base: int, tile: int) -> int:
    if image.detail == "low":
        return base
    width, height = _size(image) or (2048, 768)
    shrink = min(1.0, 2048 / max(width, height))
    shrink *= min(1.0, 768 / (min(width, height) * shrink))
    # The small sum keeps rounding errors from turning a side of exactly n pixels into n - 1.
    across, down = math.floor(width * shrink + 1e-9), math.floor(height * shrink + 1e-9)
    return base + tile * max(1, math.ceil(across / 512)) * max(1, math.ceil(down / 512))


def _patches(image: Image, factor: float, cap: int, edge: int = 2048) -> int:
    size = _size(image)
    if size is None:
        return _price(min(cap, _squares(edge, edge, 32)), factor)
    width, height = size
    if max(width, height) > edge:
        shrink = edge / max(width, height)
        width, height = max(1, round(width * shrink)), max(1, round(height * shrink))
    if _squares(width, height, 32) > cap:
        shrink = math.sqrt(32 * 32 * cap / (width * height))
        across, down = width * shrink / 32, height * shrink / 32
        shrink *= min(max(1, math.floor(across)) / across, max(1, math.floor(down)) / down)
        width, height = (max(1, math.floor(side * shrink + 1e-9)) for side in (width, height))
    return _price(min(cap, _squares(width, height, 32)), factor)


def _price(patches: int, factor: float) -> int:
    return math.ceil(round(patches * factor, 6))  # 5 patches * 1.2 are 6 tokens, not 7


def _patches_by_detail(image: Image, limits: Mapping[str, tuple[int, int]]) -> int:
    cap, edge = limits.get(image.detail) or limits["auto"]
    return _patches(image, 1.2, cap, edge)


def _anthropic(image: Image, edge: int, cap: int) -> int:
    """Anthropic's own reference implementation, "Resize your image before uploading"."""
    size = _size(image)
    if size is None:
        return cap
    long, short = max(size), min(size)
    blocks = edge // 28

    def cost(long: int, short: int) -> int:
        return _squares(long, short, 28) if math.ceil(long / 28) <= blocks else cap + 1

    tokens = cost(long, short)
    if tokens <= cap:
        return tokens
    ratio = long / short
    fits, too_large = 1, long
    while fits + 1 < too_large:
        middle = (fits + too_large) // 2
        if cost(middle, max(1, round(middle / ratio))) <= cap:
            fits = middle
        else:
            too_large = middle
    return cost(fits, max(1, round(fits / ratio)))


def _gemini_2(image: Image) -> int:
    size = _size(image)
    if size is None:
        return 24 * 258  # 3072 x 384 pixels: 12 x 2 tiles of 256 pixels, the most there can be
    if max(size) <= 384:
        return 258
    shrink = min(1.0, 3072 / max(size))
    width, height = (max(1, round(side * shrink)) for side in size)
    unit = min(768, max(256, math.floor(min(width, height) / 1.5)))
    return 258 * math.ceil(width / unit) * math.ceil(height / unit)


def _gemini_3(image: Image) -> int:
    return _GEMINI_3.get(image.detail, 1120)


def _grok(image: Image) -> int:
    """xAI, "Image understanding": 256 for each 448-pixel tile and once more, 1792 at most."""
    size = _size(image)
    return 1792 if size is None else min(1792, 256 * (_squares(*size, 448) + 1))


def _squares(width: float, height: float, side: int) -> int:
    return math.ceil(width / side) * math.ceil(height / side)


def _size(image: Image) -> tuple[int, int] | None:
    return (image.width, image.height) if image.width > 0 and image.height > 0 else None


_GEMINI_3 = {"low": 280, "medium": 560, "high": 1120, "ultra_high": 2240}
_STANDARD = partial(_anthropic, edge=1568, cap=1568)
_HIGH_RESOLUTION = partial(_anthropic, edge=2576, cap=4784)

#: OpenAI's sizing table: detail -> the most patches and the longest side in pixels.
_HIGH, _ORIGINAL, _ANY_DETAIL = (2500, 2048), (10_000, 6000), (6144, 2048)
_UNLIMITED = (30_000, 65_535)
_GPT_5_4 = {"low": _ANY_DETAIL, "high": _HIGH, "original": _ORIGINAL, "auto": _HIGH}
_GPT_5_5 = {"low": (256, 512), "high": _HIGH, "original": _ORIGINAL, "auto": _ORIGINAL}
_GPT_5_6 = {"low": (256, 512), "high": _HIGH, "original": _UNLIMITED, "auto": _UNLIMITED}

#: Gemini 3 and later, with `gemini-flash-latest` and its like.
GEMINI_3 = r"gemini-(?:[3-9]|1\d|[a-z-]+-latest)"
_START = r"(?:^|[/.:])"
#: The first match wins. Numbers of OpenAI's models are from its tables, those of retired ones from earlier versions.
_FORMULAS: list[tuple[str, Formula]] = [
    (r"gpt-?4o-mini", partial(_tiles, base=2833, tile=5667)),
    (r"gpt-?4\.?1-mini", partial(_patches, factor=1.62, cap=6144)),
    (r"gpt-?4\.?1-nano", partial(_patches, factor=2.46, cap=1536)),
    (_START + r"(?:o4-mini|codex-mini)", partial(_patches, factor=1.72, cap=1536)),
    (r"gpt-?5[.-][23](?!\d)", partial(_patches, factor=1.2, cap=6144)),
    (r"gpt-?5[.-]4(?!\d)", partial(_patches_by_detail, limits=_GPT_5_4)),
    (r"gpt-?5[.-]5(?!\d)", partial(_patches_by_detail, limits=_GPT_5_5)),
    (r"gpt-?(?:5[.-](?:[6-9]|1\d)|[6-9])(?!\d)", partial(_patches_by_detail, limits=_GPT_5_6)),
    (r"gpt-?5.*mini", partial(_patches, factor=1.2, cap=1536)),
    (r"gpt-?5.*nano", partial(_patches, factor=1.5, cap=1536)),
    (r"gpt-?5", partial(_tiles, base=70, tile=140)),
    (_START + r"o[13](?:$|-)", partial(_tiles, base=75, tile=150)),
    (r"computer-use", partial(_tiles, base=65, tile=129)),
    (r"gpt-", partial(_tiles, base=85, tile=170)),
    (GEMINI_3, _gemini_3),
    (r"gemini", _gemini_2),
    (_START + r"grok", _grok),
    *OPEN_MODELS,
]


def image_formula(model: str, family: str) -> Formula:
    """Returns the formula by which a model bills an image.

    Args:
        model: The model's name.
        family: The name of its `ModelFamily`.
    """
    if family in ("claude", "claude-4.7"):
        return _STANDARD if family == "claude" else _HIGH_RESOLUTION
    name = base_name(model)
    return next((formula for pattern, formula in _FORMULAS if re.search(pattern, name)), _STANDARD)
