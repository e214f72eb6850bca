"""One collection of a server."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, Mapping, Optional, Union

from cairn_client.exchange import exchange
from cairn_client.errors import error_from_status
from cairn_client.ingestion import Documents, IngestAck, Ingestion, IngestResult, make_config, run
from cairn_client.operations import Operation
from cairn_client.results import (
    Answer,
    AnswerEvent,
    AnswerPassages,
    AnswerSentence,
    AnswerSummary,
    AnswerText,
    CollectionInfo,
    Deleted,
    Hit,
    SearchResult,
    StoredDocument,
    read_answer_event,
    read_collection,
    read_document,
    read_hit,
)
from cairn_client.v1 import answer_pb2, collections_pb2, documents_pb2, search_pb2
from cairn_client.values import Metadata, collection_name, document_name, enum_value

if TYPE_CHECKING:
    from cairn_client.client import Client

_MOST_DELETED = 1000  # Of one call.


def new_request_id() -> str:
    """Makes a change safe to repeat: the server answers the second time as the first."""
    return str(uuid.uuid4())


def _search_request(
    parent: str,
    query: str,
    k: int,
    mode: Optional[str] = None,
    granularity: Optional[str] = None,
    filter: str = "",
    fusion: Optional[str] = None,
    alpha: Optional[float] = None,
    k1: Optional[float] = None,
    b: Optional[float] = None,
    exact: bool = False,
    rerank: Optional[int] = None,
    ids_only: bool = False,
    explain: bool = False,
) -> search_pb2.SearchRequest:
    request = search_pb2.SearchRequest(
        parent=parent,
        query=query,
        k=k,
        mode=enum_value(search_pb2.SearchMode, "SEARCH_MODE_", mode),
        granularity=enum_value(search_pb2.Granularity, "GRANULARITY_", granularity),
        filter=filter,
        exact=exact,
        rerank=rerank,
        explain=explain,
        view=search_pb2.PASSAGE_VIEW_IDS if ids_only else search_pb2.PASSAGE_VIEW_FULL,
    )
    if fusion is not None or alpha is not None:
        method = enum_value(search_pb2.FusionMethod, "FUSION_METHOD_", fusion)
        request.fusion.CopyFrom(search_pb2.FusionOptions(method=method, alpha=alpha))
    if k1 is not None or b is not None:
        request.bm25.CopyFrom(search_pb2.Bm25Options(k1=k1, b=b))
    return request


class Collection:
    """A name to call things by: whether there is such a collection, the server knows. Made by
    Client.collection."""

    def __init__(self, client: Client, collection_id: str) -> None:
        self._client = client
        self._caller = client._caller
        self.id = collection_id
        self.name = collection_name(collection_id)

    def __repr__(self) -> str:
        return f"<Collection {self.name}>"

    def create(
        self,
        *,
        description: str = "",
        labels: Optional[Mapping[str, str]] = None,
        chunker: Optional[str] = None,
        chunk_tokens: Optional[int] = None,
        overlap_tokens: Optional[int] = None,
        analyzer: str = "",
        vector_index: Optional[str] = None,
        vector_encoding: Optional[str] = None,
    ) -> CollectionInfo:
        """Makes it, empty; AlreadyExistsError where there is one. Settings (CollectionSettings in
        collections.proto has their meaning and defaults) are fixed from then on: `chunker`
        "structure", "sentence" or "fixed"; `vector_index` "hnsw", "flat" or "ivf_pq";
        `vector_encoding` "int8", "bfloat16" or "float32"."""
        settings = collections_pb2.CollectionSettings(
            chunker=enum_value(collections_pb2.Chunker, "CHUNKER_", chunker),
            chunk_tokens=chunk_tokens,
            overlap_tokens=overlap_tokens,
            analyzer=analyzer,
            vector_index=enum_value(collections_pb2.VectorIndex, "VECTOR_INDEX_", vector_index),
            vector_encoding=enum_value(
                collections_pb2.VectorEncoding, "VECTOR_ENCODING_", vector_encoding
            ),
        )
        request = collections_pb2.CreateCollectionRequest(
            collection_id=self.id,
            collection=collections_pb2.Collection(
                description=description, labels=labels, settings=settings
            ),
            request_id=new_request_id(),
        )
        method = self._client._collections.CreateCollection
        return read_collection(self._caller.unary(method, request))

    def get(self) -> CollectionInfo:
        """How it is now, with statistics. NotFoundError."""
        request = collections_pb2.GetCollectionRequest(name=self.name)
        method = self._client._collections.GetCollection
        return read_collection(self._caller.unary(method, request))

    def update(
        self, *, description: Optional[str] = None, labels: Optional[Mapping[str, str]] = None
    ) -> CollectionInfo:
        """Changes what is given; an empty one takes the old one away."""
        request = collections_pb2.UpdateCollectionRequest(
            collection=collections_pb2.Collection(
                name=self.name, description=description, labels=labels
            ),
            request_id=new_request_id(),
        )
        given = {"description": description, "labels": labels}
        request.update_mask.paths.extend(name for name, v in given.items() if v is not None)
        if not request.update_mask.paths:
            raise ValueError("give a description or labels")
        method = self._client._collections.UpdateCollection
        return read_collection(self._caller.unary(method, request))

    def delete(self, *, force: bool = False) -> Operation:
        """Deletes it, with `force` also when there are documents in it (FailedPreconditionError
        otherwise). It is gone when the operation is done."""
        request = collections_pb2.DeleteCollectionRequest(
            name=self.name, force=force, request_id=new_request_id()
        )
        method = self._client._collections.DeleteCollection
        return Operation(self._client._operations, self._caller.unary(method, request))

    def ingest(
        self,
        documents: Documents,
        *,
        metadata: Optional[Metadata] = None,
        strict: bool = False,
        on_ack: Optional[Callable[[IngestAck], None]] = None,
        timeout: Optional[float] = None,
    ) -> IngestResult:
        """Ingests documents (Document, or a dict with its fields) and returns what became of them.

        They are read as the server takes them, from another thread, so there may be any number of
        them. Each is on disk when `on_ack` hears of it. Refused ones are in the result; with
        `strict` the first ends the ingestion with InvalidArgumentError. An exception of `documents`
        is raised here once what was read before it is stored. `metadata` is added to each
        document's and wins over it. No time limit, unless `timeout` (seconds) is given.

        Not repeated where the connection breaks; ingesting the same documents again is cheap.
        """
        ingestion = self.ingest_stream(documents, metadata=metadata, strict=strict, timeout=timeout)
        return run(ingestion, on_ack)

    def ingest_stream(
        self,
        documents: Documents,
        *,
        metadata: Optional[Metadata] = None,
        strict: bool = False,
        timeout: Optional[float] = None,
    ) -> Ingestion:
        """As `ingest`, to be iterated for acknowledgements; whoever stops reading them stops the
        ingestion."""
        config = make_config(self.name, metadata, strict)
        method = self._client._documents.Ingest
        return Ingestion(self._caller, method, config, documents, timeout)

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        mode: Optional[str] = None,
        granularity: Optional[str] = None,
        filter: str = "",
        fusion: Optional[str] = None,
        alpha: Optional[float] = None,
        k1: Optional[float] = None,
        b: Optional[float] = None,
        exact: bool = False,
        rerank: Optional[int] = None,
        ids_only: bool = False,
        explain: bool = False,
        timeout: Optional[float] = None,
    ) -> list[Hit]:
        """The k best passages, best first. SearchRequest in search.proto has the meaning of the
        parameters and their defaults: `mode` "hybrid", "lexical" or "vector"; `granularity` "chunk"
        or "document"; `filter` on metadata, e.g. 'lang = "en" AND year >= 2020'; `fusion` "convex"
        or "rrf", with `alpha`; `k1` and `b` of BM25."""
        request = _search_request(self.name, query, k, mode, granularity, filter, fusion, alpha,
                                  k1, b, exact, rerank, ids_only, explain)
        response = self._caller.unary(self._client._search.Search, request, timeout=timeout)
        return [read_hit(p) for p in response.passages]

    def search_many(
        self,
        queries: Union[Iterable[str], Mapping[str, str]],
        k: int = 10,
        *,
        timeout: Optional[float] = None,
        **options: Any,
    ) -> Iterator[SearchResult]:
        """Results of many queries in one call, in the order of the queries, which are read as the
        server takes them; a mapping's keys are the topics' ids. `options` as those of `search`. No
        time limit, unless `timeout` (seconds) is given."""
        topics = queries.items() if isinstance(queries, Mapping) else (("", q) for q in queries)
        _search_request(self.name, "", k, **options)  # What is wrong with the options, now.

        def requests() -> Iterator[search_pb2.SearchStreamRequest]:
            for topic_id, query in topics:
                search = _search_request(self.name, query, k, **options)
                yield search_pb2.SearchStreamRequest(topic_id=topic_id, search=search)

        method = self._client._search.SearchStream
        for response in exchange(self._caller, method, requests(), timeout):
            failed = response.HasField("error")
            error = error_from_status(response.error) if failed else None
            hits = [read_hit(p) for p in response.response.passages]
            yield SearchResult(response.topic_id, error, hits)

    def ask(self, question: str, **options: Any) -> Answer:
        """The whole answer to a question, with its citations; parameters as of `ask_stream`."""
        texts: list[str] = []
        sentences: list[AnswerSentence] = []
        passages: list[Hit] = []
        summary: Optional[AnswerSummary] = None
        for event in self.ask_stream(question, **options):
            if isinstance(event, AnswerPassages):
                passages.extend(event.passages)
            elif isinstance(event, AnswerText):
                texts.append(event.text)
            elif isinstance(event, AnswerSentence):
                sentences.append(event)
            else:
                summary = event
        return Answer("".join(texts), sentences, passages, summary)

    def ask_stream(
        self,
        question: str,
        *,
        passages: int = 0,
        filter: str = "",
        rerank: Optional[int] = None,
        mode: Optional[str] = None,
        sentences: Optional[int] = None,
        max_tokens: Optional[int] = None,
        temperature: float = 0.0,
        seed: int = 0,
        token_budget: Optional[int] = None,
        reuse: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> Iterator[AnswerEvent]:
        """The answer as it comes: AnswerPassages, then AnswerText and AnswerSentence, at last
        AnswerSummary. AnswerRequest in answer.proto has the meaning of the parameters and their
        defaults: `mode` "extractive", with `sentences`, or "generated", with `max_tokens`,
        `temperature`, `seed`, `token_budget` and `reuse` ("exact", "balanced" or "fast")."""
        request = answer_pb2.AnswerRequest(
            parent=self.name,
            question=question,
            passages=passages,
            filter=filter,
            rerank=rerank,
            mode=enum_value(answer_pb2.AnswerMode, "ANSWER_MODE_", mode),
            extractive=answer_pb2.ExtractiveOptions(sentences=sentences),
            generation=answer_pb2.GenerationOptions(
                max_tokens=max_tokens,
                temperature=temperature,
                seed=seed,
                token_budget=token_budget,
                reuse=enum_value(answer_pb2.ReuseQuality, "REUSE_QUALITY_", reuse),
            ),
        )
        responses = self._caller.stream(self._client._answer.Answer, request, timeout=timeout)
        for response in responses:
            event = read_answer_event(response)
            if event is not None:
                yield event

    def get_document(self, document_id: str, *, with_text: bool = True) -> StoredDocument:
        """A document by the id it was ingested with. NotFoundError."""
        view = documents_pb2.DOCUMENT_VIEW_FULL if with_text else documents_pb2.DOCUMENT_VIEW_BASIC
        request = documents_pb2.GetDocumentRequest(
            name=document_name(self.id, document_id), view=view
        )
        method = self._client._documents.GetDocument
        return read_document(self._caller.unary(method, request))

    def documents(self, *, filter: str = "", page_size: int = 0) -> Iterator[StoredDocument]:
        """All documents in byte order of ids, without texts; pages are fetched as they are read."""
        request = documents_pb2.ListDocumentsRequest(
            parent=self.name, filter=filter, page_size=page_size
        )
        method = self._client._documents.ListDocuments
        for page in self._client._pages(method, request):
            yield from (read_document(m) for m in page.documents)

    def delete_document(self, document_id: str, *, allow_missing: bool = False) -> None:
        """Durable, and no longer found, when it returns. NotFoundError, unless `allow_missing`."""
        request = documents_pb2.DeleteDocumentRequest(
            name=document_name(self.id, document_id),
            allow_missing=allow_missing,
            request_id=new_request_id(),
        )
        self._caller.unary(self._client._documents.DeleteDocument, request)

    def delete_documents(self, ids: Iterable[str]) -> Deleted:
        """Deletes documents by id, 1,000 in one step: all of those or none after a crash."""
        count = 0
        missing: list[str] = []
        every = list(ids)
        for start in range(0, len(every), _MOST_DELETED):
            request = documents_pb2.BatchDeleteDocumentsRequest(
                parent=self.name,
                ids=every[start : start + _MOST_DELETED],
                request_id=new_request_id(),
            )
            method = self._client._documents.BatchDeleteDocuments
            response = self._caller.unary(method, request)
            count += response.deleted
            missing.extend(response.missing)
        return Deleted(count, missing)
