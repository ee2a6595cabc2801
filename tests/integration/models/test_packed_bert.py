"""Our BERT without padding: the same numbers as with it, and what is chosen for which device."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from compressor.scoring import BLEND_WEIGHTS, ModelScorer
from compressor.scoring.base import Query, SourceBlock, UnitBatch
from compressor.scoring.embedding import EmbeddingModel
from compressor.scoring.models import bundled_pruner, encoder_source, sentence_transformers_encoder
from compressor.scoring.models.encoder_source import EncoderSource, find_encoder
from compressor.scoring.models.packed_encoder import CPU_LIMITS, LIMITS, PackedEncoder
from compressor.scoring.models.pair_encoder import wrap_packed, wrap_torch
from compressor.scoring.models.sentence_encoder import SentenceEncoder
from compressor.scoring.runtime.device import Device, dtype_for
from compressor.text.layout_cache import cached_layout

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
if importlib.util.find_spec(bundled_pruner.BASE_PACKAGE) is None:
    pytest.skip("the base model's package is not installed", allow_module_level=True)

from compressor.scoring.models import packed_bert  # noqa: E402 (needs torch)

CPU, CUDA = Device("cpu", "for the tests"), Device("cuda:0", "for the tests")
LENGTHS = (7, 1, 40, 12)
TEXTS = ["When was the treaty signed?", "ERROR payment 7731 failed: card declined", "a\ud800b", "no " * 600, ""]


@pytest.fixture(scope="module")
def module() -> Any:
    return bundled_pruner.load("cpu").module


@pytest.fixture(scope="module")
def encoder() -> PackedEncoder:
    return PackedEncoder(bundled_pruner.base_folder(), "all-MiniLM-L6-v2", "digest", CPU)


def random_ids(lengths: tuple[int, ...]) -> Any:
    return np.random.default_rng(1).integers(1_000, 20_000, sum(lengths))


def test_without_padding_the_numbers_are_the_same(module: Any) -> None:
    ids = random_ids(LENGTHS)
    types = (np.arange(len(ids)) % 3 == 0).astype(np.int64)
    packed = packed_bert.packed_forward(packed_bert.packed_network(module, CPU), CPU)
    padded = packed_bert.padded_forward(module, CPU)
    torch.testing.assert_close(packed(ids, types, LENGTHS), padded(ids, types, LENGTHS), atol=1e-4, rtol=1e-4)
    assert packed_bert._agreement(module, packed, padded, LENGTHS) > 0.9999


def test_the_classifier_gives_the_same_log_odds(module: Any) -> None:
    shape = len(LENGTHS), max(LENGTHS)
    mask = (np.arange(shape[1]) < np.array(LENGTHS)[:, None]).astype(np.int64)
    ids, types = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    ids[mask > 0] = random_ids(LENGTHS)
    wanted_keep, wanted_document = wrap_torch(module, "cpu")(ids, mask, types)
    keep, document = wrap_packed(module, CPU)(ids, mask, types)
    assert keep.shape == shape and wanted_document is not None and document is not None
    np.testing.assert_allclose(keep[mask > 0], wanted_keep[mask > 0], atol=1e-3)
    np.testing.assert_allclose(document, wanted_document, atol=1e-3)


def test_bfloat16_ranks_as_float32_does(module: Any) -> None:
    ids = random_ids((200,))
    short = bundled_pruner.load("cpu", "bfloat16").module

    def log_odds(one: Any) -> Any:
        with torch.inference_mode():
            hidden = packed_bert.packed_forward(packed_bert.packed_network(one, CPU), CPU)(ids, ids * 0, (200,))
            return one.keep(hidden).squeeze(-1).float().numpy()

    a, b = (np.argsort(np.argsort(log_odds(one))) for one in (module, short))
    assert np.corrcoef(a, b)[0, 1] > 0.99


def test_the_encoder_gives_the_vectors_of_sentence_transformers(encoder: PackedEncoder) -> None:
    library = pytest.importorskip("sentence_transformers")
    reference = library.SentenceTransformer(str(bundled_pruner.base_folder()), device="cpu")
    windows = [window for one in encoder.split(TEXTS[:3], False) for window in one]
    found = encoder.encode(windows)
    wanted = reference.encode([text.encode("utf-8", "replace").decode() for text in TEXTS[:3]])
    assert found.dtype == np.float32 and found.shape == (3, encoder.dimensions)
    cosine = (found * wanted).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
    assert cosine.min() > 0.9999


def test_long_texts_are_split_and_empty_ones_have_no_window(encoder: PackedEncoder) -> None:
    long, empty = encoder.split(TEXTS[3:], False)
    assert len(long) == 3 and not empty and max(window.tokens for window in long) <= 256
    assert SentenceEncoder(encoder, CPU).vectors(TEXTS).shape == (5, 384)


def test_flash_attention_and_compiling_are_for_cuda_and_16_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(packed_bert.COMPILE_VARIABLE, "1")
    assert not packed_bert.can_pack(CPU, torch.bfloat16) and not packed_bert.compiles(CPU)
    assert not packed_bert.can_pack(CUDA, torch.float32) and packed_bert.compiles(CUDA)
    assert not packed_bert.compiles(Device("mps", "for the tests"))
    monkeypatch.delenv(packed_bert.COMPILE_VARIABLE)
    assert not packed_bert.compiles(CUDA)
    assert dtype_for(CPU) == "float32"


def test_on_a_cpu_nothing_is_compiled(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(packed_bert.COMPILE_VARIABLE, "1")
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("compiled on a CPU"))
    assert list(packed_bert._candidates(module, CPU)) == []
    assert packed_bert.fastest_forward(module, CPU)(random_ids((9,)), np.zeros(9, np.int64), (9,)).shape == (9, 384)


def test_the_network_compiles_as_one_graph_for_all_shapes(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a kernel of the signature of torch's `varlen_attn`, which a CPU does not have."""
    called: list[int] = []

    def varlen(q: Any, k: Any, v: Any, begin: Any, end: Any, most_q: int, most_k: int) -> Any:
        assert begin is end and most_q == most_k and q.shape == k.shape == v.shape and q.shape[1:] == (12, 32)
        return packed_bert.separate_attention(begin, most_q)(q, k, v) if not torch.compiler.is_compiling() else v

    monkeypatch.setattr(packed_bert, "import_module", lambda name: SimpleNamespace(varlen_attn=varlen))
    network = packed_bert.packed_network(module, CUDA)

    def backend(graph: Any, example: Any) -> Any:
        called.append(len(example))
        return graph.forward

    compiled = torch.compile(network, dynamic=True, fullgraph=True, backend=backend)
    torch.compiler.reset()
    for lengths in ((5, 33, 12), (64, 7), (9, 100, 3, 3)):
        found = packed_bert.packed_forward(compiled, CPU)(random_ids(lengths), random_ids(lengths) * 0, lengths)
        assert found.shape == (sum(lengths), 384)
    assert len(called) == 1
    ids = random_ids(LENGTHS)
    plain = packed_bert.packed_forward(packed_bert.packed_network(module, CUDA), CPU)(ids, ids * 0, LENGTHS)
    wanted = packed_bert.padded_forward(module, CPU)(ids, ids * 0, LENGTHS)
    torch.testing.assert_close(plain, wanted, atol=1e-4, rtol=1e-4)


