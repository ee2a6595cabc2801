"""Images that cannot be decoded, or must not be drawn again, stay as they are or leave whole."""

from __future__ import annotations

import base64
import os
import random
import struct
import zlib
from typing import Any

import pytest

from compressor import Compressor, Result
from compressor.images.policy import ImagePolicy

if os.environ.get("COMPRESSOR_REQUIRE_MODELS") != "1":
    pytest.importorskip("PIL")

from support.picture_runs import (
    FORMATS,
    MODELS,
    Shot,
    browsing,
    check_result,
    count,
    dumped,
    encode,
    image_data,
    image_parts,
    page_shot,
    write_run,
)

NO_OCR = ImagePolicy(ocr=False)


def squeeze(
    messages: list[Any], model: str, fraction: float, images: Any = NO_OCR, **options: Any
) -> tuple[Compressor, Result]:
    """Compresses to a fraction of the tokens, and checks what must hold of every result."""
    compressor, before = Compressor(store="memory", images=images), dumped(messages)
    result = compressor.compress(messages, int(fraction * count(messages, model)), model, **options)
    check_result(compressor, messages, before, result, model)
    return compressor, result


def odd_images() -> dict[str, Shot]:
    """Images that cannot be decoded or must not be drawn again."""
    from PIL import Image

    source = random.Random(4)
    noise = Image.frombytes("RGB", (160, 120), source.randbytes(160 * 120 * 3))
    frames = [noise, noise.rotate(90)]
    turned = Image.Exif()
    turned[0x0112] = 6
    png = encode(noise)
    raw = b"\x89PNG\r\n\x1a\n"

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    def claiming(width: int, height: int) -> str:
        head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
        return base64.b64encode(raw + body).decode()

    svg = base64.b64encode(b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>').decode()
    deep = Image.new("I;16", (160, 120))
    return {
        "truncated": Shot(png[: len(png) // 2 // 4 * 4]),
        "not an image": Shot(base64.b64encode(b"hello" * 40).decode()),
        "not base64": Shot("@@@ not base64 @@@"),
        "empty": Shot(""),
        "animated": Shot(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]), media_type="image/gif"),
        "cmyk": Shot(encode(noise.convert("CMYK"), "JPEG"), media_type="image/jpeg"),
        "16 bit": Shot(encode(deep)),
        "turned": Shot(encode(noise, "JPEG", exif=turned), media_type="image/jpeg"),
        "transparent": Shot(encode(noise.convert("RGBA").point(lambda value: value // 2))),
        "no pixels": Shot(claiming(0, 0)),
        "100 megapixels": Shot(claiming(10_000, 10_000)),
        "svg": Shot(svg, media_type="image/svg+xml"),
        "wrong media type": Shot(png, media_type="image/webp"),
        "remote": Shot("", source="https://desk.example/shot.png"),
        "file": Shot("", source="file-abc123"),
    }


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("kind", odd_images())
def test_an_odd_image_stays_as_it_is_or_leaves_whole(format_name: str, kind: str) -> None:
    odd, model = odd_images()[kind]._replace(url="https://desk.example/odd"), MODELS[format_name]
    for shots in ([odd, *browsing((1, 1, 1, 2))], [*browsing((1, 1, 1, 2)), odd]):
        messages = write_run(format_name, shots)
        parts, place = image_parts(messages), shots.index(odd)
        assert len(parts) == 5
        for fraction in (0.9, 0.7, 0.5):
            result = squeeze(messages, model, fraction)[1]
            blocks = [block for block in result.blocks if block.kind == "image"]
            assert len(blocks) == 5 and blocks[place].action in ("kept", "pinned", "dropped")
            if kind != "100 megapixels" and fraction > 0.8:  # it takes more than all of the others
                assert any(part in image_parts(result.messages) for part in parts if part != parts[place])


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("kind", ["animated", "cmyk", "turned", "wrong media type"])
def test_an_odd_image_that_comes_twice_is_folded(format_name: str, kind: str) -> None:
    odd = odd_images()[kind]._replace(url="https://desk.example/odd")
    shots = [*[odd._replace(url=f"https://desk.example/{i}") for i in range(5)], page_shot(1)]
    _, result = squeeze(write_run(format_name, shots), MODELS[format_name], 0.95)
    assert image_data(result.messages).count(odd.data) < 5 or MODELS[format_name].startswith("claude")


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_huge_image_leaves_so_that_others_can_stay(format_name: str) -> None:
    shots = browsing((1, 2))
    odd = odd_images()["100 megapixels"]._replace(url="https://desk.example/odd")
    messages = write_run(format_name, [odd, *shots])
    model = MODELS[format_name]
    budget = count(write_run(format_name, shots), model) + 150
    result = Compressor(store="memory", images=NO_OCR).compress(messages, budget, model)
    assert set(image_data(result.messages)) == {shot.data for shot in shots}
