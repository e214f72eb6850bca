"""A server, and what it does beside its collections."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Iterable, Iterator, Optional, Union

import grpc
from google.longrunning import operations_pb2

from cairn_client.calls import Caller, Retries, is_local, read_secret
from cairn_client.collection import Collection, new_request_id
from cairn_client.errors import UnavailableError, error_from_rpc
from cairn_client.operations import Operation, OperationMethods
from cairn_client.results import CollectionInfo, ModelInfo, StoreStats, read_collection
from cairn_client.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    answer_pb2_grpc,
    collections_pb2,
    collections_pb2_grpc,
    documents_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    search_pb2_grpc,
)
from cairn_client.values import collection_name, enum_value

_MOST_TEXTS = 256  # Of one call: well below the server's 1,000, and its limit on bytes.
_SERVING = b"\x08\x01"  # grpc.health.v1.HealthCheckResponse with SERVING.

PathLike = Union[str, Path]


def _credentials(
    tls: bool, ca: Optional[PathLike], cert: Optional[PathLike], key: Optional[PathLike]
) -> Optional[grpc.ChannelCredentials]:
    if not tls:
        if ca is not None or cert is not None or key is not None:
            raise ValueError("ca, cert and key are for tls=True")
        return None
    if (cert is None) != (key is None):
        raise ValueError("cert and key go together")
    roots, chain, private = (None if p is None else Path(p).read_bytes() for p in (ca, cert, key))
    return grpc.ssl_channel_credentials(roots, private, chain)


class Client:
    """A connection to a server, "HOST:PORT" or "unix:PATH". Thread-safe; a context manager.

    `token`, or `token_file` that holds one, is what `cairn token create` printed. `tls` takes the
    machine's certificates, or those of the PEM file `ca`; `cert` and `key` are for servers that ask
    for a certificate. `timeout` is for each call, in seconds, retries included; None: none.

    Calls that fail raise subclasses of CairnError. Those that may happen twice are repeated, with
    growing delays and at most `attempts` times in all, where the server is unavailable or says when
    to try again: reading, and changes, which carry a request id for that. Streams are not.
    """

    def __init__(
        self,
        address: str = "127.0.0.1:7700",
        *,
        token: Optional[str] = None,
        token_file: Optional[PathLike] = None,
        tls: bool = False,
        ca: Optional[PathLike] = None,
        cert: Optional[PathLike] = None,
        key: Optional[PathLike] = None,
        timeout: Optional[float] = 30.0,
        attempts: int = 5,
        max_message_bytes: int = 64 << 20,
    ) -> None:
        secret = read_secret(token, token_file)
        credentials = _credentials(tls, ca, cert, key)
        if secret is not None and credentials is None and not is_local(address):
            raise ValueError(f"a token would go to {address} unencrypted: use tls=True")
        options = [("grpc.max_receive_message_length", max_message_bytes)]
        if credentials is None:
            channel = grpc.insecure_channel(address, options)
        else:
            channel = grpc.secure_channel(address, credentials, options)
        self.address = address
        self._channel = channel
        self._caller = Caller(channel, secret, timeout, Retries(attempts))
        self._operations = OperationMethods(self._caller)
        self._collections = collections_pb2_grpc.CollectionsStub(channel)
        self._documents = documents_pb2_grpc.DocumentsStub(channel)
        self._search = search_pb2_grpc.SearchStub(channel)
        self._answer = answer_pb2_grpc.AnswerStub(channel)
        self._models = models_pb2_grpc.ModelsStub(channel)
        self._admin = admin_pb2_grpc.AdminStub(channel)

    def __repr__(self) -> str:
        return f"<Client {self.address}>"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection and all calls on it."""
        self._channel.close()

    def is_serving(self, timeout: float = 5.0) -> bool:
        """Whether the server says that it serves (grpc.health.v1); False where there is none."""
        check = self._channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            return check(b"", timeout=timeout).startswith(_SERVING)
        except grpc.RpcError as error:
            failure = error_from_rpc(error)
            if isinstance(failure, UnavailableError):
                return False
            raise failure from None

    def wait_until_serving(self, timeout: float = 60.0) -> None:
        """Waits for a server that is starting; TimeoutError."""
        end = time.monotonic() + timeout
        while not self.is_serving():
            if time.monotonic() >= end:
                raise TimeoutError(f"{self.address} does not serve after {timeout} s")
            time.sleep(0.05)

    def collection(self, collection_id: str) -> Collection:
        """A collection by its id; asks the server nothing."""
        return Collection(self, collection_id)

    def collections(self, *, page_size: int = 0) -> Iterator[CollectionInfo]:
        """Those that the token may read, in ascending order, without statistics."""
        request = collections_pb2.ListCollectionsRequest(page_size=page_size)
        for page in self._pages(self._collections.ListCollections, request):
            yield from (read_collection(m) for m in page.collections)

    def models(self) -> ModelInfo:
        m = self._caller.unary(self._models.GetModels, models_pb2.GetModelsRequest())
        return ModelInfo(m.embedder_fingerprint, m.dimensions, m.has_reranker, m.has_generator)

    def embed(self, texts: Iterable[str], *, use: str = "passage") -> list[list[float]]:
        """Vectors of unit length, one for each text; empty for a text in which the model knows
        nothing. `use`: "passage" or "query", which many models embed otherwise."""
        vectors: list[list[float]] = []
        for batch in _batches(texts):
            request = models_pb2.EmbedRequest(
                texts=batch, use=enum_value(models_pb2.TextUse, "TEXT_USE_", use)
            )
            response = self._caller.unary(self._models.Embed, request)
            vectors.extend(list(e.values) for e in response.embeddings)
        return vectors

    def rerank(self, query: str, passages: Iterable[str]) -> list[float]:
        """How well each passage answers the query; higher is better. FailedPreconditionError
        without a reranker."""
        scores: list[float] = []
        for batch in _batches(passages):
            request = models_pb2.RerankRequest(query=query, passages=batch)
            scores.extend(self._caller.unary(self._models.Rerank, request).scores)
        return scores

    def stats(self) -> StoreStats:
        """Of the store, and of the collections that the token may read."""
        m = self._caller.unary(self._admin.GetStats, admin_pb2.GetStatsRequest())
        return StoreStats([read_collection(c) for c in m.collections], m.version, m.uuid,
                          m.disk_bytes)

    def verify(self, collection: Optional[str] = None, *, deep: bool = False) -> Operation:
        """Checks a collection, or all; `deep` reads segments through. Its result: VerifyResult."""
        request = admin_pb2.VerifyStoreRequest(
            collection=_target(collection), deep=deep, request_id=new_request_id()
        )
        return self._operation(self._admin.VerifyStore, request)

    def compact(self, collection: Optional[str] = None) -> Operation:
        """Makes one segment of a collection, or of each, for the fastest searches."""
        request = admin_pb2.CompactStoreRequest(
            collection=_target(collection), request_id=new_request_id()
        )
        return self._operation(self._admin.CompactStore, request)

    def snapshot(self, snapshot_id: str) -> Operation:
        """Copies the store into a new directory of the server's directory of snapshots."""
        request = admin_pb2.SnapshotStoreRequest(
            snapshot_id=snapshot_id, request_id=new_request_id()
        )
        return self._operation(self._admin.SnapshotStore, request)

    def build_kv(self, collection: str) -> Operation:
        """Computes the keys and values of a collection's chunks, for answers that reuse them.
        FailedPreconditionError where the server keeps none."""
        request = admin_pb2.BuildKvRequest(
            collection=_target(collection), request_id=new_request_id()
        )
        return self._operation(self._admin.BuildKv, request)

    def operation(self, name: str) -> Operation:
        """An operation by its name, operations/{id}. NotFoundError."""
        return Operation(self._operations, operations_pb2.Operation(name=name)).refresh()

    def operations(self) -> Iterator[Operation]:
        """The tenant's operations, the first started first."""
        request = operations_pb2.ListOperationsRequest(name="operations")
        for page in self._pages(self._operations.list, request):
            yield from (Operation(self._operations, m) for m in page.operations)

    def _operation(self, method: Any, request: Any) -> Operation:
        return Operation(self._operations, self._caller.unary(method, request))

    def _pages(self, method: Any, request: Any) -> Iterator[Any]:
        while True:
            page = self._caller.unary(method, request)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token


def _target(collection: Optional[str]) -> str:
    return "" if collection is None else collection_name(collection)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    if isinstance(texts, str):
        raise TypeError("give a list of texts, not one")
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == _MOST_TEXTS:
            yield batch
            batch = []
    if batch:
        yield batch
