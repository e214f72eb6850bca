"""Answers the evaluation set from keys and values of different sources.

    python3 evaluate_reader.py reader.gguf|reader.pt reader_questions.jsonl [--limit N] [--policies]

Exact match by setting, kind of question and source of the context's keys and values:

    full        computed for this prompt
    isolated    each chunk's, computed behind the preface alone, and moved to its new place
    document    each chunk's, from one pass over its whole document behind the preface, and moved

With --policies also isolated and document caches of which some rows are computed anew: the first
ones of each chunk (EPIC), those whose keys and values at layer 1 are farthest from the cached ones
(CacheBlend), and random ones. All in float32.
"""

import argparse
import json
from collections import defaultdict
from typing import Callable, Dict, List, Optional, Tuple

import torch

import reader_vocabulary as words
from reader_model import Reader, Shape

Cache = List[Tuple[torch.Tensor, torch.Tensor]]  # By layer: keys before RoPE, values.


def load(path: str) -> Reader:
    model = Reader(Shape(len(words.WORDS)))
    if path.endswith(".gguf"):
        import reader_gguf
        weights = reader_gguf.read_weights(path)
    else:
        weights = torch.load(path, map_location="cpu")
    model.load_state_dict(weights)
    return model.eval()


class Caches:
    """Passes over documents and chunks, each made once."""

    def __init__(self, model: Reader, documents: Dict[int, List[List[int]]], preface: List[int]):
        self.model, self.documents, self.preface = model, documents, preface
        self._chunks: Dict[Tuple[int, int], Cache] = {}
        self._passes: Dict[int, Cache] = {}

    def isolated(self, document: int, chunk: int) -> Cache:
        key = (document, chunk)
        if key not in self._chunks:
            tokens = self.preface + self.documents[document][chunk]
            self._chunks[key] = self._slice(self._read(tokens), len(self.preface), len(tokens))
        return self._chunks[key]

    def document(self, document: int, chunk: int) -> Cache:
        chunks = self.documents[document]
        if document not in self._passes:
            self._passes[document] = self._read(self.preface + sum(chunks, []))
        start = len(self.preface) + sum(len(ids) for ids in chunks[:chunk])
        return self._slice(self._passes[document], start, start + len(chunks[chunk]))

    def _read(self, tokens: List[int]) -> Cache:
        return self.model.read(torch.tensor(tokens))[1]

    @staticmethod
    def _slice(cache: Cache, start: int, end: int) -> Cache:
        return [(k[start:end], v[start:end]) for k, v in cache]


# Gets the deviation of each row of the context at layer 1 and the rows' places in their chunks, and
# gives the rows to compute anew.
Policy = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def nothing(deviation: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(place, dtype=torch.bool)


def _most(score: torch.Tensor, share: float) -> torch.Tensor:
    chosen = torch.zeros(score.shape, dtype=torch.bool)
    chosen[score.topk(int(len(score) * share)).indices] = True
    return chosen


def answer(model: Reader, preface: List[int], context: List[Cache], ids: List[List[int]],
           question: List[int], policy: Policy) -> int:
    """The token behind a prompt of which the context's keys and values come from `context`."""
    tokens = torch.tensor(preface + sum(ids, []) + question)
    start, end = len(preface), len(tokens) - len(question)
    place = torch.cat([torch.arange(len(chunk)) for chunk in ids])
    chosen: Optional[torch.Tensor] = None

    def override(layer: int, k: torch.Tensor, v: torch.Tensor):
        # Layer 0 is computed for all. What is not chosen keeps its cached rows from then on; its
        # own hidden states go on, but nothing reads them.
        nonlocal chosen
        if layer == 0 and policy is not nothing:
            return k, v
        cached_k = torch.cat([cache[layer][0] for cache in context])
        cached_v = torch.cat([cache[layer][1] for cache in context])
        if chosen is None:
            deviation = ((k[start:end] - cached_k).pow(2).sum((1, 2)) +
                         (v[start:end] - cached_v).pow(2).sum((1, 2)))
            chosen = policy(deviation, place)
        keep = chosen[:, None, None]
        k, v = k.clone(), v.clone()
        k[start:end] = torch.where(keep, k[start:end], cached_k)
        v[start:end] = torch.where(keep, v[start:end], cached_v)
        return k, v

    return int(model.read(tokens, override)[0].argmax())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("questions")
    parser.add_argument("--limit", type=int, default=10**9, help="questions of a setting and kind")
    parser.add_argument("--policies", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = load(options.model)
    with open(options.questions) as file:
        lines = [json.loads(line) for line in file]
    documents = {line["document"]: [words.encode(text) for text in line["chunks"]]
                 for line in lines if "chunks" in line}
    preface = [words.BOS] + words.encode(words.PREFACE)
    caches = Caches(model, documents, preface)

    policies: Dict[str, Policy] = {"": nothing}
    if options.policies:
        policies["+random 25%"] = lambda deviation, place: _most(torch.rand(len(place)), 0.25)
        for share in (0.15, 0.25):
            policies[f"+epic {share:.0%}"] = lambda deviation, place, share=share: _most(
                -place.float() - torch.arange(len(place)) * 1e-6, share)
            policies[f"+blend {share:.0%}"] = lambda deviation, place, share=share: _most(
                deviation, share)
    asked: Dict[Tuple[str, str], int] = defaultdict(int)
    right: Dict[Tuple[str, str, str], int] = defaultdict(int)
    for line in lines:
        if "question" not in line:
            continue
        group = (line["setting"], line["kind"])
        if asked[group] >= options.limit:
            continue
        asked[group] += 1
        question, wanted = words.encode(line["question"]), words.ID[line["answer"]]
        ids = [documents[document][chunk] for document, chunk in line["context"]]
        tokens = torch.tensor(preface + sum(ids, []) + question)
        right[(*group, "full")] += int(model.read(tokens)[0].argmax()) == wanted
        for source in ("isolated", "document"):
            # In order and from the start, the document's caches are those of the prompt itself.
            if source == "document" and line["setting"] == "in_order":
                continue
            context = [getattr(caches, source)(*place) for place in line["context"]]
            for name, policy in policies.items():
                right[(*group, source + name)] += answer(model, preface, context, ids, question,
                                                         policy) == wanted
    for setting in ("in_order", "retrieved"):
        kinds = [kind for other, kind in asked if other == setting]
        print(f"{setting:22}" + "".join(f"{kind:>10}" for kind in kinds) + f"{'all':>10}")
        sources = list(dict.fromkeys(source for other, _, source in right if other == setting))
        for source in sources:
            counts = [right[(setting, kind, source)] for kind in kinds]
            totals = [asked[(setting, kind)] for kind in kinds]
            shares = [got / of for got, of in zip(counts, totals)] + [sum(counts) / sum(totals)]
            print(f"  {source:20}" + "".join(f"{share:10.3f}" for share in shares))
        print(f"  {'questions':20}" + "".join(
            f"{asked[(setting, kind)]:10}" for kind in kinds) + f"{sum(totals):10}")


if __name__ == "__main__":
    main()
