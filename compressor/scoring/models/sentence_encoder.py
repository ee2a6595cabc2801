"""Sentence encoders: texts to unit vectors, each computed once. One model a process and device, fed through its lane.

torch runs a model on a GPU; on a CPU ONNX Runtime does, with int8 weights, where its extra is installed and the model
can take it, else torch. benchmarks/encoders.py says why. Knows no units and no scores.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.caches import TwoGenerationCache
from compressor.errors import ModelError
from compressor.scoring.models.pair_encoder import SpecialTokens, bare_tokenizer
from compressor.scoring.models.sentence_encoder_files import EncoderFiles
from compressor.scoring.runtime import onnx_int8
from compressor.scoring.runtime.batch_scheduler import BatchLimits, BatchScheduler
from compressor.scoring.runtime.device import Device, dtype_for
from compressor.scoring.vector_cache import Vector, VectorCache

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
#: ids and attention mask [b, t] -> ([b, d] of any length,)
Forward = Callable[[Ints, Ints], Sequence[npt.NDArray[Any]]]

REMEMBERED = 64 << 20  # bytes of texts and vectors that a process remembers: some 50,000 sentences
ROUND = 16  # batches' worth of windows that are computed before the next are begun: what is done by then is kept
TORCH_CPU = BatchLimits()
GPU = BatchLimits(batch_tokens=65_536, batch_items=1_024, batch_cost=2_048)
#: what a model is tried on
SAMPLES = (
    "The treaty, drafted over two winters, was signed on 4 March 1921 by envoys of both republics and renewed in 1936.",
    "When was the treaty signed?",
    "ERROR payment 7731 failed: card declined (code 51), retry in 30 s",
)


class SentenceEncoder:
    """Texts to vectors. Made by `shared`. Safe from several threads.

    `fingerprint` names everything that a vector depends on but its text: files, runtime, type.
    """

    def __init__(self, files: EncoderFiles, device: Device) -> None:
        self.name, self.device = files.name, device
        self._memo: TwoGenerationCache[Vector] = TwoGenerationCache(REMEMBERED)
        self._prompts = files.prompts
        self._tokens = WindowTokenizer(files)
        example = [self._tokens.inputs(self._tokens.windows(text)) for text in SAMPLES]
        forward, kind, limits = _runtime(files, device, example)
        self._forward = forward
        self.fingerprint = f"{files.digest[:24]}-{kind}"
        self.size = len(self._run(self._tokens.windows(SAMPLES[0]))[0])
        self._lane: BatchScheduler[Ints, Floats] = BatchScheduler(self._run, len, device.name, limits, self.name)

    def vectors(self, texts: Sequence[str], cache: VectorCache | None = None, is_query: bool = False) -> Floats:
        """[n, d] float32, of length 1; 0 for a text without tokens. A text longer than the model's window gets the mean
        of its windows. asked: these are queries, for models that tell them from texts.

        A vector is rounded to float16 before its first use, so that it is the same when it comes from the cache. Raises
        ModelError, and Overloaded when time runs out; what was computed by then is kept.
        """
        wanted = [self._prompts[is_query] + text for text in texts]
        found: dict[str, Vector] = {}
        for text in wanted:
            if text not in found and (vector := self._memo.get(text)) is not None:
                found[text] = vector
        missing = [text for text in dict.fromkeys(wanted) if text not in found]
        if missing and cache is not None:
            stored = {t: v for t, v in cache.get(self.fingerprint, missing).items() if len(v) == self.size}
            self._remember(stored, found)
            missing = [text for text in missing if text not in stored]
        if missing:
            new: dict[str, Vector] = {}
            try:
                for part in self._computed(missing):
                    new |= part
            finally:
                self._remember(new, found)
                if cache is not None:
                    cache.put(self.fingerprint, new)
        out = np.array([found[text] for text in wanted], np.float32).reshape(-1, self.size)
        out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)
        return out

    def _remember(self, new: Mapping[str, Vector], found: dict[str, Vector]) -> None:
        for text, vector in new.items():
            self._memo.put(text, vector, vector.nbytes)
        found |= new

    def _computed(self, texts: Sequence[str]) -> Iterator[dict[str, Vector]]:
        """Vectors of these texts, a round at a time, under one deadline."""
        limits = self._lane.limits
        end = None if limits.deadline is None else time.monotonic() + limits.deadline
        for start in range(0, len(texts), ROUND * limits.batch_items):
            part = texts[start : start + ROUND * limits.batch_items]
            windows = [self._tokens.windows(text) for text in part]
            left = None if end is None else max(0.0, end - time.monotonic())
            found = iter(self._lane.map([window for some in windows for window in some], left))
            yield {t: self._mean([next(found) for _ in some]) for t, some in zip(part, windows, strict=True)}

    def _mean(self, vectors: Sequence[Floats]) -> Vector:
        mean = np.mean(vectors, axis=0) if vectors else np.zeros(self.size)
        return (mean / max(float(np.linalg.norm(mean)), 1e-6)).astype(np.float16)

    def _run(self, windows: Sequence[Ints]) -> list[Floats]:
        """The lane's work: a vector of length 1 for each window."""
        inputs = self._tokens.inputs(windows)
        found = np.asarray(self._forward(*inputs.values())[0], np.float32)
        length = np.linalg.norm(found, axis=1, keepdims=True)
        if not (np.isfinite(length).all() and length.all()):
            raise ModelError(f"{self.name} gave numbers that are none")
        return list(found / length)


