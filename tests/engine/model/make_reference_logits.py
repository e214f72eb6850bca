#!/usr/bin/env python3
"""Makes testdata/reference_logits.json: what transformers computes for small decoders.

Each case is a model of random weights for one feature: grouped queries, tied embeddings, every RoPE
scaling, sliding windows, biases, norms on queries and keys. Weights follow from a formula that
tests/support/reference_checkpoint.cc repeats to the bit, so only configurations, input ids and
results are kept:

  hash(name, i) = splitmix64's finaliser of fnv1a64(name) + (i + 1) * 0x9E3779B97F4A7C15 (mod 2^64)
  u(name, i)    = (hash >> 40) * 2^-23 - 1, in [-1, 1) and exact in float32
  matrices      float32(2 / sqrt(columns)) * u     biases  float32(0.1) * u
  embeddings    u                                  norms   1 + float32(0.1) * u
                                                   (each rounded to float32 once)

Results are in float64. transformers casts to float32 inside norms, RoPE and softmax whatever the
model's type; for the reference those casts are taken away, and what they would have changed is
reported. Every case is computed a second time from its configuration in the spelling of
transformers 4 (rope_theta, rope_scaling), which is kept too and has to give the same.

Usage:
  pip install torch transformers numpy
  python make_reference_logits.py --out testdata/reference_logits.json
"""

import argparse
import contextlib
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers

VOCABULARY = 97
SMALL = {"vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 96,
         "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 3,
         "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None, "tie_word_embeddings": False}
# Two heads of 32 dimensions: enough frequencies for a scaling to treat them differently.
WIDE_HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1}


def rope(kind, theta=10000.0, **more):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **more}}


# name: (configuration, its settings, tokens). Scaled cases run beyond the original context.
CASES = {
    "llama": (transformers.LlamaConfig, {"max_position_embeddings": 128, **rope("default")}, 40),
    "llama_tied": (transformers.LlamaConfig,
                   {"max_position_embeddings": 128, "tie_word_embeddings": True,
                    "num_key_value_heads": 4, **rope("default", 500000.0)}, 40),
    "llama_linear": (transformers.LlamaConfig,
                     {"max_position_embeddings": 128, **WIDE_HEADS,
                      **rope("linear", factor=4.0)}, 72),
    "llama_dynamic": (transformers.LlamaConfig,
                      {"max_position_embeddings": 32, **WIDE_HEADS,
                       **rope("dynamic", factor=2.0)}, 72),
    "llama_yarn": (transformers.LlamaConfig,
                   {"max_position_embeddings": 128, **WIDE_HEADS,
                    **rope("yarn", 1000.0, factor=4.0, original_max_position_embeddings=32)}, 72),
    "llama_yarn_settings": (transformers.LlamaConfig,
                            {"max_position_embeddings": 256, **WIDE_HEADS,
                             **rope("yarn", 1000.0, factor=8.0, beta_fast=4.0, beta_slow=0.5,
                                    attention_factor=1.5,
                                    original_max_position_embeddings=32)}, 72),
    "llama3": (transformers.LlamaConfig,
               {"max_position_embeddings": 512, **WIDE_HEADS,
                **rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                       original_max_position_embeddings=64)}, 80),
    "mistral_window": (transformers.MistralConfig,
                       {"max_position_embeddings": 128, "sliding_window": 12,
                        **rope("default")}, 48),
    "mistral_wide": (transformers.MistralConfig,
                     {"max_position_embeddings": 128, "sliding_window": None, "head_dim": 24,
                      **rope("default", 1000000.0)}, 40),
    "qwen2": (transformers.Qwen2Config,
              {"max_position_embeddings": 128, "tie_word_embeddings": True,
               "rms_norm_eps": 1e-6, **rope("default", 1000000.0)}, 40),
    "qwen2_windows": (transformers.Qwen2Config,
                      {"max_position_embeddings": 128, "num_hidden_layers": 4,
                       "use_sliding_window": True, "sliding_window": 10, "max_window_layers": 2,
                       **rope("default", 1000000.0)}, 48),
    "qwen3": (transformers.Qwen3Config,
              {"max_position_embeddings": 128, "head_dim": 32, **rope("default", 1000000.0)}, 40),
    "qwen3_yarn": (transformers.Qwen3Config,
                   {"max_position_embeddings": 128, "head_dim": 32, "tie_word_embeddings": True,
                    **rope("yarn", 10000.0, factor=4.0, original_max_position_embeddings=32)}, 72),
}


