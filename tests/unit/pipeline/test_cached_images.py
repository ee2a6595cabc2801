"""Cached results of images: what was made without a reader of images is not given to those who have one."""

from __future__ import annotations

from typing import Any

import pytest

from compressor import Compressor
from compressor.storage import MemoryStore

LOG = "\n".join(f"12:00:{i % 60:02d} worker-{i % 7} finished shard {i} of lot-{i * 37 % 101}" for i in range(400))
TEXT: dict[str, Any] = {"role": "user", "content": f"Which lot did shard 77 belong to?\n\n{LOG}"}


@pytest.mark.parametrize("reader", ["known_image.is_decoding_installed", "ocr.is_tesseract_installed"])
def test_what_was_made_without_a_reader_of_images_is_made_again_with_one(
    reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    picture = {"type": "image_url", "image_url": {"url": "https://a.example/1.png"}}
    seen: dict[str, Any] = {"role": "user", "content": [picture]}
    cached = []
    for is_there in (False, False, True):
        monkeypatch.setattr(f"compressor.images.{reader}", lambda is_there=is_there: is_there)
        compressor = Compressor(store=store, cache=True)
        cached += [compressor.compress(messages, 2_500).cached for messages in ([seen, TEXT], [TEXT])]
    assert cached == ["miss", "miss", "hit", "hit", "miss", "hit"]
