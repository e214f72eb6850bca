"""Generated documents, contexts and questions for the reader model.

A document tells of people in threads of short sentences. The first sentence of a thread names the
person, most later ones say only "she" or "he", which stands for the woman or man named last;
threads of a woman and of a man run side by side. In between stand entries ("item anchor holds 42
.") and variables ("set beta to alpha ."). The document is cut into chunks of five to seven
sentences wherever that falls, so a chunk often begins in mid-thread.

Everything is computed for many documents at once with numpy: training on a GPU needs millions of
tokens a second. A sentence is a "slot": a row of at most WIDTH token ids, padded with -1.
"""

from dataclasses import dataclass
from typing import List, NamedTuple, Tuple

import numpy as np

import reader_vocabulary as words
from reader_vocabulary import BOS, EOS, ID

WIDTH = 7  # Tokens of the longest sentence.
QUESTION_WIDTH = 11  # With answer and end.
CHUNK_SENTENCES = (5, 7)

NONE, PERSON, ENTRY, VARIABLE, COPY = range(5)  # What a sentence states.
# Kinds of question; an UNKNOWABLE one asks for what the context does not determine.
INSIDE, EARLIER, LOOKUP, CHAIN, LITERAL, UNKNOWABLE = 1, 2, 3, 4, 5, 6
KIND_NAMES = {INSIDE: "inside", EARLIER: "earlier", LOOKUP: "lookup", CHAIN: "variable",
              LITERAL: "literal", UNKNOWABLE: "unknowable"}
PADDING = 255


@dataclass(frozen=True)
class Recipe:
    """How hard the rows are."""

    symbols: int  # Names of a class, values of an attribute, keys, numbers in use: the first ones.
    chunks: Tuple[int, int]  # Of a document, inclusive.
    pronouns: float  # Share of the later sentences of a thread that name nobody.
    retrieved: float  # Share of rows whose chunks come from several documents, shuffled.
    questions: int  # Of a row, one after another.
    length: int  # Tokens of a row.
    people: float = 0.76  # Share of the sentences about people,
    entries: float = 0.10  # of entries,
    variables: float = 0.11  # and of variables; the rest say nothing.


class Documents(NamedTuple):
    """Arrays over [document, slot]."""

    tokens: np.ndarray  # [document, slot, WIDTH]
    fact: np.ndarray  # NONE, PERSON, ...
    subject: np.ndarray  # Token id of the person, key or variable that the fact is about.
    attribute: np.ndarray  # Index in ATTRIBUTES, for PERSON.
    value: np.ndarray  # Token id of the true answer.
    source: np.ndarray  # The slot that the fact rests on: where the person was named last, or
    # where the copied variable was set; else the slot itself.
    chunk: np.ndarray  # Which chunk the slot is in; -1 behind the end.


class Rows(NamedTuple):
    tokens: np.ndarray  # int16 [row, length]
    marks: np.ndarray  # uint8: at an answer its kind, PADDING behind the end, else 0.


def _ids(group: List[str]) -> np.ndarray:
    return np.array([ID[word] for word in group])


_NAMES = np.stack([_ids(words.WOMEN), _ids(words.MEN)])
_VALUES = np.stack([_ids(values) for _, values, _ in words.ATTRIBUTES])
_KEYS, _NUMBERS, _VARIABLES = _ids(words.KEYS), _ids(words.NUMBERS), _ids(words.VARIABLES)
_PRONOUNS = np.array([[ID[form] for form in pair] for pair in words.PRONOUNS])
_BETWEEN = np.array([[ID[word] for word in between.split()] for _, _, between in words.ATTRIBUTES])
_ATTRIBUTE_NAMES = _ids([name for name, _, _ in words.ATTRIBUTES])
_FILLERS = np.full((len(words.FILLERS), WIDTH), -1)
for _row, _text in enumerate(words.FILLERS):
    _FILLERS[_row, :len(_text.split())] = _ids(_text.split())
_PREFACE = _ids(words.PREFACE.split())
_CLASS_OF = np.zeros(len(words.WORDS), dtype=np.int64)
_CLASS_OF[_NAMES[1]] = 1


def _orders(rng: np.random.Generator, shape: Tuple[int, ...]) -> np.ndarray:
    """Random permutations of the last axis."""
    return np.argsort(rng.random(shape), axis=-1)


