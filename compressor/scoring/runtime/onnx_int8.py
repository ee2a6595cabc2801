"""Encoders on the CPU with int8 weights: a torch module becomes an ONNX Runtime session, kept in a file of the user's.

Activations are quantised while running, with one scale a tensor. In a batch that scale, and so every result, would
depend on what else is in it; so each sequence is run by itself, without padding, and several at once on the cores.
Measured in benchmarks/encoders.py. Knows no tokenizer and no task.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.errors import MissingDependencyError, ModelError

PACKAGES = ("onnxruntime", "onnx", "onnxscript")
EXPORT_PACKAGES = ("torch", *PACKAGES)
CONVERSION_VERSION = "int8-1"  # of the conversion below: another one gets another name
MIN_COSINE = 0.97  # least cosine of what module and session give: below it, int8 does not suit the module
MASK = "attention_mask"
LONGEST = 100_000  # tokens of a sequence, as far as the exported graph is concerned
_DIGEST = 32  # bytes of sha256 before the model in a file
_REFUSED = b"cannot be converted by "  # and the versions that could not, in place of a model

Array = npt.NDArray[Any]
Inputs = Mapping[str, npt.NDArray[np.int64]]
Module = Callable[..., Any]


def available() -> bool:
    """Whether the extra "onnx" is installed."""
    return all(find_spec(name) for name in PACKAGES)


def available_cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class OnnxSession:
    """A converted module, called with arrays as the module is with tensors. Safe from several threads."""

    def __init__(self, model: bytes) -> None:
        runtime = import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # the cores share the sequences instead
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no base class of their own
            raise ModelError(f"ONNX Runtime cannot load the converted model: {error}") from error
        self.names: list[str] = [i.name for i in self._session.get_inputs()]
        self._by_token = [len(o.shape) > 1 and not isinstance(o.shape[1], int) for o in self._session.get_outputs()]

    def __call__(self, *inputs: npt.NDArray[np.int64]) -> tuple[Array, ...]:
        """Inputs [b, t] int64, one of them the attention mask, 1 for the tokens at the beginning of each row and 0 for
        the padding. Outputs [b, …] float32; in those with a number a token, [b, t, …], the padding gets 0."""
        mask = inputs[self.names.index(MASK)]
        lengths = mask.sum(1).tolist()
        items = [[x[i : i + 1, :n] for x in inputs] for i, n in enumerate(lengths)]
        threads = min(available_cores(), len(items))
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:  # a thread costs 0.1 ms, a sequence several
                found = list(pool.map(self.one, items))
        else:
            found = [self.one(item) for item in items]
        by_token, t = self._by_token, mask.shape[1]
        return tuple(
            np.stack([_padded(row, t) if by_token[k] else row for row in rows])
            for k, rows in enumerate(zip(*found, strict=True))
        )

    def one(self, item: Sequence[npt.NDArray[np.int64]]) -> list[Array]:
        """One sequence: inputs [1, t], outputs with the first axis left out."""
        return [output[0] for output in self._session.run(None, dict(zip(self.names, item, strict=True)))]


def _padded(row: Array, length: int) -> Array:
    return np.concatenate([row, np.zeros((length - len(row), *row.shape[1:]), row.dtype)])


def load_or_convert(key: str, load: Callable[[], Module], examples: Sequence[Inputs]) -> OnnxSession:
    """The session of a module, from the user's cache folder, or converted now (seconds) and kept there.

    key: names the weights and whatever else decides what the module computes: a hash. load: gives the module, in eval
    mode, float32 and on the CPU; only called to convert. examples: inputs [1, t] by the names of `forward`'s arguments,
    "attention_mask" among them, on which module and session have to agree.

    Raises MissingDependencyError; ModelError if the module cannot be converted or does not agree, which is remembered too.
    """
    if not available():
        raise MissingDependencyError(next(name for name in PACKAGES if not find_spec(name)), "onnx")
    path = _folder() / f"{hashlib.sha256(f'{CONVERSION_VERSION}:{key}'.encode()).hexdigest()[:32]}.onnx"
    model = _read(path)
    if model is not None and not model.startswith(_REFUSED):
        return OnnxSession(model)
    if model is not None and model == _refusal():
        raise ModelError("this model cannot be run with int8 weights")
    module = load()
    try:
        model = _converted(module, examples[0])
        made = OnnxSession(model)
        _compare(module, made, examples)
    except ModelError as error:
        if not isinstance(error.__cause__, (OSError, MemoryError)):  # those may go better next time
            _write(path, _refusal())
        raise
    _write(path, model)
    return made


def _converted(module: Module, example: Inputs) -> bytes:
    torch, onnx = import_module("torch"), import_module("onnx")
    quantization = import_module("onnxruntime.quantization")
    length = torch.export.Dim("length", min=2, max=LONGEST)
    try:
        with _quietly(), tempfile.TemporaryDirectory() as folder:
            program = torch.onnx.export(
                module,
                kwargs={name: torch.from_numpy(x) for name, x in example.items()},
                input_names=list(example),
                dynamic_shapes={name: {1: length} for name in example},
                dynamo=True,
                verbose=False,
            )
            model = program.model_proto
            # What ONNX Runtime's own pre-processing would note; without it a warning goes to the root logger.
            onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
            file = Path(folder) / "model.onnx"
            # Embeddings stay as they are: quantised they save memory, not time. 7 bits, for CPUs without VNNI add up
            # products of 8 bits in 16, and lose what does not fit.
            quantization.quantize_dynamic(model, file, ["MatMul"], per_channel=True, reduce_range=True)
            return file.read_bytes()
    except Exception as error:  # exporter and quantiser raise what they like
        raise ModelError(f"the model cannot be converted to ONNX: {type(error).__name__}: {error}") from error


def _compare(module: Module, made: OnnxSession, examples: Sequence[Inputs]) -> None:
    """ModelError unless session and module agree on each example."""
    torch = import_module("torch")
    for example in examples:
        with torch.inference_mode():
            wanted = module(**{name: torch.from_numpy(x) for name, x in example.items()})
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        a = np.concatenate([x.numpy().ravel() for x in wanted])
        b = np.concatenate([x.ravel() for x in made(*(example[name] for name in made.names))])
        cosine = float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))
        if not cosine >= MIN_COSINE:  # nor where it is NaN
            raise ModelError(f"int8 weights change what the model says (cosine {cosine:.3f})")


def _refusal() -> bytes:
    return _REFUSED + ", ".join(f"{name} {import_module(name).__version__}" for name in EXPORT_PACKAGES).encode()


def _folder() -> Path:
    from compressor.storage import default_path

    return Path(default_path()).parent / "models"


def _read(path: Path) -> bytes | None:
    """What `_write` wrote; None where there is nothing, or it is damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    model = data[_DIGEST:]
    return model if hashlib.sha256(model).digest() == data[:_DIGEST] else None


def _write(path: Path, model: bytes) -> None:
    """All of it or nothing. A folder that cannot be written costs the next process the time to convert again."""
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        try:
            with open(handle, "wb") as file:
                file.write(hashlib.sha256(model).digest() + model)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise


@contextmanager
def _quietly() -> Iterator[None]:
    """Keeps the exporter's remarks on itself from the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