def fnv1a64(name):
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def uniform(name, count):
    """u(name, 0..count), as float64."""
    with np.errstate(over="ignore"):
        z = np.uint64(fnv1a64(name)) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(
            0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1.0


def weights_of(name, shape):
    """Values of a tensor, float32. Products and sums are exact in float64, so rounded once."""
    u = uniform(name, int(np.prod(shape)))
    tenth = np.float64(np.float32(0.1))
    if len(shape) == 1:
        values = tenth * u if name.endswith(".bias") else 1.0 + tenth * u
    elif "embed_tokens" in name:
        values = u
    else:
        values = np.float64(np.float32(2.0 / np.sqrt(np.float64(shape[1])))) * u
    return values.astype(np.float32).reshape(shape)


def tokens_of(name, count):
    return [int(x) for x in (uniform(name + ".ids", count) + 1.0) * 0.5 * VOCABULARY]


@contextlib.contextmanager
def everything_in_float64():
    """Makes the casts to float32 that transformers writes out casts to float64."""
    kept = torch.float32, torch.float, torch.Tensor.float
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float = torch.Tensor.double
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.float32, torch.float, torch.Tensor.float = kept
        torch.set_default_dtype(torch.float32)


def build(config):
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():  # Tied ones once.
            parameter.copy_(torch.from_numpy(weights_of(name, tuple(parameter.shape))))
    return model


def logits_of(config, ids):
    model = build(config)
    with torch.no_grad():
        return model(torch.tensor([ids]), use_cache=False).logits[0].numpy()


def saved_config(model):
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return json.loads(Path(folder, "config.json").read_text())


def legacy_config(config):
    """The same in the spelling of transformers 4."""
    legacy = {key: value for key, value in config.items() if key not in ("dtype", "layer_types")}
    if config["model_type"] == "llama":
        del legacy["head_dim"]  # Was not there yet; all of these have hidden_size / heads.
    legacy["torch_dtype"] = config["dtype"]
    legacy["transformers_version"] = "4.40.0"
    parameters = dict(legacy.pop("rope_parameters"))
    legacy["rope_theta"] = parameters.pop("rope_theta")
    kind = parameters.pop("rope_type")
    # "type" is the older key; Llama 3.1 came with "rope_type".
    key = "rope_type" if kind == "llama3" else "type"
    legacy["rope_scaling"] = None if kind == "default" else {key: kind, **parameters}
    return legacy


def load_config(config):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(config))
        return transformers.AutoConfig.from_pretrained(folder)


def without_feature(config):
    """The same without RoPE scaling and windows, or None where it has neither."""
    parameters = config["rope_parameters"]
    if parameters["rope_type"] == "default" and config.get("sliding_window") is None:
        return None
    plain = {key: value for key, value in config.items() if key != "layer_types"}
    plain["rope_parameters"] = {"rope_type": "default", "rope_theta": parameters["rope_theta"]}
    if "sliding_window" in plain:
        plain.update(sliding_window=None)
    return {**plain, "use_sliding_window": False}


def make_case(name, kind, settings, count):
    config = kind(**{**SMALL, **settings})
    model = build(config)
    saved = saved_config(model)
    legacy = legacy_config(saved)
    ids = tokens_of(name, count)
    single = logits_of(load_config(saved), ids)
    with everything_in_float64():
        logits = logits_of(load_config(saved), ids)
        again = logits_of(load_config(legacy), ids)
    assert logits.dtype == np.float64
    assert np.array_equal(logits, again), f"{name}: the legacy spelling means something else"
    plain = without_feature(saved)
    if plain is not None:
        moved = np.abs(logits_of(load_config(plain), ids) - logits)[-1].max()
        assert moved > 0.05, f"{name}: its feature hardly matters ({moved})"
    top = np.sort(logits, axis=1)
    gap = np.min(top[:, -1] - top[:, -2])
    positions = [0, count // 2, count - 1]
    print(f"{name:<20} |logits| {np.abs(logits).mean():.3f}  float32 differs by "
          f"{np.abs(logits - single).max():.1e}  nearest second {gap:.1e}")
    tensors = {tensor: p.detach().numpy() for tensor, p in model.named_parameters()}
    samples = [{"tensor": tensor, "index": i, "value": float(values.reshape(-1)[i])}
               for tensor, values in list(tensors.items())[::5] for i in (0, values.size - 1)]
    return {
        "name": name,
        "config": saved,
        "legacy_config": legacy,
        "tensors": {tensor: list(values.shape) for tensor, values in tensors.items()},
        "weight_samples": samples[:6],
        "ids": ids,
        "positions": positions,
        "logits": [[float(f"{x:.6g}") for x in logits[p]] for p in positions],
        "top1": [int(x) for x in np.argmax(logits, axis=1)],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    cases = [make_case(name, *case) for name, case in CASES.items()]
    # One line per case keeps differences readable.
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    args.out.write_text(
        f'{{"made_with":"transformers {transformers.__version__}, torch {torch.__version__}",\n'
        f'"cases":[\n{lines}\n]}}\n')
    print(f"{args.out}: {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
