"""The small GGUF model that tests run on, and tiny ones of other kinds: SentencePiece, recurrent, encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.paths import TESTS

#: A causal language model, made by `python -m tests.tiny_gguf`.
TINY = TESTS / "data" / "tiny.gguf"


def llama(path: Path) -> Path:
    """A llama of one layer with grouped heads and an output matrix of its own."""
    width, half = 64, 32
    writer, add = _begun(path, "llama")
    size = _sentencepiece(writer)
    writer.add_context_length(128)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(width)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(half)
    add("token_embd", size, width)
    add("output", size, width)
    add("output_norm", width)
    sizes = {"attn_q": width, "attn_k": half, "attn_v": half, "attn_output": width, "ffn_gate": width}
    for name, rows in {**sizes, "ffn_up": width, "ffn_down": width}.items():
        add(f"blk.0.{name}", rows, width)
    add("blk.0.attn_norm", width)
    add("blk.0.ffn_norm", width)
    return _ended(writer, path)


def mamba(path: Path) -> Path:
    """A recurrent model of one layer."""
    width, inner, state, rank, kernel = 32, 64, 8, 4, 4
    writer, add = _begun(path, "mamba")
    size = _sentencepiece(writer)
    writer.add_context_length(256)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    writer.add_layer_norm_rms_eps(1e-5)
    add("token_embd", size, width)
    add("output_norm", width)
    add("blk.0.attn_norm", width)
    add("blk.0.ssm_in", 2 * inner, width)
    add("blk.0.ssm_conv1d", inner, kernel)
    add("blk.0.ssm_x", rank + 2 * state, inner)
    add("blk.0.ssm_dt", inner, rank)
    add("blk.0.ssm_out", width, inner)
    for name in ("blk.0.ssm_conv1d.bias", "blk.0.ssm_dt.bias", "blk.0.ssm_d"):
        writer.add_tensor(name, np.full(inner, 0.1, np.float32))
    writer.add_tensor("blk.0.ssm_a", np.full((inner, state), -0.5, np.float32))
    return _ended(writer, path)


def encoder(path: Path) -> Path:
    """A BERT: no causal language model."""
    width = 32
    writer, add = _begun(path, "bert")
    size = _sentencepiece(writer)
    writer.add_context_length(64)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(width)
    writer.add_head_count(2)
    writer.add_layer_norm_eps(1e-5)
    writer.add_causal_attention(False)
    writer.add_token_type_count(2)
    add("token_embd", size, width)
    add("token_types", 2, width)
    add("position_embd", 64, width)
    for at in ("token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm"):
        add(at, width)
        writer.add_tensor(f"{at}.bias", np.zeros(width, np.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down"):
        add(f"blk.0.{name}", width, width)
        writer.add_tensor(f"blk.0.{name}.bias", np.zeros(width, np.float32))
    return _ended(writer, path)


def _begun(path: Path, architecture: str) -> tuple[Any, Any]:
    """A writer, and what adds a tensor: a vector of ones or a matrix of random numbers."""
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(path, architecture)
    rng = np.random.default_rng(3)

    def add(name: str, *sizes: int) -> None:
        data = np.ones(sizes) if len(sizes) == 1 else rng.standard_normal(sizes) * 0.2
        writer.add_tensor(f"{name}.weight", data.astype(np.float32))

    return writer, add


def _ended(writer: Any, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _sentencepiece(writer: Any) -> int:
    """Adds a vocabulary that puts a space before every text and falls back to bytes; how many tokens it has."""
    words = ["▁", *"abcdefghijklmnopqrstuvwxyz.,é", "th", "he", "▁t", "▁th", "▁the", "in", "▁a"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *words]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([2, 3, 3, *[6] * 256, *[1] * len(words)])
    writer.add_token_scores([*[0.0] * 259, *(5.0 * len(w) - 40 for w in words)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(True)
    writer.add_vocab_size(len(tokens))
    return len(tokens)
