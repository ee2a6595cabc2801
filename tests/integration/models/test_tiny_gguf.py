"""The small language model's making: its files hold the model that was trained, and what it is shown is text."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compressor.scoring.runtime.device import Device
from tiny_gguf import data as lm_data

torch: Any = pytest.importorskip("torch")
pytest.importorskip("gguf")
pytest.importorskip("llama_cpp")

from compressor.scoring.models.gguf_logprobs import GgufLanguageModel, ScoredSequence  # noqa: E402
from tiny_gguf.__main__ import made_tokenizer, stream  # noqa: E402
from tiny_gguf.files import write_folder, write_gguf  # noqa: E402
from tiny_gguf.net import Net, Plan, Shape, batched, surprisals, train  # noqa: E402

TEXTS = [
    "The king of the old country had three daughters, and the youngest was the wisest of them.",
    "naïve café 東京 🙂 — dashes… and “quotes”, it's we'll they've",
    "def f(x):\n    return x * 2\n\n\ttabs  and   spaces \n",
    "numbers 1234567 3.14159 2026-11-22 v1.2.3 ½ ²",
]
SHAPE = Shape(vocabulary=320, width=64, layers=2, heads=2, hidden=96, context=64)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Net, Any]:
    """A GGUF of a tiny model trained for a few steps, the model, its tokenizer."""
    torch.set_num_threads(1)
    torch.manual_seed(7)
    tokenizer = made_tokenizer(TEXTS * 3, SHAPE.vocabulary)
    net = Net(SHAPE, torch)
    train(net, stream(TEXTS * 40, tokenizer)[: 6 * 512 + 1], Plan(batch=512, short=32, warm=2), torch)
    path = tmp_path_factory.mktemp("model") / "test.gguf"
    write_gguf(path, net, tokenizer)
    return path, net, tokenizer


def test_llama_cpp_cuts_and_foretells_as_torch_does(made: tuple[Path, Net, Any]) -> None:
    path, net, tokenizer = made
    model = GgufLanguageModel(path, Device("cpu", "a test"))
    assert model.vocabulary.size == SHAPE.vocabulary
    assert model.window == SHAPE.context
    for text in TEXTS:
        ids = model.vocabulary.tokens(text).ids
        assert ids.tolist() == tokenizer.encode(text).ids
        ours = model.token_nll([ScoredSequence(model.vocabulary.start, ids[:60])])[0]
        theirs = surprisals(net, [[0, *ids[:60].tolist()]], torch)[0]
        assert np.abs(ours - theirs).max() < 0.02  # half precision
        assert np.corrcoef(ours, theirs)[0, 1] > 0.999


@pytest.mark.slow
def test_the_folder_is_the_same_model(made: tuple[Path, Net, Any], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    path, net, tokenizer = made
    write_folder(path, tmp_path)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    cut = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        ids = tokenizer.encode(text).ids[:60]
        assert cut(text).input_ids[:60] == ids
        with torch.no_grad():
            theirs, ours = loaded(torch.tensor([[0, *ids]])).logits, net(torch.tensor([[0, *ids]]))
        assert (theirs - ours).abs().max() < 0.02


def test_same_seed_same_bytes(made: tuple[Path, Net, Any], tmp_path: Path) -> None:
    path, _, _ = made
    torch.manual_seed(7)
    tokenizer = made_tokenizer(TEXTS * 3, SHAPE.vocabulary)
    net = Net(SHAPE, torch)
    train(net, stream(TEXTS * 40, tokenizer)[: 6 * 512 + 1], Plan(batch=512, short=32, warm=2), torch)
    write_gguf(tmp_path / "again.gguf", net, tokenizer)
    assert (tmp_path / "again.gguf").read_bytes() == path.read_bytes()


def test_batches_are_the_stream_in_order() -> None:
    ids = np.arange(10 * 64 + 1)
    out = batched(ids, 32, Plan(batch=64, short=16, long=0.2))
    assert [b.shape for b in out] == [(4, 17)] * 8 + [(2, 33)] * 2
    assert np.array_equal(np.concatenate([b[:, :-1].ravel() for b in out]), ids[:-1])
    assert all(np.array_equal(b[:, 1:], b[:, :-1] + 1) for b in out)


def test_hints_come_from_their_passage() -> None:
    rng = random.Random(3)
    passage = "The quick brown fox jumped over the lazy dog's bed near Hampton Court in 1897 . " * 3
    for _ in range(50):
        words = lm_data.hint(passage, rng).split()
        assert 3 <= len(words) <= 12
        assert sum(w.lower() in passage.lower() for w in words) >= 3


def test_passages_are_whole_paragraphs() -> None:
    text = "\n".join(f"paragraph {i} " + "word " * (i % 30) for i in range(100))
    found = list(lm_data.passages_of(text, random.Random(1)))
    assert len(found) > 10
    assert all(p in text for p in found)


def test_wikitext_reads_like_text() -> None:
    raw = " = = Early life = = \n He was born in 1 @,@ 867 ( in <unk> ) , the \" first \" son 's son ; it isn 't . \n"
    assert lm_data.written(raw).strip() == (
        "## Early life\nHe was born in 1,867 (in), the \"first\" son's son; it isn't."
    )