def _cut(rng: np.random.Generator, count: int, recipe: Recipe) -> np.ndarray:
    """The chunk of each slot."""
    most = recipe.chunks[1]
    sizes = rng.integers(CHUNK_SENTENCES[0], CHUNK_SENTENCES[1] + 1, (count, most))
    sizes[np.arange(most) >= rng.integers(recipe.chunks[0], most + 1, (count, 1))] = 0
    ends = np.cumsum(sizes, axis=1)
    slots = np.arange(most * CHUNK_SENTENCES[1])
    chunk = (slots[None, :, None] >= ends[:, None, :]).sum(axis=2)
    return np.where(slots < ends[:, -1:], chunk, -1)


def make_documents(rng: np.random.Generator, count: int, recipe: Recipe) -> Documents:
    chunk = _cut(rng, count, recipe)
    slots = chunk.shape[1]
    shape = (count, slots)
    each = np.arange(count)
    pool = recipe.symbols

    # All draws at once; the loop below only follows the threads.
    draw = rng.random(shape)
    shares = np.cumsum([recipe.people, recipe.entries, recipe.variables])
    wanted = np.select([draw < share for share in shares], [PERSON, ENTRY, VARIABLE], NONE)
    switches = rng.random(shape) < 0.3
    says_name = rng.random(shape) >= recipe.pronouns
    copies = rng.random(shape) < 0.6
    which = rng.random(shape)
    more = rng.integers(2, len(words.ATTRIBUTES), shape)  # Sentences after the first of a thread.
    attribute_orders = _orders(rng, shape + (len(words.ATTRIBUTES),))
    names = _orders(rng, (count, 2, pool))
    keys = _orders(rng, (count, min(pool, len(_KEYS))))
    variables = _orders(rng, (count, min(pool, len(_VARIABLES))))
    values = _VALUES[:, :pool][:, rng.integers(0, pool, shape)]  # [attribute, document, slot]
    numbers = _NUMBERS[rng.integers(0, pool, shape)]

    fact = np.zeros(shape, dtype=np.int64)
    subject = np.zeros(shape, dtype=np.int64)
    attribute = np.zeros(shape, dtype=np.int64)
    value = np.zeros(shape, dtype=np.int64)
    source = np.tile(np.arange(slots), (count, 1))
    named = np.zeros(shape, dtype=bool)
    other = np.zeros(shape, dtype=np.int64)  # The variable that is copied.

    turn = rng.integers(0, 2, count)  # The class of the person spoken of last.
    met = np.zeros((count, 2), dtype=np.int64)  # Persons so far, by class; the last one is open.
    left = np.zeros((count, 2), dtype=np.int64)  # Sentences left of the open thread.
    said = np.zeros((count, 2), dtype=np.int64)
    last_named = np.zeros((count, 2), dtype=np.int64)
    plan = np.zeros((count, 2, len(words.ATTRIBUTES)), dtype=np.int64)
    entries = np.zeros(count, dtype=np.int64)
    variables_set = np.zeros(count, dtype=np.int64)
    literals = np.zeros((count, len(_VARIABLES)), dtype=np.int64)  # Their slots.
    literal_count = np.zeros(count, dtype=np.int64)

    for slot in range(slots):
        live = chunk[:, slot] >= 0
        person = live & (wanted[:, slot] == PERSON)
        turn = np.where(person & switches[:, slot], 1 - turn, turn)
        opens = person & (left[each, turn] == 0)
        # A document that has run out of names has a sentence without a fact there.
        person &= ~(opens & (met[each, turn] >= pool))
        opens &= person
        rows = each[opens]
        met[rows, turn[rows]] += 1
        left[rows, turn[rows]] = more[rows, slot] + 1
        said[rows, turn[rows]] = 0
        plan[rows, turn[rows]] = attribute_orders[rows, slot]
        named[:, slot] = person & (opens | says_name[:, slot])
        rows = each[named[:, slot]]
        last_named[rows, turn[rows]] = slot
        rows = each[person]
        group = turn[rows]
        fact[rows, slot] = PERSON
        subject[rows, slot] = _NAMES[group, names[rows, group, met[rows, group] - 1]]
        attribute[rows, slot] = plan[rows, group, said[rows, group]]
        value[rows, slot] = values[attribute[rows, slot], rows, slot]
        source[rows, slot] = last_named[rows, group]
        said[rows, group] += 1
        left[rows, group] -= 1

        rows = each[live & (wanted[:, slot] == ENTRY) & (entries < keys.shape[1])]
        fact[rows, slot] = ENTRY
        subject[rows, slot] = _KEYS[keys[rows, entries[rows]]]
        value[rows, slot] = numbers[rows, slot]
        entries[rows] += 1

        sets = live & (wanted[:, slot] == VARIABLE) & (variables_set < variables.shape[1])
        rows = each[sets]
        fact[rows, slot] = VARIABLE
        subject[rows, slot] = _VARIABLES[variables[rows, variables_set[rows]]]
        value[rows, slot] = numbers[rows, slot]
        variables_set[rows] += 1
        copy = sets & copies[:, slot] & (literal_count > 0)
        rows = each[copy]
        fact[rows, slot] = COPY
        origin = literals[rows, (which[rows, slot] * literal_count[rows]).astype(np.int64)]
        source[rows, slot] = origin
        other[rows, slot] = subject[rows, origin]
        value[rows, slot] = value[rows, origin]
        rows = each[sets & ~copy]
        literals[rows, literal_count[rows]] = slot
        literal_count[rows] += 1

    tokens = _spell(rng, chunk, fact, subject, attribute, value, named, other)
    return Documents(tokens, fact, subject, attribute, value, source, chunk)


