"""Decodes pictures within limits of size, time and memory. Whatever is not plainly a still picture is refused."""

from __future__ import annotations

import binascii
import hashlib
import importlib
import io
from typing import TYPE_CHECKING

import numpy as np

from compressor.caches import LruCache
from compressor.errors import ImageRefusedError, MissingDependencyError
from compressor.images.header_readers import read_header
from compressor.images.image_header import ImageHeader, refuse_damaged
from compressor.images.picture import Picture

if TYPE_CHECKING:
    from PIL import Image

#: The largest picture that is decoded. It takes about 400 MB of memory.
MAX_PIXELS = 40_000_000
#: The largest file that is decoded.
MAX_FILE_BYTES = 20_000_000
#: Bytes of pictures that stay decoded: about ten screenshots of 1280 x 800 pixels.
_CACHE_BYTES = 96 << 20
_PLUGINS = {"PNG": "Png", "JPEG": "Jpeg", "WEBP": "WebP", "GIF": "Gif", "BMP": "Bmp"}
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
_BASE64 = bytes(set(range(256)) - set(_NOT_BASE64))

_pictures: LruCache[str, Picture] = LruCache(_CACHE_BYTES, lambda picture: picture.size_bytes)


def read_base64(text: str) -> bytes:
    """Returns the bytes of a picture from base64 text.

    Args:
        text: Base64, standard or URL-safe, with or without padding and line breaks; or a `data:` URL with it.

    Raises:
        ImageRefusedError: The text is not base64, or holds more than `MAX_FILE_BYTES`.
    """
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise ImageRefusedError("the data URL does not hold base64: write data:image/png;base64,...")
    if len(text) > MAX_FILE_BYTES * 3 // 2:
        raise _refuse_large()
    try:
        packed = text.encode("ascii").translate(bytes.maketrans(b"-_", b"+/"), b" \t\r\n")
    except UnicodeEncodeError:
        packed = b"?"
    packed = packed.rstrip(b"=")
    if not packed or packed.translate(None, _BASE64) or len(packed) % 4 == 1:
        raise ImageRefusedError("the data of the picture is not base64: encode the bytes of its file")
    data = binascii.a2b_base64(packed + b"=" * (-len(packed) % 4))
    if len(data) > MAX_FILE_BYTES:
        raise _refuse_large()
    return data


def decode_picture(data: bytes) -> Picture:
    """Decodes a picture. The last few pictures stay decoded in memory.

    Args:
        data: A PNG, JPEG, WebP, GIF or BMP file.

    Raises:
        ImageRefusedError: The file is damaged, larger than `MAX_FILE_BYTES`, of another format or animated, it has more
            than `MAX_PIXELS` pixels, or a program would have to turn it or to convert its colours to show it.
        MissingDependencyError: Pillow is not installed.
    """
    if len(data) > MAX_FILE_BYTES:
        raise _refuse_large()
    digest = hashlib.sha256(data).hexdigest()
    picture = _pictures.get(digest)
    if picture is None:
        picture = _decode(data, digest)
        _pictures.put(digest, picture)
    return picture


def _decode(data: bytes, digest: str) -> Picture:
    header = read_header(data)
    _check(header)
    try:
        importlib.import_module("PIL.Image")
    except ImportError as error:
        raise MissingDependencyError("Pillow", "images") from error
    try:
        image, is_transparent = _to_rgb(_load(header))
    except Exception as error:  # For damaged files decoders raise exceptions of many kinds.
        raise refuse_damaged("its pixels cannot be decoded") from error
    return Picture(image, header.format, digest, header.is_lossless, is_transparent)


def _check(header: ImageHeader) -> None:
    if not header.width or not header.height:
        raise refuse_damaged("it has no pixels")
    if header.width * header.height > MAX_PIXELS:
        raise ImageRefusedError(
            f"the picture has {header.width:,} x {header.height:,} pixels, and at most {MAX_PIXELS:,} are decoded: "
            "make it smaller"
        )
    if header.frames > 1:
        raise ImageRefusedError("the picture is animated: it is kept as it is; send one of its frames as a PNG")
    if header.orientation != 1:
        raise ImageRefusedError("the picture is stored turned (EXIF): it is kept as it is; turn its pixels instead")
    if header.has_own_colors:
        raise ImageRefusedError("the colours of the picture are not sRGB: it is kept as it is; convert them to sRGB")


def _load(header: ImageHeader) -> Image.Image:
    """Decodes the pixels in the mode that the file has. Only the decoder of the file's own format is tried."""
    from PIL import Image

    importlib.import_module(f"PIL.{_PLUGINS[header.format]}ImagePlugin")  # registers the decoder
    image = Image.open(io.BytesIO(header.data), formats=[header.format])
    if image.size != (header.width, header.height):
        raise ValueError("the decoder reads another size than the header says")
    image.load()
    return image


def _to_rgb(image: Image.Image) -> tuple[Image.Image, bool]:
    """Returns the pixels as RGB, laid on white, and whether one of them is not opaque."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits; of colours with 16 bits the decoder takes the upper 8, too
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if not image.has_transparency_data:
        return _without_metadata(image.convert("RGB")), False
    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return _without_metadata(image.convert("RGB")), False
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=alpha)
    return white, True


def _without_metadata(image: Image.Image) -> Image.Image:
    image.info.clear()
    return image


def _refuse_large() -> ImageRefusedError:
    return ImageRefusedError(f"the picture is larger than {MAX_FILE_BYTES // 1_000_000} MB: make it smaller")
