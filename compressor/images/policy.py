"""Defines what may be done with the images of a context."""

from __future__ import annotations

from dataclasses import dataclass

from compressor.errors import CompressorError


@dataclass(frozen=True)
class ImagePolicy:
    """What may be done with images to reach a budget. Every image that changes stays behind a ref.

    The steps are taken in the order of the fields, each only as far as the budget demands. In a session the first two
    are taken as soon as a tool has returned an image, or a program has shown one in a user message.

    Attributes:
        fold_repeats: An image that repeats another one becomes a note, or a note and the part that differs.
        shrink: An image is shown at the smallest size at which its small text is still legible, to the border that the
            provider bills.
        drop_stale: Screenshots that newer ones of the same page have replaced, and that nobody refers to, become a
            line of text.
        read_as_text: A screenshot of a table or a text becomes that text, where OCR reads it reliably and the text is
            cheaper. Needs tesseract.
        ocr: Whether the line for a screenshot that has left says what the screenshot's largest texts are. Needs
            tesseract, and takes a tenth of a second or more for each of them, once; four at a time are read.
        keep_frames: The number of newest screenshots that leave last of all. In a session, a new one may be a note and
            the part that differs from an earlier one.
        max_stale_tokens: In a session, the tokens that stale screenshots may have before they become lines all at
            once. A smaller number rewrites the provider's cached prefix more often.
        encoder: The name or folder of an image-text model for sentence-transformers, such as
            "sentence-transformers/clip-ViT-B-32", by which images are scored against the query, which takes such a
            model about half a second of one core for each image, once. None scores them by their words. Needs the
            extras `images` and `models`.
    """

    fold_repeats: bool = True
    shrink: bool = True
    drop_stale: bool = True
    read_as_text: bool = False
    ocr: bool = True
    keep_frames: int = 1
    max_stale_tokens: int = 8_000
    encoder: str | None = None


def check_image_policy(images: bool | ImagePolicy) -> ImagePolicy | None:
    """Returns the policy that the argument `images` of a `Compressor` stands for.

    Raises:
        CompressorError: It is no policy.
    """
    if images is True:
        return ImagePolicy()
    if images is False or images is None:
        return None
    if not isinstance(images, ImagePolicy):
        raise CompressorError(f"images must be an ImagePolicy, True or False, not {images!r:.80}")
    if images.keep_frames < 1 or images.max_stale_tokens < 0:
        raise CompressorError("images: keep_frames must be at least 1 and max_stale_tokens at least 0")
    return images
