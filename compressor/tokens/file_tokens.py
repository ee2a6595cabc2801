"""Computes what a file such as a PDF costs in tokens from its pages and its text.

* Anthropic ("PDF support"): the extracted text of each page, "1,500-3,000 tokens per page", and an image of each page.
* OpenAI ("File inputs"): the extracted text and an image of each page, in `detail` (Responses only). Other files: text.
* Gemini 2 ("Document understanding"): 258 for each page. Gemini 3 ("Media resolution"): 560 for each page, or what its
  resolution says; the text of a PDF is not billed.

No provider says how large its images of pages are: they count as a US Letter page at 200 dpi. A token of extracted text
counts as 3.5 characters, because a PDF's text lacks many spaces; for a family of models times its `scale`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from compressor.context.model import AttachedFile, Image
from compressor.tokens.image_tokens import GEMINI_3, Formula
from compressor.tokens.model_families import base_name

PAGE_WIDTH, PAGE_HEIGHT = 1700, 2200
CHARACTERS_PER_TOKEN = 3.5
_GEMINI_3_PAGE = {"low": 280, "medium": 560, "high": 1120}


def file_formula(model: str, image_formula: Formula, scale: float) -> Callable[[AttachedFile], int]:
    """Returns the formula by which a model bills a file.

    Args:
        model: The model's name.
        image_formula: How it bills an image.
        scale: Its tokens per token of the o200k vocabulary.
    """
    name = base_name(model)

    def count_text(file: AttachedFile) -> int:
        return math.ceil(file.characters / CHARACTERS_PER_TOKEN * scale)

    def count_gemini(file: AttachedFile) -> int:
        if not file.pages:
            return count_text(file)
        return file.pages * (258 if is_old else _GEMINI_3_PAGE.get(file.detail, 560))

    def count(file: AttachedFile) -> int:
        pages = file.pages and file.pages * image_formula(Image(PAGE_WIDTH, PAGE_HEIGHT, file.detail))
        return pages + count_text(file)

    is_old = re.search(GEMINI_3, name) is None
    return count_gemini if "gemini" in name else count
