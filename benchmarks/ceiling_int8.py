"""Computes the upper bound on the tokens per second of the int8 encoder on this CPU, and how much of it is reached.

Its products with weights are in int8, and attention's two products and all activations between them in float32. Both
peaks are those of ONNX Runtime here, on large matrices, with all cores.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.ceiling import REPEATS, Bound, Shape
from compressor.scoring.models.encoder_backend import Window
from compressor.scoring.models.onnx_encoder import OnnxEncoder, find_model_folder
from compressor.scoring.runtime.device import Device, available_cores

SIDE = 2_048  # of the matrices
COPIED = 1 << 26  # numbers of four bytes


def bound(batch: int = 16, side: int = SIDE, copied: int = COPIED) -> Bound:
    """Measures the packaged encoder on full windows, `batch` of them at once.

    Args:
        batch: Windows.
        side: Rows and columns of the matrices that measure the peaks.
        copied: Numbers that are copied to measure the memory.
    """
    shape = Shape(batch=batch)
    encoder = OnnxEncoder(find_model_folder(), Device("cpu", "for the benchmark"))
    rng = np.random.default_rng(0)
    ids = [np.concatenate([[101], rng.integers(1_000, 30_000, shape.tokens - 2), [102]]) for _ in range(batch)]
    windows = [Window(one.astype(np.int64), shape.tokens, False) for one in ids]
    speed = batch * shape.tokens / _best(lambda: encoder.encode(windows))
    attention = shape.layers * 4 * shape.tokens * shape.hidden
    int8, float32 = peak(np.uint8, side), peak(np.float32, side)
    seconds = (shape.flops - attention) / int8 + attention / float32
    source = np.zeros(copied, np.float32)
    target = np.empty_like(source)
    bandwidth = 2 * source.nbytes / _best(lambda: np.copyto(target, source))
    description = (
        f"{batch} windows of {shape.tokens} tokens, {int8 / 1e12:.2f} TOP/s int8 and {float32 / 1e12:.2f} TFLOP/s"
    )
    return Bound(
        "int8", description, speed, shape.flops, shape.bytes(4), shape.flops / seconds, bandwidth, "together measured"
    )


def peak(dtype: Any, side: int = SIDE) -> float:
    """Returns the operations per second of ONNX Runtime's product of large matrices, uint8 x int8 or float32."""
    onnx, runtime = import_module("onnx"), import_module("onnxruntime")
    helper, kinds = onnx.helper, onnx.TensorProto
    whole = dtype is np.uint8
    rng = np.random.default_rng(0)
    weights = rng.integers(-64, 64, (side, side)).astype(np.int8 if whole else np.float32)
    names = (kinds.UINT8, kinds.INT32) if whole else (kinds.FLOAT, kinds.FLOAT)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger" if whole else "MatMul", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", names[0], [side, side])],
        [helper.make_tensor_value_info("c", names[1], [side, side])],
        [onnx.numpy_helper.from_array(weights, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    values = rng.integers(0, 128, (side, side)).astype(dtype)
    return float(2 * side**3 / _best(lambda: session.run(None, {"a": values})))


def _best(work: Callable[[], object]) -> float:
    work()
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best
