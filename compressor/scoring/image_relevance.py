"""Rates the images of a context against a query with an image-text model.

Cosines of images and texts mean little by themselves: they are small, and some images are near to every text. So an
image is compared with the other images of the context, and the query with the texts about them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from compressor.errors import DeviceError, MissingDependencyError, ModelError
from compressor.scoring.base import Query
from compressor.scoring.runtime.device import Device, select_device

if TYPE_CHECKING:
    from pathlib import Path

    from compressor.images.known_image import KnownImage
    from compressor.scoring.models.image_text_encoder import ImageTextEncoder

Floats = npt.NDArray[np.float32]

EXTRAS = "images,models"
#: Characters of one part of a query that are read.
MAX_QUERY_CHARS = 1_000
#: Characters of a text about an image that are read: about what such models read at once.
MAX_TEXT_CHARS = 200
#: Texts about images that are read.
MAX_TEXTS = 64
#: The least weight of a question that counts alone: an agent that has used tools for long looks for other things, too.
MIN_QUESTION_WEIGHT = 0.3
#: A match below this is none.
MIN_MATCH = 0.05


class ImageRelevance:
    """Rates images against a query. The model is found and loaded when it is first used.

    Args:
        model: A folder, or a hub id ("org/name@revision"), of a model such as CLIP that sentence-transformers can load.
        device: See `select_device`.

    Raises:
        MissingDependencyError: A package that the model needs is not installed.
    """

    def __init__(self, model: str, device: str | None = None) -> None:
        packages = ("PIL", "Pillow"), ("torch", "torch"), ("sentence_transformers", "sentence-transformers")
        for module, package in packages:
            if find_spec(module) is None:
                raise MissingDependencyError(package, EXTRAS)
        self.model = model
        self._wanted = device

    @property
    def identity(self) -> str:
        """What the matches depend on: the model's files and the device; "" if one of them cannot be found."""
        try:
            _, _, digest, device = self._find()
        except (DeviceError, ModelError):
            return ""
        return f"images:{digest}:{device.name}" if digest else ""

    def match(self, query: Query, images: Sequence[KnownImage | None], texts: Sequence[str]) -> Floats | None:
        """Returns how well images match a query.

        Args:
            query: The query.
            images: All images of the context; None for one whose data is not there.
            texts: The text about each image, such as the title of the page; "" for none.

        Returns:
            [n] float32 in [0, 1]: 1 for an image that alone matches the query, 0 for one that matches it no better than
            the others do. None if there is nothing to compare: no query, or fewer than two images.

        Raises:
            DeviceError: The device does not exist.
            ModelError: The model cannot be found or loaded, or it failed.
            QueueFullError: The time ran out.
        """
        parts = _parts(query)
        there = [i for i, image in enumerate(images) if image is not None]
        if not parts or len(there) < 2:
            return None
        encoder = self._encoder()
        known = [image for image in images if image is not None]
        cosines = encoder.similarity([text for text, _ in parts], known, is_query=True)
        weights = np.array([weight for _, weight in parts], np.float32)
        beside = [_plain(texts[i]) for i in there]
        others = list(dict.fromkeys(text for text in beside if text))[:MAX_TEXTS]
        contrast = encoder.similarity(others, known)
        own = np.array([[text == other for text in beside] for other in others], np.bool_).reshape(contrast.shape)
        out = np.zeros(len(images), np.float32)
        seen = ~np.isnan(cosines[0])
        if seen.sum() < 2:
            return None
        found = calibrate(weights @ cosines[:, seen] / weights.sum(), contrast[:, seen], own[:, seen], encoder.scale)
        out[np.array(there)[seen]] = found
        return out

    def _find(self) -> tuple[Path, str, str, Device]:
        from compressor.scoring.models.encoder_source import find_model_folder
        from compressor.scoring.runtime.file_digest import file_digest

        folder, name = find_model_folder(self.model)
        return folder, name, file_digest(folder), select_device(self._wanted)

    def _encoder(self) -> ImageTextEncoder:
        from compressor.scoring.models.image_text_encoder import get_image_encoder

        return get_image_encoder(*self._find())


def calibrate(cosines: Floats, contrast: Floats, own: npt.NDArray[np.bool_], scale: float) -> Floats:
    """Returns how well images match a query, in [0, 1], given what they would match by chance.

    From each image's cosine its mean cosine with the texts about other images is taken, so that an image that is near
    to every text is not preferred. What is left is compared by a softmax: the best image gets the more, the fewer
    others are about as good, measured by the inverse Simpson index of the softmax.

    Args:
        cosines: [n] the query and each image.
        contrast: [t, n] the texts about images, and each image.
        own: [t, n] which text is about which image.
        scale: The factor on cosines in the softmax that the model was trained with.
    """
    n = len(cosines)
    if n < 2:
        return np.zeros(n, np.float32)
    count = (~own).sum(0)
    by_chance = np.where(own, 0, contrast).sum(0) / np.maximum(count, 1)
    # An image with nothing to compare counts like the average one.
    by_chance = np.where(count > 0, by_chance, by_chance[count > 0].mean() if count.any() else 0.0)
    logits = scale * (cosines - by_chance).astype(np.float64)
    ratio = np.exp(logits - logits.max())
    alike = ratio.sum() ** 2 / (ratio**2).sum()  # 1 if one image stands out, n if all are equal
    out = ratio * (1 - (alike - 1) / (n - 1))
    return np.where(out < MIN_MATCH, 0, np.clip(out, 0, 1)).astype(np.float32)


def _parts(query: Query) -> list[tuple[str, float]]:
    """Returns the texts that images are compared with, and weights.

    An open question counts alone. Unlike for words, nothing tells that "Thank you, go on" beside it is no description
    of an image.
    """
    is_asked = bool(query.question.strip()) and query.question_weight >= MIN_QUESTION_WEIGHT
    parts = ((query.question, 1.0),) if is_asked else query.parts
    return [(text[:MAX_QUERY_CHARS], weight) for text, weight in parts if text.strip() and weight > 0]


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()[:MAX_TEXT_CHARS]