def _spell(rng, chunk, fact, subject, attribute, value, named, other) -> np.ndarray:
    shape = fact.shape
    tokens = _FILLERS[rng.integers(0, len(_FILLERS), shape)]
    stop = ID["."]
    group = _CLASS_OF[subject]
    # "paris was the city of her .", else "she lived in paris .": both orders, so that some bindings
    # can form at the pronoun and some only behind it.
    subject_last = rng.random(shape) < 0.5

    def put(where: np.ndarray, columns) -> None:
        for column in range(WIDTH):
            part = columns[column] if column < len(columns) else -1
            tokens[where, column] = part[where] if isinstance(part, np.ndarray) else part

    person = fact == PERSON
    between = _BETWEEN[attribute]
    put(person & ~subject_last, [np.where(named, subject, _PRONOUNS[group, 0]), between[..., 0],
                                 between[..., 1], value, stop])
    put(person & subject_last, [value, ID["was"], ID["the"], _ATTRIBUTE_NAMES[attribute], ID["of"],
                                np.where(named, subject, _PRONOUNS[group, 1]), stop])
    put(fact == ENTRY, [ID["item"], subject, ID["holds"], value, stop])
    put(fact == VARIABLE, [ID["set"], subject, ID["to"], value, stop])
    put(fact == COPY, [ID["set"], subject, ID["to"], other, stop])
    tokens[chunk < 0] = -1
    return tokens


def question_tokens(fact, subject, attribute, value) -> np.ndarray:
    """[..., QUESTION_WIDTH], padded with -1 in front, so that the answer is always at -2."""
    out = np.full(fact.shape + (QUESTION_WIDTH,), -1)
    end = [ID["?"], ID["answer"], value, EOS]

    def put(where: np.ndarray, columns) -> None:
        first = QUESTION_WIDTH - len(columns)
        for column, part in enumerate(columns):
            out[where, first + column] = part[where] if isinstance(part, np.ndarray) else part

    ask = [ID["question"], ID["what"]]
    put(fact == PERSON, [*ask, ID["is"], ID["the"], _ATTRIBUTE_NAMES[attribute], ID["of"], subject,
                         *end])
    put(fact == ENTRY, [*ask, ID["is"], ID["in"], ID["item"], subject, *end])
    put(fact >= VARIABLE, [*ask, ID["is"], ID["the"], ID["value"], ID["of"], subject, *end])
    return out


