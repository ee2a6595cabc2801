"""Writes the small language model as a GGUF for llama.cpp and as a Hugging Face folder. Trains nothing."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from .net import Net, Shape, parameter_sizes

NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
BORDER = "<|endoftext|>"  # token 0: before every text


def gguf_name(name: str) -> str:
    """What llama.cpp calls a parameter."""
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{NAMES[rest.removesuffix('.weight')]}.weight"


def paired(matrix: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """A q or k projection [width, width] with its rows as llama.cpp rotates them: the two of a rotation side by side,
    where Hugging Face has them half a head apart."""
    rows, columns = matrix.shape
    side = matrix.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
    return np.ascontiguousarray(side)


def unpaired(matrix: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """What `paired` was given."""
    rows, columns = matrix.shape
    back = matrix.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)
    return np.ascontiguousarray(back)


def byte_level(model: models.BPE) -> Tokenizer:
    """A tokenizer that cuts bytes into words as GPT-2 does; any text is tokens, and the tokens are the text again."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def write_gguf(path: Path, net: Net, tokenizer: Tokenizer) -> None:
    """Matrices in half precision, vectors in full. Not in 8 bits: on so small a model rounding the activations to them,
    too, as llama.cpp then does, makes a difference of up to 0.1 nats between one batch and another."""
    gguf = import_module("gguf")
    s = net.shape
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("agentic-compressor tiny")
    writer.add_license("apache-2.0")
    writer.add_context_length(s.context)
    writer.add_embedding_length(s.width)
    writer.add_block_count(s.layers)
    writer.add_feed_forward_length(s.hidden)
    writer.add_head_count(s.heads)
    writer.add_head_count_kv(s.heads)
    writer.add_layer_norm_rms_eps(s.epsilon)
    writer.add_rope_dimension_count(s.width // s.heads)
    writer.add_rope_freq_base(s.rope_base)
    writer.add_vocab_size(s.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _add_vocabulary(writer, tokenizer, gguf)
    for name, parameter in net.parameters.items():
        data = parameter.detach().numpy()
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            data = paired(data, s.heads)
        writer.add_tensor(gguf_name(name), data.astype(np.float16) if data.ndim == 2 else data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer: Any, tokenizer: Tokenizer, gguf: Any) -> None:
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if t == BORDER else gguf.TokenType.NORMAL for t in tokens])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in model["merges"]])
    writer.add_bos_token_id(tokens.index(BORDER))
    writer.add_eos_token_id(tokens.index(BORDER))
    writer.add_add_bos_token(True)


def write_folder(gguf_path: Path, folder: Path) -> None:
    """The same model, with the same rounded numbers, as a folder that transformers' `AutoModelForCausalLM` and
    `AutoTokenizer` load. Takes only what `write_gguf` wrote."""
    gguf, save_file = import_module("gguf"), import_module("safetensors.numpy").save_file
    reader = gguf.GGUFReader(gguf_path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    shape = Shape(
        vocabulary=fields["llama.vocab_size"],
        width=fields["llama.embedding_length"],
        layers=fields["llama.block_count"],
        heads=fields["llama.attention.head_count"],
        hidden=fields["llama.feed_forward_length"],
        context=fields["llama.context_length"],
    )
    names = {gguf_name(name): name for name in parameter_sizes(shape)}
    tensors = {names[t.name]: t.data.astype(np.float32) for t in reader.tensors}
    for name in tensors:
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            tensors[name] = unpaired(tensors[name], shape.heads)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    tokens, merges = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.merges"]
    pairs = [(a, b) for a, _, b in (m.partition(" ") for m in merges)]
    tokenizer = byte_level(models.BPE({t: i for i, t in enumerate(tokens)}, pairs))
    tokenizer.add_special_tokens([BORDER])
    tokenizer.save(str(folder / "tokenizer.json"))
    border = {"bos_token": BORDER, "eos_token": BORDER, "pad_token": BORDER}
    most = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": shape.context}
    (folder / "tokenizer_config.json").write_text(json.dumps({**most, **border}, indent=1))
    (folder / "config.json").write_text(json.dumps(_config(shape), indent=1))


def _config(s: Shape) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": s.vocabulary,
        "hidden_size": s.width,
        "intermediate_size": s.hidden,
        "num_hidden_layers": s.layers,
        "num_attention_heads": s.heads,
        "num_key_value_heads": s.heads,
        "max_position_embeddings": s.context,
        "rms_norm_eps": s.epsilon,
        "rope_theta": s.rope_base,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "torch_dtype": "float32",
    }
