"""A tiny CLIP, made from transformers' configurations, and trained for seconds to tell colours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

COLOURS = {
    "red": (200, 30, 30),
    "green": (30, 150, 40),
    "blue": (40, 60, 200),
    "yellow": (230, 210, 40),
    "purple": (130, 40, 150),
    "white": (245, 245, 245),
    "black": (15, 15, 15),
    "orange": (240, 130, 20),
}
SIDE = 32
_WINDOW = 32


def write_tiny_clip(folder: Path, steps: int = 0, seed: int = 0) -> None:
    """Writes a CLIP of some 60,000 weights, its processor and its tokenizer, as sentence-transformers can load it.

    Args:
        folder: Where to.
        steps: Steps of training on squares of `COLOURS` and their names; 0 leaves the weights random.
        seed: The seed of the weights.
    """
    import torch
    from tokenizers import pre_tokenizers
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: i for i, word in enumerate(words)}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=_WINDOW)
    torch.manual_seed(seed)
    layer = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        **layer,
        "vocab_size": len(words),
        "max_position_embeddings": _WINDOW,
        "bos_token_id": vocabulary["<|startoftext|>"],
        "eos_token_id": vocabulary["<|endoftext|>"],
        "pad_token_id": vocabulary["<|endoftext|>"],
    }
    vision = {**layer, "image_size": SIDE, "patch_size": 8}
    model: Any = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
    images = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    make_processor: Any = CLIPProcessor
    processor = make_processor(image_processor=images, tokenizer=tokenizer)
    if steps:
        _train(model, processor, steps, seed)
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)


def coloured_square(colour: str, size: tuple[int, int] = (64, 40), seed: int = 0) -> Any:
    """Returns a PIL image of a noisy colour."""
    from PIL import Image

    noise = np.random.default_rng(seed).integers(-25, 26, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8))


def _train(model: Any, processor: Any, steps: int, seed: int) -> None:
    """Trains with CLIP's own contrastive loss; the scale of its softmax is fixed at 100, as in published models."""
    import torch

    with torch.no_grad():
        model.logit_scale.fill_(np.log(100.0))
    model.logit_scale.requires_grad_(False)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=2e-3)
    rng = np.random.default_rng(seed)
    names = list(COLOURS)
    for step in range(steps):
        batch = processor(text=[_caption(name, rng) for name in names], images=_squares(names, step), **_OPTIONS)
        optimizer.zero_grad()
        model(**batch, return_loss=True).loss.backward()
        optimizer.step()


_OPTIONS: dict[str, Any] = {"return_tensors": "pt", "padding": True, "truncation": True}


def _caption(name: str, rng: np.random.Generator) -> str:
    return str(rng.choice([name, f"{name} page", f"the {name} one", f"where is {name}?"]))


def _squares(names: Sequence[str], step: int) -> list[Any]:
    return [coloured_square(name, seed=step * len(names) + i) for i, name in enumerate(names)]