def choose_slots(rng: np.random.Generator, docs: Documents, recipe: Recipe,
                 retrieved: np.ndarray, pieces: int) -> Tuple[np.ndarray, np.ndarray]:
    """Document and slot of each sentence of each row's context; slot -1 is empty.

    Row r reads document r whole, or, where retrieved[r], one chunk of each of `pieces` documents.
    """
    count, slots = docs.chunk.shape
    document = np.tile(np.arange(count)[:, None], (1, slots))
    slot = np.where(docs.chunk >= 0, np.arange(slots), -1)
    rows = np.flatnonzero(retrieved)
    if rows.size == 0:
        return document, slot
    longest = CHUNK_SENTENCES[1]
    pieces = min(pieces, slots // longest)
    steps = 1 + _orders(rng, (rows.size, count - 1))[:, :pieces]
    origin = (rows[:, None] + steps) % count
    chunks = (rng.random((rows.size, pieces)) *
              (docs.chunk.max(axis=1)[origin] + 1)).astype(np.int64)
    first = (docs.chunk[origin] == chunks[..., None]).argmax(axis=2)
    at = np.minimum(first[..., None] + np.arange(longest), slots - 1)
    at = np.where(docs.chunk[origin[..., None], at] == chunks[..., None], at, -1)
    # The same sentence twice where the document ends: only the first counts.
    at[..., 1:][at[..., 1:] == at[..., :-1]] = -1
    # Rows of fewer chunks, too.
    at[np.arange(pieces) >= rng.integers(3, max(pieces, 3) + 1, (rows.size, 1))] = -1
    document[rows] = np.pad(np.repeat(origin, longest, axis=1),
                            ((0, 0), (0, slots - pieces * longest)))
    slot[rows] = np.pad(at.reshape(rows.size, -1), ((0, 0), (0, slots - pieces * longest)),
                        constant_values=-1)
    return document, slot


def kinds_of(docs: Documents, document: np.ndarray, slot: np.ndarray,
             retrieved: np.ndarray) -> np.ndarray:
    """The kind of question each sentence of a context gives; 0: none."""
    fact = np.where(slot >= 0, docs.fact[document, slot], NONE)
    source = docs.source[document, slot]
    apart = docs.chunk[document, source] != docs.chunk[document, slot]
    kind = np.select([fact == PERSON, fact == ENTRY, fact == COPY, fact == VARIABLE],
                     [np.where(apart, EARLIER, INSIDE), LOOKUP, CHAIN, LITERAL], 0)
    if not retrieved.any():
        return kind
    rows = np.flatnonzero(retrieved)
    part, sub, doc = kind[rows], docs.subject[document, slot][rows], document[rows]
    # What is asked by name must be in one of the documents only.
    there = (part > 0) | (fact[rows] == VARIABLE)
    clash = ((sub[:, :, None] == sub[:, None, :]) & (doc[:, :, None] != doc[:, None, :]) &
             there[:, None, :]).any(axis=2)
    part = np.where(clash | ((part == CHAIN) & apart[rows]), 0, part)
    kind[rows] = np.where((part == EARLIER), UNKNOWABLE, part)
    return kind


_WEIGHTS = np.array([0, 1.0, 3.0, 1.0, 2.0, 0.4, 0.1])  # Of the kinds, in the draw of questions.


def make_rows(rng: np.random.Generator, count: int, recipe: Recipe) -> Rows:
    """Training rows: <s>, preface, context, then question after question."""
    docs = make_documents(rng, count, recipe)
    retrieved = rng.random(count) < recipe.retrieved
    document, slot = choose_slots(rng, docs, recipe, retrieved, pieces=8)
    kind = kinds_of(docs, document, slot, retrieved)
    context = np.where(slot[..., None] >= 0, docs.tokens[document, slot], -1)

    weight = _WEIGHTS[kind]
    key = np.where(weight > 0, rng.random(kind.shape) ** (1 / np.maximum(weight, 1e-9)), -1)
    asked = np.argsort(-key, axis=1)[:, :recipe.questions]
    # In random order: the argsort puts the likelier kinds first.
    asked = np.take_along_axis(asked, _orders(rng, asked.shape), axis=1)
    each = np.arange(count)[:, None]
    where = document[each, asked], slot[each, asked]
    asked_kind = kind[each, asked]
    questions = question_tokens(np.where(asked_kind > 0, docs.fact[where], NONE),
                                docs.subject[where], docs.attribute[where], docs.value[where])
    marks = np.zeros(questions.shape, dtype=np.uint8)
    marks[..., -2] = asked_kind

    head = np.tile(np.concatenate([[BOS], _PREFACE]), (count, 1))
    flat = np.concatenate([head, context.reshape(count, -1), questions.reshape(count, -1)], axis=1)
    flat_marks = np.zeros(flat.shape, dtype=np.uint8)
    flat_marks[:, -questions[0].size:] = marks.reshape(count, -1)
    return Rows(*_compact(flat, flat_marks, recipe.length))


def _compact(flat: np.ndarray, marks: np.ndarray, length: int) -> Tuple[np.ndarray, np.ndarray]:
    """Moves the tokens together, and cuts or pads the rows to `length`."""
    valid = flat >= 0
    at = np.cumsum(valid, axis=1) - 1
    valid &= at < length
    row, column = np.nonzero(valid)
    tokens = np.zeros((flat.shape[0], length), dtype=np.int16)
    out = np.full((flat.shape[0], length), PADDING, dtype=np.uint8)
    tokens[row, at[row, column]] = flat[row, column]
    out[row, at[row, column]] = marks[row, column]
    return tokens, out
