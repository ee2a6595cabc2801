"""Turns images and texts into vectors of one space, with a model such as CLIP, SigLIP or jina-clip.

sentence-transformers runs the model. A process loads each model once a device, and computes the vectors of each image
once.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from compressor.caches import TwoGenerationCache
from compressor.errors import ModelError
from compressor.scoring.models.encoder_backend import Floats
from compressor.scoring.models.sentence_encoder import SentenceEncoder
from compressor.scoring.models.sentence_transformers_encoder import SentenceTransformersEncoder
from compressor.scoring.runtime.batch_scheduler import BatchLimits, BatchScheduler
from compressor.scoring.runtime.device import Device
from compressor.scoring.vector_cache import Vector

if TYPE_CHECKING:
    from PIL import Image

    from compressor.images.known_image import KnownImage

#: Bytes of the vectors of images that a process keeps in memory: some 6,000 images.
CACHE_BYTES = 32 << 20
#: An image is read in tiles, too, if its longer side is more than this many times the side that the model reads.
MIN_TILED = 1.5
#: The rows and columns of tiles, besides the whole image.
TILES = 2
#: The side of the images that a model reads, if its files do not say so.
DEFAULT_SIDE = 224
#: Images that are decoded at once.
ROUND_IMAGES = 16
#: The scale of cosines in a softmax that contrastive models are trained to, if the model does not tell its own.
DEFAULT_SCALE = 100.0
_SCALES = (20.0, 200.0)
_TILE_TOKENS = 50  # the work of reading one tile, as if it were a text


class ImageTextBackend(SentenceTransformersEncoder):
    """A loaded model that reads texts and images. See `SentenceTransformersEncoder`.

    Attributes:
        side: The side in pixels of the squares that the model reads.
        scale: The factor on cosines with which their softmax is calibrated.
    """

    def __init__(self, folder: Path, name: str, digest: str, device: Device) -> None:
        super().__init__(folder, name, digest, device)
        self.side = _input_side(self._model)
        self.scale = _cosine_scale(self._model)
        try:
            found = self.encode_images(_blank_images(self.side))
        except Exception as error:  # sentence-transformers raises exceptions of many kinds
            raise ModelError(f"{name} cannot read images: {type(error).__name__}: {error}") from error
        if found.shape[1:] != (self.dimensions,):
            raise ModelError(f"{name} does not give images and texts vectors of the same length")

    def encode_images(self, images: Sequence[Image.Image]) -> Floats:
        """Returns [n, dimensions] float32, one vector for each image of mode "RGB"."""
        vectors = self._model.encode(
            list(images),
            batch_size=len(images),
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return np.asarray(vectors, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _TiledImage:
    """An image as the model reads it: the whole, then its tiles."""

    digest: str
    tiles: list[Image.Image] = field(repr=False)


class ImageTextEncoder:
    """Computes vectors of length 1 of images and texts, with caches. Threads may share it.

    Use `get_image_encoder` to get the process's shared instance.

    Args:
        backend: The loaded model.
        device: The device that it runs on.
    """

    def __init__(self, backend: ImageTextBackend, device: Device) -> None:
        self.name, self.dimensions, self.scale = backend.name, backend.dimensions, backend.scale
        self._backend = backend
        self._texts = SentenceEncoder(backend, device)
        self._cache: TwoGenerationCache[Vector] = TwoGenerationCache(CACHE_BYTES)
        self._scheduler: BatchScheduler[_TiledImage, Vector] = BatchScheduler(
            self._run, lambda image: _TILE_TOKENS * len(image.tiles), device.name, BatchLimits(), self.name
        )

    def embed_texts(self, texts: Sequence[str], is_query: bool = False) -> Floats:
        """Returns [n, dimensions] float32 vectors, see `SentenceEncoder.vectors`.

        Raises:
            ModelError: The model failed.
            QueueFullError: The time ran out.
        """
        return self._texts.vectors(texts, is_query=is_query)

    def embed_images(self, images: Sequence[KnownImage]) -> list[Floats | None]:
        """Returns the vectors of images.

        An image that is larger than what the model reads is read in tiles, too, because small things are lost when the
        whole is made smaller.

        Args:
            images: The images.

        Returns:
            For each image [k, dimensions] float32, the whole first, then its tiles; None if it cannot be decoded.

        Raises:
            MissingDependencyError: Pillow is not installed.
            ModelError: The model failed.
            QueueFullError: The time ran out. What was computed by then is kept.
        """
        found: dict[str, Floats | None] = {}
        missing: list[KnownImage] = []
        for image in images:
            if image.digest not in found:
                known = self._cache.get(image.digest)
                found[image.digest] = None if known is None else self._unpack(known)
                if known is None:
                    missing.append(image)
        for start in range(0, len(missing), ROUND_IMAGES):
            pictures = [(image.digest, image.picture) for image in missing[start : start + ROUND_IMAGES]]
            tiled = [_TiledImage(digest, cut_tiles(p.image, self._backend.side)) for digest, p in pictures if p]
            for one, vectors in zip(tiled, self._scheduler.map(tiled), strict=True):
                found[one.digest] = self._unpack(vectors)
        return [found[image.digest] for image in images]

    def similarity(self, texts: Sequence[str], images: Sequence[KnownImage], is_query: bool = False) -> Floats:
        """Returns [texts, images] cosines, of the best tile of each image; NaN for one that cannot be decoded.

        Args:
            texts: The texts.
            images: The images.
            is_query: Whether the texts are queries, for models that treat queries differently.

        Raises:
            MissingDependencyError: Pillow is not installed.
            ModelError: The model failed.
            QueueFullError: The time ran out. What was computed by then is kept.
        """
        out = np.full((len(texts), len(images)), np.nan, np.float32)
        if out.size:
            vectors = self.embed_texts(texts, is_query)
            for i, tiles in enumerate(self.embed_images(images)):
                if tiles is not None:
                    out[:, i] = (vectors @ tiles.T).max(1)
        return out

    def _unpack(self, vectors: Vector) -> Floats:
        out = vectors.astype(np.float32)
        out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)
        return out

    def _run(self, images: Sequence[_TiledImage]) -> list[Vector]:
        """The scheduler's work. Each image is a batch of its own, so that its vectors do not depend on the others."""
        out = []
        for image in images:
            vectors = self._backend.encode_images(image.tiles)
            length = np.linalg.norm(vectors, axis=1, keepdims=True)
            if not (np.isfinite(length).all() and length.all()):
                raise ModelError(f"{self.name} returned NaN, infinity or zero")
            out.append((vectors / length).astype(np.float16))
            self._cache.put(image.digest, out[-1])
        return out