def test_a_way_that_fails_or_disagrees_is_not_used(
    module: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> packed_bert.PackedForward:
        raise RuntimeError("no kernel image is available")

    def other() -> packed_bert.PackedForward:
        return lambda ids, types, lengths: torch.randn(len(ids), 384, generator=torch.Generator().manual_seed(0))

    tried = [("compiled", broken), ("packed", other)]
    monkeypatch.setattr(packed_bert, "_candidates", lambda module, device: iter(tried))
    forward = packed_bert.fastest_forward(module, CPU)
    assert "padded_forward" in forward.__qualname__
    assert "no kernel image" in caplog.text and "other numbers" in caplog.text


def test_a_way_that_agrees_is_used(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = packed_bert.packed_forward(packed_bert.packed_network(module, CPU), CPU)
    monkeypatch.setattr(packed_bert, "_candidates", lambda module, device: iter([("packed", lambda: packed)]))
    assert packed_bert.fastest_forward(module, CPU) is packed


def test_the_runtime_of_the_bundled_encoder_follows_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sentence_transformers")
    assert find_encoder(None, CUDA).runtime == "packed"
    assert find_encoder(None, Device("mps", "")).runtime == "torch" != find_encoder(None, CUDA, "onnx").runtime
    assert find_encoder(bundled_pruner.base_folder(), CUDA).runtime == "torch"
    assert isinstance(EncoderSource("m", bundled_pruner.base_folder(), "d", "packed").load(CPU), PackedEncoder)
    assert LIMITS.batch_tokens > CPU_LIMITS.batch_tokens


def test_flash_attention_of_transformers_needs_cuda_16_bits_and_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[object] = [None]
    monkeypatch.setattr(sentence_transformers_encoder, "find_spec", lambda name: found[0])
    choose = sentence_transformers_encoder.attention_for
    assert choose(CUDA, "bfloat16") is None
    found[0] = object()
    assert choose(CUDA, "bfloat16") == "flash_attention_2"
    assert choose(CUDA, "float32") is None and choose(CPU, "bfloat16") is None


def test_a_model_without_flash_attention_is_loaded_with_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sentence_transformers")
    monkeypatch.setattr(sentence_transformers_encoder, "attention_for", lambda device, dtype: "flash_attention_2")
    source = encoder_source.EncoderSource("m", bundled_pruner.base_folder(), "d" * 24, "torch")
    assert source.load(CPU).dimensions == 384  # a CPU has no flash attention


class ShortOfMemory:
    """A real encoder that raises CUDA's exception for batches of more than `most` tokens."""

    def __init__(self, encoder: PackedEncoder, most: int) -> None:
        self._encoder, self.most, self.sizes = encoder, most, list[int]()
        self.name, self.fingerprint, self.dimensions = encoder.name, "short", encoder.dimensions
        self.limits, self.separates_queries, self.split = encoder.limits, False, encoder.split

    def encode(self, windows: Any) -> Any:
        tokens = sum(window.tokens for window in windows)
        if tokens > self.most:
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {tokens} MiB.")
        self.sizes.append(tokens)
        return self._encoder.encode(windows)


def scored(encoder: PackedEncoder, most: int) -> tuple[Any, UnitBatch, ShortOfMemory]:
    short = ShortOfMemory(encoder, most)

    class Model(EmbeddingModel):
        def _encoder(self) -> SentenceEncoder:
            return shared

    shared = SentenceEncoder(short, CPU)
    text = " ".join(
        f"Number {i} of the treaties was signed by envoys of both republics in {1900 + i}." for i in range(30)
    )
    layout = cached_layout(text, "document", "")
    units = UnitBatch([SourceBlock("document", layout, np.ones(len(layout.spans), np.float32))])
    scorer = ModelScorer("embedding", Model(device="cpu"), BLEND_WEIGHTS["embedding"])
    return scorer.score(Query((("When was number 7 signed?", 1.0),)), units), units, short


def test_out_of_memory_halves_the_batches_and_changes_no_score(encoder: PackedEncoder) -> None:
    wanted, plain, _ = scored(encoder, 10**9)
    found, units, short = scored(encoder, 100)
    assert not units.notes and not plain.notes and max(short.sizes) <= 100
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_an_item_that_does_not_fit_leaves_the_scores_to_the_fast_tier(encoder: PackedEncoder) -> None:
    found, units, short = scored(encoder, 5)
    assert "does not fit into memory" in units.notes[0] and "fast tier" in units.notes[0]
    assert np.isfinite(found).all() and not short.sizes
