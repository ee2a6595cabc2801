"""Files made to exhaust memory do not: each is decoded in a process of its own, whose peak is measured."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("PIL")
if not Path("/proc/self/status").exists():  # `resource` would count the process that starts this one, too
    pytest.skip("reads its peak of memory from Linux", allow_module_level=True)

import numpy as np
from PIL import Image

PROGRAM = r"""
import pathlib, re, sys
from compressor.errors import ImageRefusedError
from compressor.images.decoding import decode_picture
import PIL.Image, PIL.PngImagePlugin, PIL.JpegImagePlugin, PIL.GifImagePlugin, PIL.BmpImagePlugin, PIL.WebPImagePlugin
peak = lambda: int(re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])
data = pathlib.Path(sys.argv[1]).read_bytes()
before = peak()
try:
    picture = decode_picture(data)
    print("decoded", (peak() - before) // 1024)
except ImageRefusedError:
    print("refused", (peak() - before) // 1024)
"""


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, pixels: bytes, extra: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def bomb() -> bytes:
    """300 MB of zeros in 300 kB."""
    packer = zlib.compressobj()
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(300)) + packer.flush()


def stored(image: Image.Image, format: str) -> bytes:
    file = io.BytesIO()
    image.save(file, format)
    return file.getvalue()


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8))


#: What the file is, how it ends, and the megabytes that may be taken beside the file.
FILES: dict[str, tuple[Callable[[], bytes], str, int]] = {
    "claims 30000 x 30000": (lambda: png(30_000, 30_000, zlib.compress(b"\0")), "refused", 5),
    "claims 6000 x 6000": (lambda: png(6000, 6000, zlib.compress(b"\0")), "refused", 160),
    "100 megapixels": (lambda: stored(Image.new("1", (10_000, 10_000)), "PNG"), "refused", 5),
    "100 megapixels, jpeg": (lambda: stored(Image.new("L", (10_000, 10_000)), "JPEG"), "refused", 5),
    "bomb in iCCP": (lambda: png(1, 1, zlib.compress(b"\0abc"), chunk(b"iCCP", b"p\0\0" + bomb())), "refused", 5),
    "bomb in zTXt": (lambda: png(1, 1, zlib.compress(b"\0abc"), chunk(b"zTXt", b"p\0\0" + bomb())), "decoded", 5),
    "bomb in iTXt": (lambda: png(1, 1, zlib.compress(b"\0abc"), chunk(b"iTXt", b"p\0\1\0\0\0" + bomb())), "decoded", 5),
    "bomb in the pixels": (lambda: png(1, 1, bomb()), "decoded", 5),
    "truncated jpeg": (lambda: stored(noise(2000, 1000), "JPEG")[:200_000], "refused", 5),
    "0 x 0": (lambda: png(0, 0, b""), "refused", 5),
    "39 megapixels": (lambda: stored(Image.new("RGBA", (6500, 6000), (1, 2, 3, 99)), "PNG"), "decoded", 500),
    "screenshot": (lambda: stored(noise(1280, 800), "PNG"), "decoded", 25),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_decoding_takes_little_memory_and_prints_nothing(name: str, tmp_path: Path) -> None:
    make, end, megabytes = FILES[name]
    path = tmp_path / "picture"
    path.write_bytes(make())
    done = subprocess.run([sys.executable, "-W", "always", "-c", PROGRAM, str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    how, peak = done.stdout.split()
    print(f"{name}: {how}, {peak} MB")
    assert how == end
    assert int(peak) <= megabytes
