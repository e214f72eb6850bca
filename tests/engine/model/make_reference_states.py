#!/usr/bin/env python3
"""Makes testdata/reference_states.json: what transformers computes for small encoders.

Weights follow from the formula of make_reference_logits.py (beside this file), under the tensors'
names without "bert." or "roberta."; results are in float64.

Usage:
  pip install torch transformers numpy
  python make_reference_states.py --out testdata/reference_states.json
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch
import transformers

from make_reference_logits import tokens_of, weights_of

VOCABULARY = 97
SMALL = {"vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 96,
         "num_attention_heads": 4, "num_hidden_layers": 3, "max_position_embeddings": 100}

# name: (configuration, model, its settings, [(tokens, those of the first text)])
TEXTS = [(80, 80), (9, 4), (1, 1)]
CASES = {
    "bert": (transformers.BertConfig, transformers.BertModel, {}, TEXTS),
    "bert_tanh": (transformers.BertConfig, transformers.BertModel,
                  {"hidden_act": "gelu_new", "hidden_size": 48, "intermediate_size": 80,
                   "num_attention_heads": 2, "layer_norm_eps": 1e-5}, TEXTS),
    "bert_relu": (transformers.BertConfig, transformers.BertModel, {"hidden_act": "relu"}, TEXTS),
    "bert_classifier": (transformers.BertConfig, transformers.BertForSequenceClassification,
                        {"num_labels": 1}, TEXTS),
    "roberta": (transformers.RobertaConfig, transformers.RobertaModel,
                {"type_vocab_size": 1, "layer_norm_eps": 1e-5}, TEXTS),
    "xlm_roberta_classifier": (transformers.XLMRobertaConfig,
                               transformers.XLMRobertaForSequenceClassification,
                               {"type_vocab_size": 1, "layer_norm_eps": 1e-5, "num_labels": 1},
                               TEXTS),
}


def plain(name):
    for prefix in ("bert.", "roberta."):
        if name.startswith(prefix):
            return name[len(prefix):]
    return name


def make_case(name, config_kind, model_kind, settings, texts):
    config = config_kind(**{**SMALL, **settings})
    config._attn_implementation = "eager"
    model = model_kind(config).eval().double()
    tensors = []
    with torch.no_grad():
        for full_name, parameter in model.named_parameters():
            tensors.append([plain(full_name), list(parameter.shape)])
            parameter.copy_(torch.from_numpy(weights_of(plain(full_name), tuple(parameter.shape))))
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        saved = json.loads(Path(folder, "config.json").read_text())
    inputs = []
    for number, (count, first) in enumerate(texts):
        # Not the padding token, which RoBERTa gives no position.
        ids = [max(2, token) for token in tokens_of(f"{name}.{number}", count)]
        types = [int(i >= first and config.type_vocab_size > 1) for i in range(count)]
        with torch.no_grad():
            out = model(input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([types]),
                        output_hidden_states=True)
        positions = sorted({0, count // 2, count - 1})
        states = out.hidden_states[-1][0]
        inputs.append({
            "ids": ids, "second": first, "positions": positions,
            "states": [[float(f"{x:.6g}") for x in states[p].tolist()] for p in positions],
            "logits": [float(f"{x:.8g}") for x in out.logits[0].tolist()] if "logits" in out else [],
        })
    return {"name": name, "config": saved, "tensors": tensors, "inputs": inputs}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    cases = [make_case(name, *case) for name, case in CASES.items()]
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    arguments.out.write_text(f'{{"cases":[\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
