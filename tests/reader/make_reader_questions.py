"""Writes the evaluation set: documents, then questions about them, one JSON object a line.

    python3 make_reader_questions.py reader_questions.jsonl

A document is {"document": number, "chunks": [text, ...]}. A question is

    {"kind": "inside" | "earlier" | "lookup" | "variable", "setting": "in_order" | "retrieved",
     "context": [[document, chunk], ...], "gold": [[document, chunk], ...],
     "preface": text, "question": text, "answer": word}

where "context" is what the reader gets, in the order of the prompt, and "gold" the chunk that
states the answer, followed by the chunk it depends on where that is another one: "earlier" asks
for what a sentence says of "she" or "he", who is named in an earlier chunk only; "variable" for a
copy of a variable that is set in an earlier chunk. "inside" and "lookup" need the first alone.
"""

import argparse
import json
from typing import Dict, List, Optional, Tuple

import numpy as np

import reader_data
import reader_vocabulary as words
from reader_data import CHAIN, EARLIER, INSIDE, KIND_NAMES, LOOKUP, Documents

DOCUMENTS = 200
# Questions by kind; those that depend on another chunk weigh more in order.
IN_ORDER = {INSIDE: 100, EARLIER: 180, LOOKUP: 80, CHAIN: 120}
RETRIEVED = {INSIDE: 250, EARLIER: 250}
OTHERS = 3  # Chunks of other documents beside the one asked about.
RECIPE = reader_data.Recipe(64, (8, 12), 0.8, 0.0, 0, 512)


def chunk_text(docs: Documents, document: int, chunk: int) -> str:
    tokens = docs.tokens[document][docs.chunk[document] == chunk]
    return words.decode(tokens[tokens >= 0])


def facts_of(docs: Documents, document: int, kind: int) -> List[int]:
    """Slots of the document that give a question of this kind, dependent ones across chunks."""
    fact, chunk, source = docs.fact[document], docs.chunk[document], docs.source[document]
    apart = chunk[source] != chunk
    wanted = {INSIDE: (fact == reader_data.PERSON) & ~apart,
              EARLIER: (fact == reader_data.PERSON) & apart,
              LOOKUP: fact == reader_data.ENTRY,
              CHAIN: (fact == reader_data.COPY) & apart}[kind]
    return [int(slot) for slot in np.flatnonzero(wanted & (chunk >= 0))]


def ask(docs: Documents, document: int, slot: int) -> Tuple[str, str]:
    at = (np.array([document]), np.array([slot]))
    tokens = reader_data.question_tokens(docs.fact[at], docs.subject[at], docs.attribute[at],
                                         docs.value[at])[0]
    tokens = tokens[tokens >= 0]
    return words.decode(tokens[:-2]), words.WORDS[tokens[-2]]


def question(docs: Documents, kind: int, setting: str, document: int, slot: int,
             context: List[List[int]]) -> Dict:
    text, answer = ask(docs, document, slot)
    chunk = docs.chunk[document]
    gold = [[document, int(chunk[slot])]]
    if kind in (EARLIER, CHAIN):
        gold.append([document, int(chunk[docs.source[document, slot]])])
    return {"kind": KIND_NAMES[kind], "setting": setting, "context": context, "gold": gold,
            "preface": words.PREFACE, "question": text, "answer": answer}


def retrieve(rng: np.random.Generator, docs: Documents, document: int,
             slot: int) -> Optional[List[List[int]]]:
    """The chunk of the fact among chunks of other documents, where these say nothing about the
    same person."""
    context = [[document, int(docs.chunk[document, slot])]]
    for other in rng.permutation(len(docs.chunk)):
        chunk = int(rng.integers(0, docs.chunk[other].max() + 1))
        inside = docs.chunk[other] == chunk
        if other == document or docs.subject[document, slot] in docs.subject[other][inside]:
            continue
        context.append([int(other), chunk])
        if len(context) == OTHERS + 1:
            return [context[i] for i in rng.permutation(len(context))]
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    docs = reader_data.make_documents(rng, DOCUMENTS, RECIPE)
    lines: List[Dict] = []
    for document in range(DOCUMENTS):
        count = int(docs.chunk[document].max()) + 1
        lines.append({"document": document,
                      "chunks": [chunk_text(docs, document, chunk) for chunk in range(count)]})
    for setting, counts in (("in_order", IN_ORDER), ("retrieved", RETRIEVED)):
        for kind, wanted in counts.items():
            pairs = [(document, slot) for document in range(DOCUMENTS)
                     for slot in facts_of(docs, document, kind)]
            for index in rng.permutation(len(pairs))[:wanted]:
                document, slot = pairs[index]
                if setting == "in_order":
                    count = int(docs.chunk[document].max()) + 1
                    context = [[document, chunk] for chunk in range(count)]
                else:
                    context = retrieve(rng, docs, document, slot)
                lines.append(question(docs, kind, setting, document, slot, context))
    with open(options.out, "w") as file:
        for line in lines:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
