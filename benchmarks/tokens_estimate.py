"""Measures the estimate factors for compressor/tokens/model_families.py, which it does not change.

For models whose tokenizer is not available at run time we count o200k tokens times a factor per family. This script
measures that factor for each kind of text and each tokenizer that is installed:

    pip install --no-deps ctok dashscope llama-models mistral-common    # vocabularies, no weights; Python 3.12
    python benchmarks/tokens_estimate.py ../shared/data benchmarks/results/tokens_estimate.json

Sources: Llama 3 and 4 `tokenizer.model` (llama-models), Qwen `qwen.tiktoken` (dashscope), Mistral `tekken` and its
older SentencePiece model, which splits as Llama 2's does (mistral-common; the latter also wants `sentencepiece`),
Claude `ctok`, an unofficial reconstruction of the counts of Claude 3 to 4.6 ("3.0") and of 4.7 and later ("4.7").
For each kind of text: all its samples, 60 kB of each file at most. `median` and `p90` are over samples of about
4 kB, which is the size of a tool output. Tokenizers that are not installed are left out.
"""

from __future__ import annotations

import base64
import gzip
import importlib
import importlib.util
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import tiktoken

from compressor.tokens.openai_bpe import get_byte_pair_tokenizer

Length = Callable[[str], int]
CL100K_LIKE = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SAMPLE = 4_000
FILES = {
    "json": ["json_payloads/*.gz", "tau2_bench/*_db.json.gz"],
    "sessions": ["sessions/tau_*.gz", "sessions/swe_lite.jsonl.gz"],
    "logs": ["loghub/*.log.gz", "test_logs/*.gz"],
    "html": ["html_pages/*.gz"],
    "tables": ["tatqa/*.gz"],
    "prose": ["lm_text/*.txt.gz", "lm_text/*.md.gz", "nq_multidoc/passages.jsonl.gz"],
}


def package(name: str, *path: str) -> Path | None:
    """Finds a data file of an installed package without importing the package."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    file = Path(spec.submodule_search_locations[0], *path)
    return file if file.exists() else None


def read_ranks(file: Path) -> dict[bytes, int]:
    """Reads a file of base64 tokens and ranks."""
    rows = (line.split() for line in file.read_bytes().splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in rows}


def byte_pair(ranks: dict[bytes, int], pattern: str) -> Length:
    """Returns the token counter of a byte-pair encoding."""
    found = tiktoken.Encoding("calibration", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return lambda text: len(found.encode_ordinary(text))


def tokenizers() -> Iterator[tuple[str, Length]]:
    """Yields the installed tokenizers with their names."""
    ours = get_byte_pair_tokenizer("o200k_base").encoding
    if file := package("llama_models", "llama3", "tokenizer.model"):
        yield "llama-3", byte_pair(read_ranks(file), CL100K_LIKE.replace("DIGITS", "{1,3}"))
    if file := package("llama_models", "llama4", "tokenizer.model"):
        yield "llama-4", byte_pair(read_ranks(file), ours._pat_str)
    if file := package("dashscope", "resources", "qwen.tiktoken"):
        yield "qwen", byte_pair(read_ranks(file), CL100K_LIKE.replace("DIGITS", ""))
    if file := package("mistral_common", "data", "tekken_240911.json"):
        tekken = json.loads(file.read_bytes())
        config = tekken["config"]
        size = config["default_vocab_size"] - config["default_num_special_tokens"]
        ranks = {base64.b64decode(row["token_bytes"]): row["rank"] for row in tekken["vocab"][:size]}
        yield "mistral-tekken", byte_pair(ranks, config["pattern"])
    file = package("mistral_common", "data", "tokenizer.model.v1")
    if file and importlib.util.find_spec("sentencepiece"):
        pieces = importlib.import_module("sentencepiece").SentencePieceProcessor(model_file=str(file))
        yield "llama-2 (mistral v1)", lambda text: len(pieces.encode(text))
    if importlib.util.find_spec("ctok"):
        for version in ("3.0", "4.7"):
            yield f"claude-{version}", claude(version)


def claude(version: str) -> Length:
    """Returns ctok's counter for a version of Claude's tokenizer, without the overhead of a message."""
    ctok = importlib.import_module("ctok")
    frame = ctok.token_count("a", version) - 1  # overhead of a message
    return lambda text: int(ctok.token_count(text, version)) - frame


def samples(folder: Path, patterns: list[str]) -> Iterator[str]:
    """Yields samples of about `SAMPLE` characters from the files that match."""
    for pattern in patterns:
        for file in sorted(folder.glob(pattern)):
            text = gzip.decompress(file.read_bytes())[:60_000].decode("utf-8", "ignore")
            if file.name.endswith(".jsonl.gz") and "json_payloads" not in str(file):
                lines = [json.loads(line) for line in text.splitlines()[:-1]] or []
                text = "\n".join(strings(lines)) or text.encode().decode("unicode_escape", "ignore")
            yield from (text[i : i + SAMPLE] for i in range(0, len(text) - SAMPLE + 1, SAMPLE))


def strings(value: object) -> list[str]:
    """Returns all strings in JSON data."""
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for item in items for text in strings(item)]


def main(data: str, out: str) -> None:
    """Measures all tokenizers on the data folder and writes the factors to `out`."""
    texts = {kind: list(samples(Path(data), patterns)) for kind, patterns in FILES.items()}
    ours = get_byte_pair_tokenizer("o200k_base").encoding
    base = {kind: [len(ours.encode_ordinary(text)) for text in found] for kind, found in texts.items()}
    result: dict[str, dict[str, dict[str, float]]] = {}
    for name, length in tokenizers():
        result[name] = {}
        for kind, found in texts.items():
            counts = [length(text) for text in found]
            each = sorted(count / own for count, own in zip(counts, base[kind], strict=True))
            result[name][kind] = {
                "all": round(sum(counts) / sum(base[kind]), 3),
                "median": round(statistics.median(each), 3),
                "p90": round(each[int(len(each) * 0.9)], 3),
            }
        print(name, {kind: (row["all"], row["p90"]) for kind, row in result[name].items()}, flush=True)
    report = {"samples": {kind: len(found) for kind, found in texts.items()}, "per_o200k_token": result}
    Path(out).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:3])
