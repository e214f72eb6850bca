#!/usr/bin/env python3
"""Measures bench_encoder beside sentence-transformers (PyTorch), on the same models and texts.

bench_encoder leaves its models in a directory; sentence-transformers loads them from there, in
float32 and in bfloat16, with as many threads, and gets the same passages: 64 of 256 tokens to embed
in one batch, 100 of 128 tokens to rerank. Both sides take turns, `--rounds` times; figures are
medians.

Usage:
  pip install sentence-transformers
  python compare_encoders.py --bench build/release/tests/bench/bench_encoder --directory DIR
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

VOCABULARY = 30522


def text(words, salt):
    """bench_encoder's."""
    return " ".join(f"w{4 + (i * 7919 + salt * 104729) % (VOCABULARY - 4)}" for i in range(words))


def measure(run, repeat=3):
    run()
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def tokenizer_of(path):
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_file=str(path / "tokenizer.json"), pad_token="[PAD]", unk_token="[UNK]",
        cls_token="[CLS]", sep_token="[SEP]", model_max_length=512)


def peer(directory, threads):
    """Prints name and value, as bench_encoder does."""
    import torch
    from transformers import BertForSequenceClassification, BertModel

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    passages = [text(254, i) for i in range(64)]
    candidates = [text(117, i) for i in range(100)]
    query = text(8, 12345)
    for name, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
        path = directory / "minilm-l6"
        tokenizer = tokenizer_of(path)
        model = BertModel.from_pretrained(path, add_pooling_layer=False).to(dtype).eval()

        def embed():
            for begin in range(0, len(passages), 32):  # sentence-transformers' batch.
                batch = tokenizer(passages[begin:begin + 32], padding=True, truncation=True,
                                  max_length=256, return_tensors="pt")
                states = model(**batch).last_hidden_state.float()
                mask = batch["attention_mask"].unsqueeze(-1)
                torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1))

        print(f"embed minilm-l6 {name} chunks/s {len(passages) / measure(embed):.1f}", flush=True)
        for shape in ("tinybert-l2-reranker", "minilm-l6-reranker"):
            path = directory / shape
            tokenizer = tokenizer_of(path)
            model_r = BertForSequenceClassification.from_pretrained(path, num_labels=1)
            model_r = model_r.to(dtype).eval()

            def rerank():
                for begin in range(0, len(candidates), 32):
                    pairs = [[query, c] for c in candidates[begin:begin + 32]]
                    batch = tokenizer(pairs, padding=True, truncation=True, return_tensors="pt")
                    model_r(**batch).logits.float()

            print(f"rerank {shape} {name} ms {1e3 * measure(rerank):.1f}", flush=True)


def run_lines(command, figures, side):
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n"):
        if line:
            name, value = line.rsplit(" ", 1)
            figures[name][side].append(float(value))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", default="build/release/tests/bench/bench_encoder")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        peer(arguments.directory, arguments.threads)
        return
    figures = defaultdict(lambda: defaultdict(list))
    for _ in range(arguments.rounds):
        run_lines([arguments.bench, str(arguments.directory), "3"], figures, "cairn")
        run_lines([sys.executable, __file__, "--peer", "--directory", str(arguments.directory),
                   "--threads", str(arguments.threads)], figures, "torch")
    for name, sides in figures.items():
        print(name, *(f"{side} {statistics.median(values):.1f}" if "limit" not in name else
                      f"{side} {statistics.median(values):.3f}" for side, values in sides.items()))


if __name__ == "__main__":
    main()
