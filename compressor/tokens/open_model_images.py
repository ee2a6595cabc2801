"""Computes what an image costs in tokens with open weights, by the defaults of `transformers` and vLLM.

* Qwen-VL (`smart_resize`): sides become multiples of `factor` pixels, within a range of squares; one token a square,
  and 2 around them. 28 pixels and 4 to 16,384 squares up to Qwen2.5-VL, 32 pixels and 64 to 16,384 from Qwen3-VL on.
* Pixtral and Mistral: fit into `edge` pixels; one token for each square of `side` pixels and one for each row.
* Gemma 3: 256 tokens and 4 around them, whatever the size. Gemma 4: at most 280, which every image is scaled to.
* Llama 3.2 Vision: 1,601 for each 560-pixel tile, 2 x 2 at most. The tiles are not in the prompt itself, but hosts bill
  them (Together AI, "Vision language models").
* Llama 4: 145 for each 336-pixel tile, 16 at most, and 147 for the whole picture.
* InternVL: 256 for each 448-pixel tile, 12 at most, chosen by aspect ratio, 256 for a thumbnail, and 2 around them.
* LLaVA 1.5: 576, whatever the size. LLaVA-NeXT: 2,928, its maximum.

Servers have settings for smaller maximums (`max_pixels`, `mm_processor_kwargs`), which no message shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from compressor.context.model import Image


def _flat(image: Image, tokens: int) -> int:
    return tokens


def _qwen(image: Image, factor: int, least: int) -> int:
    most, width, height = 16_384, image.width, image.height
    if not (width > 0 and height > 0):
        return most + 2
    across, down = round(width / factor), round(height / factor)
    if across * down > most:
        shrink = math.sqrt(height * width / (most * factor * factor))
        across = max(1, math.floor(width / shrink / factor))
        down = max(1, math.floor(height / shrink / factor))
    elif across * down < least:
        grow = math.sqrt(least * factor * factor / (height * width))
        across, down = math.ceil(width * grow / factor), math.ceil(height * grow / factor)
    return min(most, across * down) + 2


def _mistral(image: Image, side: int, edge: int) -> int:
    width, height = (image.width, image.height) if image.width > 0 and image.height > 0 else (edge, edge)
    ratio = max(1.0, width / edge, height / edge)
    width, height = max(1, math.floor(width / ratio)), max(1, math.floor(height / ratio))
    return (math.ceil(width / side) + 1) * math.ceil(height / side)


def _llama_3(image: Image) -> int:
    if not (image.width > 0 and image.height > 0):
        return 4 * 1601
    across, down = (min(2, max(1, side // 560)) for side in (image.width, image.height))
    return 1601 * across * down


def _llama_4(image: Image) -> int:
    if not (image.width > 0 and image.height > 0):
        return 16 * 145 + 147
    # How often the picture fits into each canvas: the smallest canvas that needs no shrinking, else the largest fit.
    fits = [
        (min(336 * across / image.width, 336 * down / image.height), across * down)
        for across in range(1, 17)
        for down in range(1, 16 // across + 1)
    ]
    growing = [fit for fit, _ in fits if fit >= 1]
    best = min(growing) if growing else max(fit for fit, _ in fits)
    tiles = min(count for fit, count in fits if fit == best)
    return 145 * tiles + 147 if tiles > 1 else 147


def _internvl(image: Image) -> int:
    if not (image.width > 0 and image.height > 0):
        return 13 * 256 + 2
    ratio, area = image.width / image.height, image.width * image.height
    nearest, tiles = math.inf, 1
    grids = sorted(
        ((across, down) for across in range(1, 13) for down in range(1, 12 // across + 1)),
        key=lambda grid: grid[0] * grid[1],
    )
    for across, down in grids:
        distance = abs(ratio - across / down)
        if distance < nearest or (distance == nearest and area > 0.5 * 448 * 448 * across * down):
            nearest, tiles = distance, across * down
    return 256 * (tiles + (tiles > 1)) + 2


_OLD_QWEN = partial(_qwen, factor=28, least=4)
_NEW_QWEN = partial(_qwen, factor=32, least=64)
#: A pattern of the models' names -> their formula. The first match wins.
OPEN_MODELS: list[tuple[str, Callable[[Image], int]]] = [
    (r"qwen-?2(?:\.5)?-?(?:vl|omni)|qvq", _OLD_QWEN),
    (r"qwen-?3|qwen.*-(?:vl|omni)", _NEW_QWEN),
    (r"qwen", _OLD_QWEN),
    (r"pixtral", partial(_mistral, side=16, edge=1024)),
    (r"mistral|ministral|magistral|devstral", partial(_mistral, side=28, edge=1540)),
    (r"gemma-?4", partial(_flat, tokens=284)),
    (r"gemma", partial(_flat, tokens=260)),
    (r"llava.*(?:next|1\.6)", partial(_flat, tokens=2928)),
    (r"llava", partial(_flat, tokens=576)),
    (r"llama[-_ v]*4", _llama_4),
    (r"llama[-_ v]*3", _llama_3),
    (r"intern-?vl", _internvl),
]
