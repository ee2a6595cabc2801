"""Computes what an image costs in tokens from its size in pixels, by the providers' published formulas.

* OpenAI tiles ("Images and vision", calculating costs): fit into 2048 x 2048, then the short side to 768 at most;
  `base` plus `tile` for each 512-pixel square. `low` detail: `base`. Unknown size: 8 tiles (2048 x 768), the
  maximum.
* OpenAI patches (same page): 32-pixel squares, at most `cap` after shrinking, times `factor`. `low`: the image
  fitted into 512 x 512. Unknown size: `cap`. From GPT-5.4 on up to 2,500 patches, or 10,000 in fine detail.
* Anthropic ("Vision"): width x height / 750 after fitting into `edge` pixels and `cap` tokens: 1568 and 1600, from
  Claude 4.7 on 2576 and 4784. Unknown size: `cap`.
* Gemini 2 ("Image understanding"): 258 up to 384 x 384, else 258 for each tile; a tile is 2/3 of the short side, 256
  to 768 pixels. Unknown size: 16 tiles (3072 x 3072, what larger ones are scaled to). Gemini 3: 1120 by default, 280
  for `low`.
* All other models: as Anthropic's (28-pixel patches, as in Qwen-VL, are 784 pixels per token).

`auto` counts as `high`: the provider decides, and `high` is the most that it may bill.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial

from compressor.context.model import Image
from compressor.tokens.model_families import base_name

Formula = Callable[[Image], int]


def _tiles(image: Image, base: int, tile: int) -> int:
    if image.detail == "low":
        return base
    width, height = _known_size(image) or (2048.0, 768.0)
    shrink = min(1.0, 2048 / max(width, height))
    shrink *= min(1.0, 768 / (min(width, height) * shrink))
    return base + tile * math.ceil(width * shrink / 512) * math.ceil(height * shrink / 512)


def _patches(image: Image, factor: float, cap: int = 1536, edge: int = 2048) -> int:
    if image.detail == "low":
        cap, edge = 256, 512
    size = _known_size(image)
    if size is None:
        return math.ceil(cap * factor)
    shrink = min(1.0, edge / max(size))
    width, height = size[0] * shrink, size[1] * shrink
    if math.ceil(width / 32) * math.ceil(height / 32) > cap:
        shrink = math.sqrt(32 * 32 * cap / (width * height))
        across, down = width * shrink / 32, height * shrink / 32
        shrink *= min(max(1, math.floor(across)) / across, max(1, math.floor(down)) / down)
        width, height = width * shrink, height * shrink
    # The small difference keeps rounding errors from turning a side of exactly n patches into n + 1.
    count = max(1, math.ceil(width / 32 - 1e-9)) * max(1, math.ceil(height / 32 - 1e-9))
    return math.ceil(min(cap, count) * factor)


def _fine_patches(image: Image, fine: tuple[str, ...]) -> int:
    return _patches(image, 1.0, 10_000, 6000) if image.detail in fine else _patches(image, 1.0, 2500)


def _area(image: Image, edge: int, cap: int) -> int:
    size = _known_size(image)
    if size is None:
        return cap
    width, height = size
    shrink = min(1.0, edge / max(width, height))
    return min(cap, math.ceil(width * height * shrink * shrink / 750))


def _gemini_2(image: Image) -> int:
    width, height = _known_size(image) or (3072.0, 3072.0)
    if max(width, height) <= 384:
        return 258
    shrink = min(1.0, 3072 / max(width, height))
    width, height = width * shrink, height * shrink
    unit = min(768, max(256, math.floor(min(width, height) / 1.5)))
    return 258 * math.ceil(width / unit) * math.ceil(height / unit)


def _gemini_3(image: Image) -> int:
    return 280 if image.detail == "low" else 1120


def _known_size(image: Image) -> tuple[float, float] | None:
    return (float(image.width), float(image.height)) if image.width > 0 and image.height > 0 else None


_STANDARD = partial(_area, edge=1568, cap=1600)
_HIGH_RESOLUTION = partial(_area, edge=2576, cap=4784)
#: The first match wins. OpenAI's numbers are from its table of models, except 1.2 for GPT-5.2 and 5.3, which its users
#: measured (community.openai.com, topic 1372291).
_FORMULAS: list[tuple[str, Formula]] = [
    (r"gpt-?4o-mini", partial(_tiles, base=2833, tile=5667)),
    (r"gpt-?4\.?1-mini|gpt-?5.*mini", partial(_patches, factor=1.62)),
    (r"gpt-?4\.?1-nano|gpt-?5.*nano", partial(_patches, factor=2.46)),
    (r"o4-mini", partial(_patches, factor=1.72)),
    (r"gpt-?5[.-][23](?!\d)", partial(_patches, factor=1.2)),
    (r"gpt-?5[.-]4(?!\d)", partial(_fine_patches, fine=("original",))),
    (r"gpt-?5[.-](?:[5-9]|1\d)(?!\d)", partial(_fine_patches, fine=("original", "auto"))),
    (r"gpt-?5", partial(_tiles, base=70, tile=140)),
    (r"(?:^|[/.:])o[13](?:$|-)", partial(_tiles, base=75, tile=150)),
    (r"computer-use", partial(_tiles, base=65, tile=129)),
    (r"gpt-", partial(_tiles, base=85, tile=170)),
    (r"gemini-(?:[3-9]|1\d)", _gemini_3),
    (r"gemini|gemma", _gemini_2),
]


def image_formula(model: str, family: str) -> Formula:
    """Returns the formula by which a model bills an image.

    Args:
        model: The model's name.
        family: The name of its `ModelFamily`.
    """
    if family == "claude-4.7":
        return _HIGH_RESOLUTION
    name = base_name(model)
    return next((formula for pattern, formula in _FORMULAS if re.search(pattern, name)), _STANDARD)