def cut_tiles(image: Image.Image, side: int) -> list[Image.Image]:
    """Returns an image as squares that a model can read: the whole, then its tiles row by row.

    The squares hold all of the image, squeezed if it is no square, because many models would cut off its edges.

    Args:
        image: The image.
        side: The side in pixels of the squares.
    """
    width, height = image.size
    boxes = [(0.0, 0.0, float(width), float(height))]
    if max(width, height) > MIN_TILED * side:
        x, y = width / TILES, height / TILES
        boxes += [(i * x, j * y, (i + 1) * x, (j + 1) * y) for j in range(TILES) for i in range(TILES)]
    return [image.resize((side, side), box=box, reducing_gap=3.0) for box in boxes]


def get_image_encoder(folder: Path, name: str, digest: str, device: Device) -> ImageTextEncoder:
    """Returns the process's encoder for a model and a device; the first call loads it.

    Args:
        folder: The model's folder.
        name: The model's name, for messages.
        digest: A hash of the model's files.
        device: The device to run on.

    Raises:
        ModelError: The model cannot be loaded, or does not read images.
    """
    key = digest, device.name
    with _lock:
        if key not in _encoders:
            _encoders[key] = ImageTextEncoder(ImageTextBackend(folder, name, digest, device), device)
        return _encoders[key]


def _input_side(model: Any) -> int:
    """Returns the side of the squares that the model reads, as its processor's settings say."""
    processor = getattr(model[0], "processor", None)
    settings = getattr(processor, "image_processor", processor)
    for name in ("crop_size", "size"):
        size = getattr(settings, name, None)
        for key in ("height", "shortest_edge"):
            side = size.get(key) if isinstance(size, dict) else getattr(size, key, size)
            if isinstance(side, int) and side > 0:
                return side
    return DEFAULT_SIDE


def _cosine_scale(model: Any) -> float:
    for name, value in model.named_parameters():
        if name.endswith("logit_scale") and value.numel() == 1:
            return min(max(math.exp(min(float(value.detach().reshape(())), 10.0)), _SCALES[0]), _SCALES[1])
    return DEFAULT_SCALE


def _blank_images(side: int) -> list[Image.Image]:
    from PIL import Image

    return [Image.new("RGB", (side, side), "white")]


_encoders: dict[tuple[str, str], ImageTextEncoder] = {}
_lock = threading.Lock()
