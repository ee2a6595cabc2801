"""Images that are scored against the query by their pixels, with a tiny CLIP that sentence-transformers runs.

The model is made here and knows eight colours. No published model's weights are in these tests.
"""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compressor import Compressor
from compressor.caches import TwoGenerationCache
from compressor.errors import ModelError
from compressor.images.known_image import KnownImage, known_image
from compressor.images.policy import ImagePolicy
from compressor.scoring.base import Query
from compressor.scoring.image_relevance import ImageRelevance
from compressor.scoring.models import image_text_encoder
from compressor.scoring.models.bundled_pruner import base_folder
from compressor.scoring.models.image_text_encoder import ImageTextEncoder, get_image_encoder
from compressor.scoring.runtime.device import Device
from support.tiny_clip import COLOURS, coloured_square, write_tiny_clip

pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")
pytest.importorskip("PIL")

CPU = Device("cpu", "for the tests")
SIZE = (320, 200)
NAMES = list(COLOURS)
#: Nothing is done to images but keeping some and dropping the rest.
CHOOSE: dict[str, Any] = {
    "fold_repeats": False,
    "shrink": False,
    "drop_stale": False,
    "read_as_text": False,
    "ocr": False,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("clip")
    write_tiny_clip(folder, steps=150)
    return str(folder)


@pytest.fixture
def encoder(model: str) -> ImageTextEncoder:
    found = get_image_encoder(Path(model), "tiny", model, CPU)
    found._cache = TwoGenerationCache(image_text_encoder.CACHE_BYTES)
    return found


def encode_png(colour: str, size: tuple[int, int] = SIZE, seed: int = 500) -> str:
    file = io.BytesIO()
    coloured_square(colour, size, seed).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def squares(colours: Sequence[str] = NAMES, size: tuple[int, int] = SIZE) -> list[KnownImage]:
    return [known_image(encode_png(colour, size)) for colour in colours]


def test_texts_are_nearest_to_the_images_that_they_name(encoder: ImageTextEncoder) -> None:
    found = encoder.similarity([f"where is {name}?" for name in NAMES], squares(), is_query=True)
    assert found.shape == (8, 8) and found.dtype == np.float32
    assert found.argmax(1).tolist() == list(range(8))


def test_vectors_have_length_1_and_do_not_depend_on_other_images(encoder: ImageTextEncoder) -> None:
    together = encoder.embed_images(squares())
    encoder._cache = TwoGenerationCache(image_text_encoder.CACHE_BYTES)
    for image, vectors in zip(reversed(squares()), reversed(together), strict=True):
        assert vectors is not None
        assert vectors.shape == (5, encoder.dimensions)
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(5), abs=1e-5)
        alone = encoder.embed_images([image])[0]
        assert alone is not None and (alone == vectors).all()


def test_a_small_image_is_read_whole(encoder: ImageTextEncoder) -> None:
    (vectors,) = encoder.embed_images(squares(["red"], (40, 30)))
    assert vectors is not None and len(vectors) == 1


