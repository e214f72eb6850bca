"""Client of cairn's gRPC service.

    from cairn_client import Client

    with Client("127.0.0.1:7700") as client:
        docs = client.collection("docs")
        docs.ingest({"id": name, "text": text} for name, text in texts)
        for hit in docs.search("how do I hold a package back?"):
            print(hit.score, hit.document_id, hit.text)

The messages themselves are in cairn_client.v1, which is generated from proto/cairn/v1.
"""

from cairn_client.client import Client
from cairn_client.collection import Collection
from cairn_client.errors import (
    AbortedError,
    AlreadyExistsError,
    CairnError,
    CancelledError,
    DataLossError,
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)
from cairn_client.ingestion import IngestAck, IngestResult, Ingestion
from cairn_client.operations import Operation, Progress
from cairn_client.results import (
    Answer,
    AnswerPassages,
    AnswerSentence,
    AnswerSummary,
    AnswerText,
    Chunk,
    Citation,
    CollectionInfo,
    Deleted,
    Document,
    Hit,
    ModelInfo,
    SearchResult,
    StoredDocument,
    StoreStats,
    VerifyResult,
)
from cairn_client.spans import Span, text_of_span

__version__ = "0.1.0"

__all__ = [
    "AbortedError",
    "AlreadyExistsError",
    "Answer",
    "AnswerPassages",
    "AnswerSentence",
    "AnswerSummary",
    "AnswerText",
    "CairnError",
    "CancelledError",
    "Chunk",
    "Citation",
    "Client",
    "Collection",
    "CollectionInfo",
    "DataLossError",
    "DeadlineExceededError",
    "Deleted",
    "Document",
    "FailedPreconditionError",
    "Hit",
    "IngestAck",
    "IngestResult",
    "Ingestion",
    "InternalError",
    "InvalidArgumentError",
    "ModelInfo",
    "NotFoundError",
    "Operation",
    "PermissionDeniedError",
    "Progress",
    "ResourceExhaustedError",
    "SearchResult",
    "Span",
    "StoreStats",
    "StoredDocument",
    "UnauthenticatedError",
    "UnavailableError",
    "VerifyResult",
    "text_of_span",
]
