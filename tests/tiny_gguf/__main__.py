"""`python -m tests.tiny_gguf [GGUF] [--folder DIR]`: makes tests/data/tiny.gguf and prints how good it is.

About 20 minutes on one core. Reads `lm_text` from COMPRESSOR_BENCH_DATA or ../shared/data; needs torch and gguf. With
--folder the same model is also written as a Hugging Face folder, for other programs to be compared with.
"""

from __future__ import annotations

import argparse
import lzma
import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from training import data as training_data

from . import data as lm_data
from .files import BORDER, byte_level, write_folder, write_gguf
from .net import Ints, Net, Plan, Shape, surprisals, train

PATH = Path(__file__).parents[1] / "data" / "tiny.gguf"
SEED = 20261122
PAIRS = 300  # held-out passages and hints that are told apart


def made_tokenizer(texts: Sequence[str], size: int) -> Tokenizer:
    """Byte-level BPE over the texts."""
    tokenizer = byte_level(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[BORDER],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def stream(texts: Sequence[str], tokenizer: Tokenizer) -> Ints:
    """All texts as one row of token ids, a border before each."""
    encoded = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    return np.array([i for e in encoded for i in (0, *e.ids)], np.int64)


def bits(net: Net, held: Sequence[lm_data.Document], tokenizer: Tokenizer, torch: Any) -> dict[str, float]:
    """Bits a byte of the held-out documents, by set and together; windows of the context, of which the first half is
    only looked back at (but in a document's first)."""
    nats: dict[str, float] = defaultdict(float)
    size: Counter[str] = Counter()
    context = net.shape.context
    for d in held:
        ids = [0, *tokenizer.encode(d.text).ids]
        size[d.source] += len(d.text.encode())
        for start in range(0, max(1, len(ids) - context // 2 - 1), context // 2):
            found = surprisals(net, [ids[start : start + context + 1]], torch)[0]
            nats[d.source] += float(found[context // 2 if start else 0 :].sum())
    out = {source: nats[source] / size[source] / math.log(2) for source in size}
    return {**out, "all": sum(nats.values()) / size.total() / math.log(2)}


def unigram(held: Sequence[lm_data.Document], learned: Ints, tokenizer: Tokenizer) -> float:
    """Bits a byte of the held-out documents when every token is guessed by its frequency alone."""
    counts = np.bincount(learned, minlength=tokenizer.get_vocab_size()) + 1.0
    nats = -np.log(counts / counts.sum())
    found = sum(float(nats[tokenizer.encode(d.text).ids].sum()) for d in held)
    return found / sum(len(d.text.encode()) for d in held) / math.log(2)


def packed(held: Sequence[lm_data.Document]) -> float:
    """Bits a byte of the held-out documents when xz packs them together."""
    whole = "\n".join(d.text for d in held).encode()
    return 8 * len(lzma.compress(whole, preset=9 | lzma.PRESET_EXTREME)) / len(whole)


def told_apart(net: Net, held: Sequence[lm_data.Document], tokenizer: Tokenizer, torch: Any) -> float:
    """Share of held-out passages that their own hint makes less surprising than another passage's hint does."""
    rng = random.Random(SEED)
    passages = [p for d in held if d.source == "wikitext" for p in lm_data.passages_of(d.text, rng)]
    passages = rng.sample(passages, min(PAIRS, len(passages)))
    hints = [lm_data.hint(p, rng) for p in passages]
    right = 0
    for i, passage in enumerate(passages):
        text = tokenizer.encode(passage).ids
        nats = []
        for asked in (hints[i], hints[i - 1]):
            ids = [0, *tokenizer.encode(f"{asked}\n").ids, *text][: net.shape.context + 1]
            before = len(ids) - len(text) - 1
            nats.append(float(surprisals(net, [ids], torch)[0][max(before, 0) :].sum()))
        right += nats[0] < nats[1]
    return right / len(passages)


def repeated(net: Net, held: Sequence[lm_data.Document], tokenizer: Tokenizer, torch: Any) -> tuple[float, float]:
    """Nats a token of held-out passages when they are read, and when they are read again at once."""
    rng = random.Random(SEED)
    passages = [tokenizer.encode(p).ids for d in held for p in lm_data.passages_of(d.text, rng)]
    rows = [p[: net.shape.context // 2 - 1] for p in rng.sample(passages, min(PAIRS, len(passages)))]
    found = surprisals(net, [[0, *p, *p] for p in rows], torch)
    first = np.concatenate([x[: len(p)] for x, p in zip(found, rows, strict=True)])
    again = np.concatenate([x[len(p) :] for x, p in zip(found, rows, strict=True)])
    return float(first.mean()), float(again.mean())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.tiny_gguf", description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, default=PATH, help="the GGUF to write")
    parser.add_argument("--folder", type=Path, help="a Hugging Face folder to write too")
    args = parser.parse_args()
    try:
        torch = import_module("torch")
        import_module("gguf")
    except ImportError as e:
        raise SystemExit(f"training needs torch>=2.9 and gguf: {e} (the package itself does not)") from None
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)
    learned, held = lm_data.split(lm_data.documents(training_data.root()))
    texts = lm_data.shown(learned, random.Random(SEED))
    shape = Shape()
    tokenizer = made_tokenizer(texts, shape.vocabulary)
    ids = stream(texts, tokenizer)
    net = Net(shape, torch)
    size = sum(p.numel() for p in net.parameters.values())
    print(f"{size / 1e6:.2f} M parameters, {len(ids) / 1e6:.2f} M tokens from {sum(map(len, texts)) / 1e6:.1f} MB")
    train(net, ids, Plan(), torch)
    write_gguf(args.path, net, tokenizer)
    if args.folder:
        write_folder(args.path, args.folder)
    print(f"held out, bits a byte: {', '.join(f'{k} {v:.3f}' for k, v in bits(net, held, tokenizer, torch).items())}")
    print(f"  token frequencies alone {unigram(held, ids, tokenizer):.3f}, xz {packed(held):.3f}")
    print(f"held-out passages told apart by their hints: {told_apart(net, held, tokenizer, torch):.3f}")
    first, again = repeated(net, held, tokenizer, torch)
    print(f"held-out passages, nats a token: {first:.3f}; read again at once: {again:.3f}")
    print(f"{args.path}: {args.path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
