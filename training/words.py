"""`python -m training.words`: makes scoring/weights/words.npz and prints how good it is. Minutes on two cores.

Reads the data sets from COMPRESSOR_BENCH_DATA or ../shared/data; needs torch, which the package itself does not.
"""

from __future__ import annotations

import io
import sys
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.scoring.word_vectors import PATH, VERSION, WordVectors, read_word_vectors
from training import combiner, data, vectors

SEED = 20261122
THREADS = 2
QUERY_ROW = 0.02  # length below which what a query adds to a term's vector is not worth shipping


def quantized(x: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float16]]:
    """Returns [n, d] as int8, and a scale for each row."""
    scale = np.maximum(np.abs(x).max(1), 1e-6) / 127
    return np.round(x / scale[:, None]).astype(np.int8), scale.astype(np.float16)


def arrays(v: vectors.Vectors) -> dict[str, npt.NDArray[Any]]:
    """Returns the arrays of the file for the vectors."""
    term, term_scale = quantized(v.term)
    rows = np.flatnonzero(np.linalg.norm(v.asked, axis=1) > QUERY_ROW)
    asked, asked_scale = quantized(v.asked[rows])
    return {
        "version": np.array(VERSION),
        "vocabulary": np.frombuffer("\n".join(v.vocabulary).encode(), np.uint8),
        "term": term,
        "term_scale": term_scale,
        "asked_rows": rows.astype(np.int32),
        "asked": asked,
        "asked_scale": asked_scale,
        "kind": v.kind,
        "bag": v.bag.astype(np.float16),
        "idf": v.idf.astype(np.float16),
    }


def with_network(parts: dict[str, npt.NDArray[Any]], net: combiner.Network | None) -> dict[str, npt.NDArray[Any]]:
    if net is None:  # while the network is being trained: as wide as what it will see
        empty = np.zeros((0, 1), np.float32)
        return {**parts, "mean": empty[:, 0], "scale": empty[:, 0], **{f"layer{i}": empty for i in range(4)}}
    layers = {f"layer{i}": x.astype(np.float32) for i, x in enumerate(net.layers)}
    return {**parts, "mean": net.mean, "scale": net.scale, **layers}


def write(path: Path, parts: dict[str, npt.NDArray[Any]]) -> WordVectors:
    """Writes a file of word vectors and reads it back; the same arrays give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, array in sorted(parts.items()):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            out.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), buffer.getvalue(), zipfile.ZIP_DEFLATED)
    return read_word_vectors(path)


def main() -> None:
    try:
        torch = import_module("torch")
    except ImportError:
        raise SystemExit("training needs torch: pip install torch (the package itself does not)") from None
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    folder = data.root()
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PATH
    parts = arrays(vectors.train(data.pairs(folder), data.corpus(folder), SEED, torch))
    model = write(target, with_network(parts, None))
    seen = [combiner.see(case, model) for case in data.cases(folder)]
    nets, fold = combiner.folds(seen, SEED, torch)
    unseen = [nets[f](s.features) for s, f in zip(seen, fold, strict=True)]
    print(f"questions not trained on ({combiner.FOLDS} folds): {combiner.measured(unseen, seen)}")
    net = combiner.fit(seen, SEED, torch)
    print(f"questions trained on: {combiner.measured([net(s.features) for s in seen], seen)}")
    write(target, with_network(parts, net))
    print(f"{target}: {target.stat().st_size / 1e6:.2f} MB, {len(model.row_by_term)} terms")


if __name__ == "__main__":
    main()