def test_each_image_is_read_once(encoder: ImageTextEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    encode = encoder._backend.encode_images

    def count(images: Sequence[Any]) -> Any:
        read.append(len(images))
        return encode(images)

    monkeypatch.setattr(encoder._backend, "encode_images", count)
    encoder.embed_images(squares(["red", "blue", "red"]))
    encoder.embed_images(squares(["blue", "red"]))
    assert read == [5, 5]


def test_a_tile_can_match_where_the_whole_does_not(encoder: ImageTextEncoder) -> None:
    picture = coloured_square("white", SIZE, 1)
    picture.paste(coloured_square("blue", (160, 100), 2), (160, 100))
    file = io.BytesIO()
    picture.save(file, "PNG")
    (vectors,) = encoder.embed_images([known_image(base64.b64encode(file.getvalue()).decode())])
    assert vectors is not None
    assert (vectors @ encoder.embed_texts(["blue"])[0]).argmax() == 4  # the whole, then row by row


def test_an_image_that_cannot_be_decoded_matches_nothing(model: str, encoder: ImageTextEncoder) -> None:
    images: list[KnownImage | None] = [known_image("bm90IGFuIGltYWdl"), None, *squares()]
    assert encoder.embed_images(images[:1]) == [None]  # type: ignore[arg-type]
    found = ImageRelevance(model, "cpu").match(Query((("blue", 1.0),)), images, [""] * 10)
    assert found is not None
    assert found.argmax() == 2 + NAMES.index("blue") and found[:2].tolist() == [0, 0]


def test_without_a_query_or_a_second_image_there_is_nothing_to_compare(model: str) -> None:
    relevance = ImageRelevance(model, "cpu")
    assert relevance.match(Query(), squares(), [""] * 8) is None
    assert relevance.match(Query((("blue", 1.0),)), squares(["blue"]), [""]) is None


def test_a_model_of_texts_is_refused() -> None:
    with pytest.raises(ModelError, match="cannot read images"):
        get_image_encoder(base_folder(), "all-MiniLM-L6-v2", "texts", CPU)


def test_a_model_with_random_weights_is_loaded(tmp_path: Path) -> None:
    write_tiny_clip(tmp_path)
    found = ImageRelevance(str(tmp_path), "cpu").match(Query((("blue", 1.0),)), squares(), NAMES)
    assert found is not None and np.isfinite(found).all() and 0 <= found.min() <= found.max() <= 1


def conversation(question: str, colours: Sequence[str] = NAMES) -> list[dict[str, Any]]:
    """Pictures that nothing is said about, and a question about one of them."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "I will send you some pictures."}]
    for colour in colours:
        url = f"data:image/png;base64,{encode_png(colour, (1280, 800))}"
        messages.append({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]})
        messages.append({"role": "assistant", "content": "Thank you. Please send the next one."})
    return [*messages, {"role": "user", "content": question}]


def kept_colours(messages: Sequence[Any], colours: Sequence[str] = NAMES) -> list[str]:
    text = json.dumps(list(messages))
    return [colour for colour in colours if encode_png(colour, (1280, 800)) in text]


def budget_for(images: int) -> int:
    return images * 1105 + 500  # gpt-4o bills 1105 tokens for 1280 x 800 pixels


@pytest.mark.parametrize("colour", NAMES)
def test_the_image_that_the_question_is_about_stays(model: str, colour: str) -> None:
    compressor = Compressor(store="memory", device="cpu", images=ImagePolicy(encoder=model, **CHOOSE))
    result = compressor.compress(conversation(f"where is {colour}?"), budget=budget_for(1), model="gpt-4o")
    assert kept_colours(result.messages) == [colour]
    assert not any("words alone" in warning for warning in result.warnings)


def screenshots(question: str) -> list[dict[str, Any]]:
    """A page that changes its colour, as an agent sees it, and the agent's question."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Watch the page."}]
    for i, colour in enumerate(NAMES):
        call = {"id": f"c{i}", "type": "function", "function": {"name": "browser_screenshot", "arguments": "{}"}}
        url = f"data:image/png;base64,{encode_png(colour, (1280, 800))}"
        beside = {"type": "text", "text": "Page URL: https://page.example/lamp"}
        content = [beside, {"type": "image_url", "image_url": {"url": url}}]
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"c{i}", "content": content})
    return [*messages, {"role": "assistant", "content": "Done."}, {"role": "user", "content": question}]


def test_of_stale_screenshots_those_leave_first_that_match_the_query_least(model: str) -> None:
    steps = {**CHOOSE, "drop_stale": True}
    plain = Compressor(store="memory", images=ImagePolicy(**steps))
    with_encoder = Compressor(store="memory", device="cpu", images=ImagePolicy(encoder=model, **steps))
    messages = screenshots("where is red?")
    budget = plain.compress(messages, budget=10**6, model="gpt-4o").tokens_before - 3 * 1105
    oldest_left = kept_colours(plain.compress(messages, budget=budget, model="gpt-4o").messages)
    assert "red" not in oldest_left and oldest_left[-1] == NAMES[-1]
    kept = kept_colours(with_encoder.compress(messages, budget=budget, model="gpt-4o").messages)
    assert len(kept) == len(oldest_left) and kept[0] == "red" and kept[-1] == NAMES[-1]


def test_a_model_that_is_not_there_leaves_the_words_and_no_result_in_the_cache(model: str, tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    policy = ImagePolicy(encoder=str(folder), **CHOOSE)
    messages = conversation("where is blue?")
    result = Compressor(store="memory", device="cpu", images=policy).compress(messages, budget_for(1), model="gpt-4o")
    assert any("by their words alone: there is no encoder at" in warning for warning in result.warnings)
    assert result.tokens_after <= budget_for(1)
    shutil.copytree(model, folder)
    compressor = Compressor(store="memory", device="cpu", images=policy, cache=True)
    for _ in range(2):
        assert kept_colours(compressor.compress(messages, budget_for(1), model="gpt-4o").messages) == ["blue"]
