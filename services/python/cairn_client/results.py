"""What goes to the server and comes from it, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Mapping, Optional, Union

from cairn_client.errors import CairnError
from cairn_client.spans import Span, text_of_span
from cairn_client.v1 import answer_pb2, collections_pb2, documents_pb2, search_pb2
from cairn_client.values import Metadata, Value, enum_name, read_metadata, read_time, write_metadata


@dataclass
class Document:
    """A document to ingest. `text` as bytes must be UTF-8, which the server checks."""

    id: str
    text: Union[str, bytes]
    title: str = ""  # Default: what a Markdown or HTML text says it is.
    metadata: Metadata = field(default_factory=dict)
    media_type: str = ""  # "text/plain", the default, "text/markdown" or "text/html".
    source_uri: str = ""  # Where it is from, for citations.


_KEYS = {"id", "_id", "text", "title", "metadata", "media_type", "source_uri"}


def document_message(document: Union[Document, Mapping[str, Any]]) -> documents_pb2.InputDocument:
    """Of a Document, or a dict with its fields ("_id" for "id" as in BEIR's files). TypeError or
    ValueError for what is neither."""
    if isinstance(document, Mapping):
        unknown = sorted(str(k) for k in document.keys() - _KEYS)
        if unknown:
            raise ValueError(f"a document has no field {unknown[0]!r}")
        known = dict(document)
        if "_id" in known:
            known["id"] = known.pop("_id")
        if "id" not in known or "text" not in known:
            raise ValueError("a document needs an id and a text")
        document = Document(**known)
    if not isinstance(document, Document):
        raise TypeError(f"a {type(document).__name__} is no document")
    out = documents_pb2.InputDocument(
        id=document.id,
        title=document.title,
        media_type=document.media_type,
        source_uri=document.source_uri,
    )
    if isinstance(document.text, (bytes, bytearray, memoryview)):
        out.raw = bytes(document.text)
    else:
        out.text = document.text
    write_metadata(document.metadata, out.metadata)
    return out


@dataclass(frozen=True)
class Chunk:
    chunk_id: int
    span: Span
    tokens: int
    headings: list[str]  # Outermost first.


@dataclass(frozen=True)
class StoredDocument:
    """A document as the server has it. Lists leave out text and chunks."""

    name: str
    id: str
    title: str
    media_type: str
    source_uri: str
    metadata: dict[str, Value]
    chunk_count: int
    text: str  # Normalised; all spans refer to it.
    chunks: list[Chunk]

    def text_of(self, span: tuple[int, int]) -> str:
        return text_of_span(self.text, span)


def read_span(message: documents_pb2.Span) -> Span:
    return Span(message.begin, message.end)


def read_document(m: documents_pb2.Document) -> StoredDocument:
    return StoredDocument(
        name=m.name,
        id=m.id,
        title=m.title,
        media_type=m.media_type,
        source_uri=m.source_uri,
        metadata=read_metadata(m.metadata),
        chunk_count=m.chunk_count,
        text=m.text,
        chunks=[Chunk(c.chunk_id, read_span(c.span), c.tokens, list(c.headings)) for c in m.chunks],
    )


@dataclass(frozen=True)
class Deleted:
    count: int
    missing: list[str]  # Ids of those that were not there.


@dataclass(frozen=True)
class Hit:
    """A passage that was found. `score` compares within one search only."""

    document_id: str
    chunk_id: int
    score: float
    text: str
    title: str
    headings: list[str]  # Outermost first.
    span: Span  # In the document's text.
    ordinal: int  # Of the chunk in its document, from 0.
    source_uri: str
    metadata: dict[str, Value]
    scores: Optional[search_pb2.ScoreDetails]  # With explain.


def read_hit(m: search_pb2.Passage) -> Hit:
    return Hit(
        document_id=m.document_id,
        chunk_id=m.chunk_id,
        score=m.score,
        text=m.text,
        title=m.title,
        headings=list(m.headings),
        span=read_span(m.span),
        ordinal=m.ordinal,
        source_uri=m.source_uri,
        metadata=read_metadata(m.metadata),
        scores=m.scores if m.HasField("scores") else None,
    )


@dataclass(frozen=True)
class SearchResult:
    """One query's of many: a query that fails fails alone."""

    topic_id: str
    error: Optional[CairnError]
    found: list[Hit]

    @property
    def hits(self) -> list[Hit]:
        """Raises the error where there is one."""
        if self.error is not None:
            raise self.error
        return self.found


@dataclass(frozen=True)
class Citation:
    document_id: str
    chunk_id: int
    span: Span  # In the document's text.
    title: str
    source_uri: str
    passage: int  # Index into the passages, from 0.
    support: float  # Share of the sentence's weighted terms that the span covers, 0 to 1.


@dataclass(frozen=True)
class AnswerPassages:
    """Event: what was retrieved, in the order that citations count it."""

    passages: list[Hit]


@dataclass(frozen=True)
class AnswerText:
    """Event: goes on with the answer."""

    text: str


@dataclass(frozen=True)
class AnswerSentence:
    """Event: a sentence is complete, and its citations were checked."""

    text: str
    score: float
    citations: list[Citation]
    supported: bool  # Whether there is a citation.


@dataclass(frozen=True)
class AnswerSummary:
    """Event: the answer is complete."""

    mode: str  # "extractive" or "generated"
    finish: str  # "complete", "length" or "cancelled"
    unsupported_sentences: int
    dropped_citations: int
    usage: answer_pb2.AnswerUsage  # With `reuse`: where the prompt's tokens came from.
    timings: answer_pb2.AnswerTimings


AnswerEvent = Union[AnswerPassages, AnswerText, AnswerSentence, AnswerSummary]


@dataclass(frozen=True)
class Answer:
    """A whole answer. Nothing found: no passages, and an empty text."""

    text: str
    sentences: list[AnswerSentence]
    passages: list[Hit]
    summary: Optional[AnswerSummary]

    @property
    def citations(self) -> list[Citation]:
        return [c for sentence in self.sentences for c in sentence.citations]


def read_answer_event(m: answer_pb2.AnswerResponse) -> Optional[AnswerEvent]:
    """None for an event that only a newer client knows."""
    kind = m.WhichOneof("event")
    if kind == "passages":
        return AnswerPassages([read_hit(p) for p in m.passages.passages])
    if kind == "text":
        return AnswerText(m.text)
    if kind == "sentence":
        said = m.sentence
        citations = [
            Citation(c.document_id, c.chunk_id, read_span(c.span), c.title, c.source_uri,
                     c.passage, c.support)
            for c in said.citations
        ]
        return AnswerSentence(said.text, said.score, citations, said.supported)
    if kind == "summary":
        end = m.summary
        return AnswerSummary(
            mode=enum_name(answer_pb2.AnswerMode, "ANSWER_MODE_", end.mode),
            finish=enum_name(answer_pb2.AnswerSummary.Finish, "FINISH_", end.finish),
            unsupported_sentences=end.unsupported_sentences,
            dropped_citations=end.dropped_citations,
            usage=end.usage,
            timings=end.timings,
        )
    return None


@dataclass(frozen=True)
class CollectionInfo:
    """A collection as it is now. `settings` and `statistics` are the API's messages."""

    name: str  # collections/{id}
    id: str
    description: str
    labels: dict[str, str]
    settings: collections_pb2.CollectionSettings
    embedder_fingerprint: str
    dimensions: int
    create_time: Optional[datetime]
    update_time: Optional[datetime]
    statistics: Optional[collections_pb2.CollectionStatistics]  # Not in lists.


def read_collection(m: collections_pb2.Collection) -> CollectionInfo:
    return CollectionInfo(
        name=m.name,
        id=m.name.partition("/")[2],
        description=m.description,
        labels=dict(m.labels),
        settings=m.settings,
        embedder_fingerprint=m.embedder_fingerprint,
        dimensions=m.dimensions,
        create_time=read_time(m, "create_time"),
        update_time=read_time(m, "update_time"),
        statistics=m.statistics if m.HasField("statistics") else None,
    )


@dataclass(frozen=True)
class StoreStats:
    collections: list[CollectionInfo]
    version: str  # Of the server.
    uuid: str  # This and the next for administrators of the store only.
    disk_bytes: int


@dataclass(frozen=True)
class ModelInfo:
    embedder_fingerprint: str
    dimensions: int
    has_reranker: bool
    has_generator: bool


@dataclass(frozen=True)
class VerifyResult:
    collections: int
    documents: int
    chunks: int
    vectors: int
    terms: int
    segments: int
    problems: list[str]  # The first 1,000 of them.
    problem_count: int  # 0: the store is sound.
