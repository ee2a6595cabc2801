"""What only a GPU can show: the same order as on the CPU, its memory running out, deadlines, llama.cpp's layers on it.

Skipped without CUDA. `make bench-gpu` runs them; BENCH_GPU_DEVICE=cpu runs them on the CPU, to try them out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import throughput
from benchmarks.data import TINY_GGUF
from compressor.errors import ModelError
from compressor.scoring import BLEND_WEIGHTS, ModelScorer, make_scorer
from compressor.scoring.embedding import EmbeddingModel
from compressor.scoring.models import bundled_pruner, sentence_encoder
from compressor.scoring.models.encoder_source import find_encoder
from compressor.scoring.models.sentence_encoder import SentenceEncoder
from compressor.scoring.runtime.device import Device, dtype_for, select_device

torch = pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")
if find_spec(bundled_pruner.BASE_PACKAGE) is None:
    pytest.skip("the base model's package is not installed", allow_module_level=True)

from compressor.scoring.models import packed_bert  # noqa: E402 (needs torch)

NAME = os.environ.get("BENCH_GPU_DEVICE") or "cuda:0"
ON_CUDA = NAME.startswith("cuda")
MIN_RANK_CORRELATION = 0.999
REQUESTS = 3 if ON_CUDA else 1
DOCUMENTS = throughput.DOCUMENTS if ON_CUDA else 4

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(ON_CUDA and not torch.cuda.is_available(), reason="torch finds no CUDA device"),
]
needs_cuda = pytest.mark.skipif(not ON_CUDA, reason="only a GPU's memory can run out here")


@pytest.fixture(scope="module")
def device() -> Device:
    return select_device(NAME)


@pytest.fixture(scope="module")
def cases() -> list[Any]:
    return list(islice(throughput.requests(7, DOCUMENTS), REQUESTS))


@contextmanager
def memory_left(megabytes: int) -> Iterator[None]:
    """A card of which this process may use what it holds now and so much more."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(NAME).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved(NAME) + (megabytes << 20)) / total, NAME)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, NAME)
        torch.cuda.empty_cache()


def encoder(device: Device, deadline: float | None = 30.0) -> SentenceEncoder:
    """An encoder of its own, without anything in its cache."""
    backend = find_encoder(None, device).load(device)
    backend.limits = replace(backend.limits, deadline=deadline)
    return SentenceEncoder(backend, device)


def scorer(shared: SentenceEncoder) -> ModelScorer:
    class Model(EmbeddingModel):
        def _encoder(self) -> SentenceEncoder:
            return shared

    return ModelScorer("embedding", Model(device=NAME), BLEND_WEIGHTS["embedding"])


@pytest.mark.parametrize("tier", ["embedding", "pruner"])
def test_units_have_the_order_that_float32_on_the_cpu_gives(tier: str, cases: list[Any]) -> None:
    found = [throughput.model_scores(make_scorer(tier, device=NAME), *case) for case in cases]
    with throughput.plain_cpu():
        wanted = [throughput.model_scores(make_scorer(tier, device="cpu"), *case) for case in cases]
    worst = min(throughput.ranks_agree(*pair) for pair in zip(found, wanted, strict=True))
    assert worst > (MIN_RANK_CORRELATION if ON_CUDA else 0.9)  # on a CPU the tier may run in int8


def test_numbers_have_16_bits_and_batches_no_padding(device: Device) -> None:
    assert dtype_for(device) == ("float32" if not ON_CUDA else dtype_for(device))
    if ON_CUDA:
        assert dtype_for(device) in ("bfloat16", "float16")
        assert find_encoder(None, device).runtime == "packed"
    dtype = getattr(torch, dtype_for(device))
    module = bundled_pruner.load(device.name, dtype_for(device)).module
    forward = packed_bert.fastest_forward(module, device)
    assert ("packed_forward" in forward.__qualname__) == packed_bert.can_pack(device, dtype)


def test_a_vector_does_not_depend_on_its_batch(device: Device, cases: list[Any]) -> None:
    texts = cases[0][1].texts()
    together, alone = encoder(device).vectors(texts), encoder(device)
    one = np.concatenate([alone.vectors([text]) for text in texts[:8]])
    assert (together[:8] * one).sum(1).min() > 0.995


def test_many_threads_get_their_own_scores(cases: list[Any]) -> None:
    made = make_scorer("embedding", device=NAME)
    supply = throughput.requests(11, 2)
    load = throughput.serve(made, 16, [next(supply) for _ in range(32)])
    assert not load.fallbacks and len(load.latencies) == 32
    again = made.score(*cases[0])
    np.testing.assert_allclose(again, made.score(*cases[0]), rtol=1e-5)


@needs_cuda
def test_when_memory_runs_out_batches_are_halved_and_no_vector_changes(device: Device) -> None:
    _, units = next(throughput.requests(13, 400))
    texts = units.texts()
    wanted, short = encoder(device).vectors(texts), encoder(device)
    short.vectors(["warm"])
    with memory_left(96):
        found = short.vectors(texts)
    assert short._scheduler.stats().out_of_memory
    assert (found * wanted).sum(1).min() > 0.995


@needs_cuda
def test_what_never_fits_is_left_to_the_fast_tier_and_the_next_request_is_served(device: Device) -> None:
    shared = encoder(device)
    supply = throughput.requests(17, 20)
    (query, units), (_, later) = next(supply), next(supply)
    with memory_left(0):
        assert np.isfinite(scorer(shared).score(query, units)).all()
    assert not units.notes or ("memory" in units.notes[0] and "fast tier" in units.notes[0])
    assert np.isfinite(scorer(shared).score(query, later)).all() and not later.notes


def test_a_request_that_misses_its_deadline_gets_the_fast_tier_and_the_next_is_served(device: Device) -> None:
    supply = throughput.requests(19, DOCUMENTS)
    (query, units), (_, later) = next(supply), next(supply)
    late = scorer(encoder(device, deadline=0.0))
    assert np.isfinite(late.score(query, units)).all()
    assert "did not finish within 0 s" in units.notes[0] and "fast tier" in units.notes[0]
    assert np.isfinite(scorer(encoder(device)).score(query, later)).all() and not later.notes


def test_an_error_of_the_device_names_the_model(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = encoder(device)
    monkeypatch.setattr(
        shared._backend, "encode", lambda windows: torch.ones(2, device=NAME) @ torch.ones(3, device=NAME)
    )
    with pytest.raises(ModelError, match="MiniLM"):
        shared.vectors(["a text"])


def test_llama_cpp_with_all_layers_on_the_card(cases: list[Any]) -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    if ON_CUDA and not llama_cpp.llama_supports_gpu_offload():
        pytest.skip("this build of llama-cpp-python has no GPU support")
    path = Path(os.environ.get("COMPRESSOR_BENCH_GGUF") or TINY_GGUF)
    query, units = cases[0]
    found, wanted = (
        throughput.model_scores(make_scorer(f"perplexity:{path}", device=name), query, units) for name in (NAME, "cpu")
    )
    assert throughput.ranks_agree(found, wanted) > MIN_RANK_CORRELATION


def test_encoders_are_shared_by_device(device: Device) -> None:
    source = find_encoder(None, device)
    assert sentence_encoder.get_encoder(source, device) is sentence_encoder.get_encoder(source, device)
