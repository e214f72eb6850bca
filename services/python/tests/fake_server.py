"""A server of the API in this process, which answers from memory and can be told to fail."""

from __future__ import annotations

import collections
import threading
from concurrent import futures
from typing import Optional

import grpc
from cairn_client.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    answer_pb2,
    answer_pb2_grpc,
    collections_pb2,
    collections_pb2_grpc,
    documents_pb2,
    documents_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    search_pb2,
    search_pb2_grpc,
)
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2
from google.rpc import error_details_pb2, status_pb2


def rpc_status(code: grpc.StatusCode, message: str, *details) -> status_pb2.Status:
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in details:
        status.details.add().Pack(detail)
    return status


def reason(text: str) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=text, domain="cairn")


def retry_after(seconds: float) -> error_details_pb2.RetryInfo:
    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromMicroseconds(int(seconds * 1e6))
    return info


_CODES = {code.value[0]: code for code in grpc.StatusCode}


def abort(context: grpc.ServicerContext, status: status_pb2.Status) -> None:
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(_CODES[status.code], status.message)


class FakeServer:
    """`failures[method]` are raised by the method's next calls, one each."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.failures: dict[str, list[status_pb2.Status]] = collections.defaultdict(list)
        self.requests: dict[str, list] = collections.defaultdict(list)
        self.metadata: dict[str, str] = {}
        self.documents: dict[str, documents_pb2.InputDocument] = {}
        self.operation: Optional[operations_pb2.Operation] = None
        self.waits_until_done = 2
        self.go_on = threading.Event()  # Ingest waits for it after its first document.
        self.go_on.set()
        self._server = grpc.server(futures.ThreadPoolExecutor(16))
        collections_pb2_grpc.add_CollectionsServicer_to_server(_Collections(self), self._server)
        documents_pb2_grpc.add_DocumentsServicer_to_server(_Documents(self), self._server)
        search_pb2_grpc.add_SearchServicer_to_server(_Search(self), self._server)
        answer_pb2_grpc.add_AnswerServicer_to_server(_Answer(self), self._server)
        models_pb2_grpc.add_ModelsServicer_to_server(_Models(self), self._server)
        admin_pb2_grpc.add_AdminServicer_to_server(_Admin(self), self._server)
        self._server.add_generic_rpc_handlers((_operations(self),))
        self._server.add_insecure_port(address)

    def __enter__(self) -> FakeServer:
        self._server.start()
        return self

    def __exit__(self, *_) -> None:
        self._server.stop(None).wait()

    def take(self, method: str, request, context: grpc.ServicerContext) -> None:
        """Notes the request; fails where that is wished."""
        copy = None
        if request is not None:
            copy = type(request)()
            copy.CopyFrom(request)
        self.requests[method].append(copy)
        self.metadata = dict(context.invocation_metadata())
        context.send_initial_metadata((("x-request-id", "the-id"),))
        if self.failures[method]:
            abort(context, self.failures[method].pop(0))

    def begin_operation(self, method: str, response=None, error=None) -> operations_pb2.Operation:
        self.operation = operations_pb2.Operation(name="operations/1")
        self._then = (response, error)
        self._set_metadata(admin_pb2.OperationMetadata(
            method=method, state=admin_pb2.OperationMetadata.STATE_RUNNING, stage="merge",
            progress_done=1, progress_total=4))
        return self.operation

    def end_operation(self) -> None:
        response, error = self._then
        self.operation.done = True
        self._set_metadata(admin_pb2.OperationMetadata(
            state=admin_pb2.OperationMetadata.STATE_DONE))
        if error is not None:
            self.operation.error.CopyFrom(error)
        else:
            self.operation.response.Pack(response or empty_pb2.Empty())

    def cancel_operation(self) -> None:
        self._then = (None, rpc_status(grpc.StatusCode.CANCELLED, "was cancelled"))

    def _set_metadata(self, metadata: admin_pb2.OperationMetadata) -> None:
        self.operation.metadata.Pack(metadata)


class _Collections(collections_pb2_grpc.CollectionsServicer):
    def __init__(self, fake: FakeServer) -> None:
        self.fake = fake

    def CreateCollection(self, request, context):
        self.fake.take("CreateCollection", request, context)
        made = collections_pb2.Collection()
        made.CopyFrom(request.collection)
        made.name = "collections/" + request.collection_id
        made.create_time.FromSeconds(1_700_000_000)
        return made

    def GetCollection(self, request, context):
        self.fake.take("GetCollection", request, context)
        statistics = collections_pb2.CollectionStatistics(documents=len(self.fake.documents))
        return collections_pb2.Collection(name=request.name, statistics=statistics)

    def ListCollections(self, request, context):
        self.fake.take("ListCollections", request, context)
        names = ["a", "b", "c"]
        start = int(request.page_token or 0)
        response = collections_pb2.ListCollectionsResponse()
        response.collections.add(name="collections/" + names[start])
        if start + 1 < len(names):
            response.next_page_token = str(start + 1)
        return response

    def UpdateCollection(self, request, context):
        self.fake.take("UpdateCollection", request, context)
        return request.collection

    def DeleteCollection(self, request, context):
        self.fake.take("DeleteCollection", request, context)
        return self.fake.begin_operation("cairn.v1.Collections/DeleteCollection")


class _Documents(documents_pb2_grpc.DocumentsServicer):
    def __init__(self, fake: FakeServer) -> None:
        self.fake = fake

    def Ingest(self, requests, context):
        config = next(requests).config
        self.fake.take("Ingest", config, context)
        summary = documents_pb2.IngestSummary()
        for sequence, request in enumerate(requests, 1):
            document = request.document
            ack = documents_pb2.IngestAck(sequence=sequence, document_id=document.id)
            if document.id == "bad":
                error = rpc_status(grpc.StatusCode.INVALID_ARGUMENT, "is bad", reason("BAD"))
                if config.strict:
                    abort(context, error)
                ack.outcome = documents_pb2.IngestAck.OUTCOME_REFUSED
                ack.error.CopyFrom(error)
                summary.refused += 1
            else:
                ack.outcome = documents_pb2.IngestAck.OUTCOME_CREATED
                ack.chunk_ids.append(sequence)
                self.fake.documents[document.id] = document
                summary.created += 1
            yield documents_pb2.IngestResponse(ack=ack)
            self.fake.go_on.wait(20)
        yield documents_pb2.IngestResponse(summary=summary)

    def GetDocument(self, request, context):
        self.fake.take("GetDocument", request, context)
        text = "Grüße aus Köln"
        return documents_pb2.Document(
            name=request.name, id="x", text=text, chunk_count=1,
            metadata={"year": documents_pb2.MetadataValue(int_value=2020),
                      "tags": documents_pb2.MetadataValue(
                          string_list=documents_pb2.StringList(values=["a", "b"]))},
            chunks=[documents_pb2.DocumentChunk(
                chunk_id=7, span=documents_pb2.Span(begin=0, end=len(text.encode())))])

    def ListDocuments(self, request, context):
        self.fake.take("ListDocuments", request, context)
        start = int(request.page_token or 0)
        response = documents_pb2.ListDocumentsResponse()
        if start != 1:  # A page may be empty and not be the last.
            response.documents.add(id=f"d{start}")
        if start < 2:
            response.next_page_token = str(start + 1)
        return response

    def DeleteDocument(self, request, context):
        self.fake.take("DeleteDocument", request, context)
        return empty_pb2.Empty()

    def BatchDeleteDocuments(self, request, context):
        self.fake.take("BatchDeleteDocuments", request, context)
        missing = [i for i in request.ids if i.startswith("no")]
        return documents_pb2.BatchDeleteDocumentsResponse(
            deleted=len(request.ids) - len(missing), missing=missing)


def _passage(query: str) -> search_pb2.Passage:
    return search_pb2.Passage(document_id="d", chunk_id=3, score=0.5, text="about " + query,
                              headings=["H"], span=documents_pb2.Span(begin=2, end=9))


class _Search(search_pb2_grpc.SearchServicer):
    def __init__(self, fake: FakeServer) -> None:
        self.fake = fake

    def Search(self, request, context):
        self.fake.take("Search", request, context)
        return search_pb2.SearchResponse(passages=[_passage(request.query)])

    def SearchStream(self, requests, context):
        self.fake.take("SearchStream", None, context)
        for request in requests:
            response = search_pb2.SearchStreamResponse(topic_id=request.topic_id)
            if request.search.query == "bad":
                response.error.CopyFrom(rpc_status(grpc.StatusCode.INVALID_ARGUMENT, "is bad"))
            else:
                response.response.passages.append(_passage(request.search.query))
            yield response


class _Answer(answer_pb2_grpc.AnswerServicer):
    def __init__(self, fake: FakeServer) -> None:
        self.fake = fake

    def Answer(self, request, context):
        self.fake.take("Answer", request, context)
        yield answer_pb2.AnswerResponse(
            passages=answer_pb2.AnswerPassages(passages=[_passage(request.question)]))
        yield answer_pb2.AnswerResponse(text="It ")
        yield answer_pb2.AnswerResponse(text="is so.")
        citation = answer_pb2.Citation(document_id="d", chunk_id=3, passage=0, support=0.75)
        yield answer_pb2.AnswerResponse(sentence=answer_pb2.AnswerSentence(
            text="It is so.", citations=[citation], supported=True))
        if self.fake.failures["Answer middle"]:
            abort(context, self.fake.failures["Answer middle"].pop(0))
        yield answer_pb2.AnswerResponse(summary=answer_pb2.AnswerSummary(
            mode=answer_pb2.ANSWER_MODE_EXTRACTIVE,
            finish=answer_pb2.AnswerSummary.FINISH_COMPLETE))


class _Models(models_pb2_grpc.ModelsServicer):
    def __init__(self, fake: FakeServer) -> None:
        self.fake = fake

    def GetModels(self, request, context):
        self.fake.take("GetModels", request, context)
        return models_pb2.GetModelsResponse(embedder_fingerprint="f", dimensions=2)

    def Embed(self, request, context):
        self.fake.take("Embed", request, context)
        return models_pb2.EmbedResponse(
            embeddings=[models_pb2.Embedding(values=[float(t), 1.0]) for t in request.texts])

    def Rerank(self, request, context):
        self.fake.take("Rerank", request, context)
        return models_pb2.RerankResponse(scores=[float(len(p)) for p in request.passages])


class _Admin(admin_pb2_grpc.AdminServicer):
    def __init__(self, fake: FakeServer) -> None:
        self.fake = fake

    def GetStats(self, request, context):
        self.fake.take("GetStats", request, context)
        stats = admin_pb2.StoreStats(version="1.2.3", uuid="u", disk_bytes=5)
        stats.collections.add(name="collections/a").statistics.documents = 9
        return stats

    def CompactStore(self, request, context):
        self.fake.take("CompactStore", request, context)
        return self.fake.begin_operation("cairn.v1.Admin/CompactStore",
                                         admin_pb2.CompactStoreResponse())

    def VerifyStore(self, request, context):
        self.fake.take("VerifyStore", request, context)
        return self.fake.begin_operation(
            "cairn.v1.Admin/VerifyStore",
            admin_pb2.VerifyStoreResponse(chunks=4, problems=["p"], problem_count=1))

    def BuildKv(self, request, context):
        self.fake.take("BuildKv", request, context)
        return self.fake.begin_operation(
            "cairn.v1.Admin/BuildKv", admin_pb2.BuildKvResponse(chunks=7))

    def SnapshotStore(self, request, context):
        self.fake.take("SnapshotStore", request, context)
        return self.fake.begin_operation(
            "cairn.v1.Admin/SnapshotStore",
            admin_pb2.SnapshotStoreResponse(snapshot_id=request.snapshot_id))


def _operations(fake: FakeServer) -> grpc.GenericRpcHandler:
    def get(request, context):
        fake.take("GetOperation", request, context)
        if fake.operation is None or fake.operation.name != request.name:
            abort(context, rpc_status(grpc.StatusCode.NOT_FOUND, "does not exist",
                                      reason("OPERATION_NOT_FOUND")))
        return fake.operation

    def wait(request, context):
        fake.take("WaitOperation", request, context)
        fake.waits_until_done -= 1
        if fake.waits_until_done <= 0:
            fake.end_operation()
        return fake.operation

    def cancel(request, context):
        fake.take("CancelOperation", request, context)
        fake.cancel_operation()
        return empty_pb2.Empty()

    def listed(request, context):
        fake.take("ListOperations", request, context)
        return operations_pb2.ListOperationsResponse(
            operations=[] if fake.operation is None else [fake.operation])

    def handler(function, request):
        return grpc.unary_unary_rpc_method_handler(
            function, request_deserializer=request.FromString,
            response_serializer=lambda m: m.SerializeToString())

    return grpc.method_handlers_generic_handler("google.longrunning.Operations", {
        "GetOperation": handler(get, operations_pb2.GetOperationRequest),
        "WaitOperation": handler(wait, operations_pb2.WaitOperationRequest),
        "CancelOperation": handler(cancel, operations_pb2.CancelOperationRequest),
        "ListOperations": handler(listed, operations_pb2.ListOperationsRequest),
    })
