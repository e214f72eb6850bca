"""Work that is long: it goes on whether or not somebody waits for it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable, Optional

from google.longrunning import operations_pb2

from cairn_client.calls import Caller
from cairn_client.errors import error_from_status
from cairn_client.results import VerifyResult
from cairn_client.v1 import admin_pb2
from cairn_client.values import enum_name

# How long one call waits: below the server's own limit for calls.
_WAIT_SECONDS = 30.0
# What a call may take beyond that.
_MARGIN_SECONDS = 10.0


@dataclass(frozen=True)
class Progress:
    """What it is at, and how far: done of total, in a unit of the stage's own."""

    stage: str
    done: int
    total: int  # 0: not known.


class OperationMethods:
    """google.longrunning.Operations on one channel."""

    def __init__(self, caller: Caller) -> None:
        def method(name: str, request: Any, response: Callable[[bytes], Any]) -> Any:
            return caller.channel.unary_unary(
                "/google.longrunning.Operations/" + name,
                request_serializer=request.SerializeToString,
                response_deserializer=response,
            )

        operation = operations_pb2.Operation.FromString
        pages = operations_pb2.ListOperationsResponse.FromString
        self.caller = caller
        self.get = method("GetOperation", operations_pb2.GetOperationRequest, operation)
        self.wait = method("WaitOperation", operations_pb2.WaitOperationRequest, operation)
        self.list = method("ListOperations", operations_pb2.ListOperationsRequest, pages)
        # google.protobuf.Empty: nothing to read.
        self.cancel = method("CancelOperation", operations_pb2.CancelOperationRequest, bytes)
        self.delete = method("DeleteOperation", operations_pb2.DeleteOperationRequest, bytes)


def _read_response(operation: operations_pb2.Operation) -> Any:
    """A VerifyResult, a snapshot's id, a BuildKvResponse, or None for what has no result."""
    verified = admin_pb2.VerifyStoreResponse()
    snapshot = admin_pb2.SnapshotStoreResponse()
    built = admin_pb2.BuildKvResponse()
    if operation.response.Unpack(verified):
        v = verified
        return VerifyResult(v.collections, v.documents, v.chunks, v.vectors, v.terms, v.segments,
                            list(v.problems), v.problem_count)
    if operation.response.Unpack(snapshot):
        return snapshot.snapshot_id
    if operation.response.Unpack(built):
        return built
    return None


class Operation:
    """An operation of the server, as it was when last asked after. Lives as long as the server."""

    def __init__(self, methods: OperationMethods, message: operations_pb2.Operation) -> None:
        self._methods = methods
        self._set(message)

    def _set(self, message: operations_pb2.Operation) -> None:
        self._message = message
        self._metadata = admin_pb2.OperationMetadata()
        message.metadata.Unpack(self._metadata)

    def __repr__(self) -> str:
        return f"<Operation {self.name} {self.method} {self.state}>"

    @property
    def name(self) -> str:
        """operations/{id}"""
        return self._message.name

    @property
    def method(self) -> str:
        """E.g. "cairn.v1.Admin/CompactStore"."""
        return self._metadata.method

    @property
    def target(self) -> str:
        """The collection it works on, collections/{id}; empty: the store."""
        return self._metadata.target

    @property
    def state(self) -> str:
        """ "waiting", "running", "cancelling" or "done" """
        return enum_name(admin_pb2.OperationMetadata.State, "STATE_", self._metadata.state)

    @property
    def progress(self) -> Progress:
        m = self._metadata
        return Progress(m.stage, m.progress_done, m.progress_total)

    @property
    def done(self) -> bool:
        return self._message.done

    def refresh(self) -> Operation:
        """Asks how it is now."""
        request = operations_pb2.GetOperationRequest(name=self.name)
        self._set(self._methods.caller.unary(self._methods.get, request))
        return self

    def result(self) -> Any:
        """A VerifyResult of verify, the id of a snapshot, None of all else. The operation's own
        error where it failed; RuntimeError before it is done."""
        if not self.done:
            raise RuntimeError(f"{self.name} is not done")
        if self._message.HasField("error"):
            raise error_from_status(self._message.error)
        return _read_response(self._message)

    def wait(
        self,
        timeout: Optional[float] = None,
        on_progress: Optional[Callable[[Progress], None]] = None,
    ) -> Any:
        """Waits until it is done and returns `result()`; TimeoutError after `timeout` seconds. With
        `on_progress`, tells it about twice a second how far it is."""
        end = None if timeout is None else time.monotonic() + timeout
        most = _WAIT_SECONDS if on_progress is None else 0.5
        while not self.done:
            seconds = most if end is None else min(most, end - time.monotonic())
            if seconds <= 0:
                raise TimeoutError(f"{self.name} is not done after {timeout} s")
            request = operations_pb2.WaitOperationRequest(name=self.name)
            request.timeout.FromMicroseconds(int(seconds * 1e6))
            self._set(self._methods.caller.unary(self._methods.wait, request,
                                                 timeout=seconds + _MARGIN_SECONDS))
            if on_progress is not None:
                on_progress(self.progress)
        return self.result()

    def cancel(self) -> None:
        """Asks it to end. It may still succeed; `wait` tells."""
        request = operations_pb2.CancelOperationRequest(name=self.name)
        self._methods.caller.unary(self._methods.cancel, request)

    def delete(self) -> None:
        """Forgets it; FailedPreconditionError unless it is done."""
        request = operations_pb2.DeleteOperationRequest(name=self.name)
        self._methods.caller.unary(self._methods.delete, request)
