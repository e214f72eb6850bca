"""Ingesting documents, each acknowledged once it is on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional, Union

from cairn_client.calls import Caller
from cairn_client.errors import CairnError, error_from_status
from cairn_client.exchange import exchange
from cairn_client.results import Document, document_message
from cairn_client.v1 import documents_pb2
from cairn_client.values import Metadata, enum_name, write_metadata

# Refusals that a result keeps.
_MOST_REFUSALS = 1000

Documents = Iterable[Union[Document, Mapping[str, Any]]]


@dataclass(frozen=True)
class IngestAck:
    """All documents up to this one are on disk, or refused."""

    sequence: int  # Of the document in the stream, from 1.
    document_id: str
    outcome: str  # "created", "replaced", "unchanged" or "refused"
    chunk_ids: list[int]
    error: Optional[CairnError]  # Why it was refused.


@dataclass(frozen=True)
class IngestResult:
    created: int
    replaced: int
    unchanged: int
    refused: int
    chunks: int
    bytes: int  # Of text.
    warnings: int  # E.g. documents that another of the same id in the stream replaced.
    refusals: list[IngestAck] = field(default_factory=list)  # The first 1,000.


def _read_ack(m: documents_pb2.IngestAck) -> IngestAck:
    return IngestAck(
        sequence=m.sequence,
        document_id=m.document_id,
        outcome=enum_name(documents_pb2.IngestAck.Outcome, "OUTCOME_", m.outcome),
        chunk_ids=list(m.chunk_ids),
        error=error_from_status(m.error) if m.HasField("error") else None,
    )


class Ingestion:
    """One ingestion: iterate for the acknowledgements, in the order of the documents, which are
    read meanwhile; then `result` is there. To be iterated once."""

    def __init__(
        self,
        caller: Caller,
        method: Any,
        config: documents_pb2.IngestConfig,
        documents: Documents,
        timeout: Optional[float],
    ) -> None:
        self._responses = exchange(caller, method, self._requests(config, documents), timeout)
        self._result: Optional[IngestResult] = None
        self._refusals: list[IngestAck] = []

    @property
    def result(self) -> IngestResult:
        """RuntimeError before the acknowledgements have all been read."""
        if self._result is None:
            raise RuntimeError("the ingestion has not ended")
        return self._result

    def __iter__(self) -> Iterator[IngestAck]:
        for response in self._responses:
            kind = response.WhichOneof("response")
            if kind == "ack":
                ack = _read_ack(response.ack)
                if ack.outcome == "refused" and len(self._refusals) < _MOST_REFUSALS:
                    self._refusals.append(ack)
                yield ack
            elif kind == "summary":
                s = response.summary
                self._result = IngestResult(s.created, s.replaced, s.unchanged, s.refused, s.chunks,
                                            s.bytes, s.warnings, self._refusals)

    def close(self) -> None:
        """Breaks it off. What was acknowledged stays."""
        self._responses.close()  # type: ignore[attr-defined]

    @staticmethod
    def _requests(
        config: documents_pb2.IngestConfig, documents: Documents
    ) -> Iterator[documents_pb2.IngestRequest]:
        yield documents_pb2.IngestRequest(config=config)
        for document in documents:
            yield documents_pb2.IngestRequest(document=document_message(document))


def make_config(parent: str, metadata: Optional[Metadata], strict: bool) -> documents_pb2.IngestConfig:
    config = documents_pb2.IngestConfig(parent=parent, strict=strict)
    write_metadata(metadata, config.metadata)
    return config


def run(ingestion: Ingestion, on_ack: Optional[Callable[[IngestAck], None]]) -> IngestResult:
    """Reads it to its end."""
    try:
        for ack in ingestion:
            if on_ack is not None:
                on_ack(ack)
    finally:
        ingestion.close()
    return ingestion.result