def get_encoder(files: EncoderFiles, device: Device) -> SentenceEncoder:
    """The encoder of these files on that device, the same one for the whole process; the first call loads it, and the
    first ever on a CPU converts it (half a minute at most, for small models)."""
    with _lock:
        if (files.digest, device.name) not in _shared:
            _shared[files.digest, device.name] = SentenceEncoder(files, device)
        return _shared[files.digest, device.name]


_shared: dict[tuple[str, str], SentenceEncoder] = {}
_lock = threading.Lock()


class WindowTokenizer:
    """A model's tokenizer."""

    def __init__(self, files: EncoderFiles) -> None:
        tokenizers = import_module("tokenizers")
        try:
            self._tokenizer = bare_tokenizer(tokenizers.Tokenizer.from_file(str(files.network / "tokenizer.json")))
            frame = SpecialTokens.of(self._tokenizer, pair=False)
        except Exception as error:  # the library raises bare exceptions
            raise ModelError(f"{files.name}: tokenizer.json cannot be read: {error}") from error
        self._before = np.concatenate([frame.before[0], frame.between[0]])
        self._after, self._pad = frame.after[0], files.pad
        self._room = files.window - len(self._before) - len(self._after)

    def windows(self, text: str) -> list[Ints]:
        """Ids of the text, special tokens among them, in as many windows of about equal size as it takes."""
        text = text.encode("utf-8", "replace").decode()  # half a surrogate pair: the tokenizer takes none
        ids = np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, np.int64)
        parts = np.array_split(ids, -(-len(ids) // self._room)) if len(ids) else []
        return [np.concatenate([self._before, part, self._after]) for part in parts]

    def inputs(self, windows: Sequence[Ints]) -> dict[str, Ints]:
        """Ids and attention mask [b, t]."""
        lengths = np.array([len(window) for window in windows])
        mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
        ids = np.full(mask.shape, self._pad, np.int64)
        ids[mask > 0] = np.concatenate(windows)
        return {"input_ids": ids, onnx_int8.MASK: mask}


def _runtime(
    files: EncoderFiles, device: Device, examples: Sequence[Mapping[str, Ints]]
) -> tuple[Forward, str, BatchLimits]:
    """What runs the model, its kind, and what suits it."""
    if not device.gpu and onnx_int8.available():
        try:
            made = onnx_int8.load_or_convert(files.digest, lambda: load_torch_module(files), examples)
            # A row's time does not depend on its batch: enough rows to keep all cores busy, no matter how long.
            many = 8 * onnx_int8.available_cores()
            return (
                made,
                onnx_int8.CONVERSION_VERSION,
                BatchLimits(batch_items=many, batch_tokens=many * files.window, max_padding_fraction=1.0),
            )
        except ModelError:
            pass  # it does not take int8; a model that cannot be loaded says so again below
    torch, dtype = import_module("torch"), dtype_for(device)
    module = load_torch_module(files).to(device=device.name, dtype=getattr(torch, dtype))

    def forward(ids: Ints, mask: Ints) -> Sequence[npt.NDArray[Any]]:
        with torch.inference_mode():
            found = module(*(torch.from_numpy(x).to(device.name) for x in (ids, mask)))
            return [found.float().cpu().numpy()]

    return forward, dtype, GPU if device.gpu else TORCH_CPU


def load_torch_module(files: EncoderFiles) -> Any:
    """The model as one torch module of ids and mask, float32 on the CPU, in eval mode."""
    torch, package = import_module("torch"), import_module("sentence_transformers")
    try:
        with _no_progress():
            model = package.SentenceTransformer(
                str(files.folder),
                device="cpu",
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            ).float()
        _check(model, files)
    except ModelError:
        raise
    except Exception as error:  # whatever reads foreign files raises what it likes
        raise ModelError(f"{files.name} cannot be loaded: {type(error).__name__}: {error}") from error

    class Whole(torch.nn.Module):  # type: ignore[misc, name-defined]  # torch is only here when it is installed
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model({"input_ids": input_ids, "attention_mask": attention_mask})["sentence_embedding"]

    return Whole().eval()


def _check(model: Any, files: EncoderFiles) -> None:
    """ModelError unless the file has most of the network's weights: transformers makes up what is missing."""
    opened = import_module("safetensors").safe_open
    there: set[str] = set()
    for path in files.network.glob("*.safetensors"):
        with opened(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 (not a dict)
                there |= {name, name.partition(".")[2]}  # with or without what stands around the encoder
    wanted = [name.split(".", 2)[2] for name in model.state_dict() if name.startswith("0.")]
    missing = [name for name in wanted if name not in there]
    if 2 * len(missing) > len(wanted):
        raise ModelError(f"{files.name}: its weights are of another architecture: {missing[0]} is not among them")


@contextmanager
def _no_progress() -> Iterator[None]:
    logging = import_module("transformers.utils.logging")
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
