"""What the server refuses, as exceptions."""

from __future__ import annotations

from typing import Any, Iterable, Mapping, Optional

import grpc
from google.rpc import error_details_pb2, status_pb2

_DETAILS = "grpc-status-details-bin"
_REQUEST_ID = "x-request-id"


class CairnError(Exception):
    """A call that failed. Subclasses tell the codes that programs tell apart."""

    code: str = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        code: Optional[str] = None,
        reason: str = "",
        fields: Optional[Mapping[str, str]] = None,
        retry_after: Optional[float] = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code  # gRPC's name, e.g. "NOT_FOUND".
        self.reason = reason  # google.rpc.ErrorInfo.reason, e.g. "COLLECTION_NOT_FOUND".
        self.fields = dict(fields or {})  # What is wrong with which field of the request.
        self.retry_after = retry_after  # Seconds; None: the server names no time.
        self.request_id = request_id  # Of the call, in the server's log.

    def __str__(self) -> str:
        text = f"{self.code}: {self.message}"
        if self.reason and self.reason != self.code:
            text += f" ({self.reason})"
        return text


class CancelledError(CairnError):
    code = "CANCELLED"


class InvalidArgumentError(CairnError):
    """The request is wrong; `fields` may say where."""

    code = "INVALID_ARGUMENT"


class DeadlineExceededError(CairnError):
    """The client's timeout, or the server's own limit, came first."""

    code = "DEADLINE_EXCEEDED"


class NotFoundError(CairnError):
    code = "NOT_FOUND"


class AlreadyExistsError(CairnError):
    code = "ALREADY_EXISTS"


class PermissionDeniedError(CairnError):
    """The token does not have the permission."""

    code = "PERMISSION_DENIED"


class UnauthenticatedError(CairnError):
    """No token, or none that the server knows."""

    code = "UNAUTHENTICATED"


class ResourceExhaustedError(CairnError):
    """Over one of the server's limits; `retry_after` says when to try again, if that helps."""

    code = "RESOURCE_EXHAUSTED"


class FailedPreconditionError(CairnError):
    """The request is right, but not for the state things are in."""

    code = "FAILED_PRECONDITION"


class AbortedError(CairnError):
    """Another request with the same id is at work."""

    code = "ABORTED"


class InternalError(CairnError):
    code = "INTERNAL"


class UnavailableError(CairnError):
    """No server there, or one that is starting or stopping."""

    code = "UNAVAILABLE"


class DataLossError(CairnError):
    """The store is damaged."""

    code = "DATA_LOSS"


_CLASSES = {
    c.code: c
    for c in (
        CancelledError,
        InvalidArgumentError,
        DeadlineExceededError,
        NotFoundError,
        AlreadyExistsError,
        PermissionDeniedError,
        UnauthenticatedError,
        ResourceExhaustedError,
        FailedPreconditionError,
        AbortedError,
        InternalError,
        UnavailableError,
        DataLossError,
    )
}
_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


def _unpacked(status: status_pb2.Status) -> dict[str, Any]:
    """The details that we know, as arguments of CairnError. Those that do not parse are left out:
    a proxy may have put anything there."""
    out: dict[str, Any] = {}
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        try:
            if detail.Unpack(info):
                out["reason"] = info.reason
            elif detail.Unpack(bad):
                out["fields"] = {v.field: v.description for v in bad.field_violations}
            elif detail.Unpack(retry):
                delay = retry.retry_delay
                out["retry_after"] = delay.seconds + delay.nanos / 1e9
        except Exception:  # DecodeError, whose place differs between versions of protobuf.
            continue
    return out


def _error(code: str, message: str, **details: Any) -> CairnError:
    return _CLASSES.get(code, CairnError)(message, code=code, **details)


def error_from_status(status: status_pb2.Status, request_id: str = "") -> CairnError:
    """The exception for a google.rpc.Status, such as one document's or one operation's."""
    code = _NAMES.get(status.code, "UNKNOWN")
    return _error(code, status.message, request_id=request_id, **_unpacked(status))


def _metadata_of(error: grpc.RpcError) -> Iterable[tuple[str, Any]]:
    for part in ("initial_metadata", "trailing_metadata"):
        method = getattr(error, part, None)
        for pair in (method() if method is not None else None) or ():
            yield pair[0], pair[1]


def error_from_rpc(error: grpc.RpcError) -> CairnError:
    """The exception for a call's failure."""
    code = error.code() if hasattr(error, "code") else None
    name = code.name if code is not None else "UNKNOWN"
    message = (error.details() if hasattr(error, "details") else None) or ""
    details: dict[str, Any] = {}
    request_id = ""
    for key, value in _metadata_of(error):
        if key == _REQUEST_ID:
            request_id = value.decode() if isinstance(value, bytes) else value
        elif key == _DETAILS:
            status = status_pb2.Status()
            try:
                status.ParseFromString(value)
            except Exception:  # As above.
                continue
            details = _unpacked(status)
    return _error(name, message, request_id=request_id, **details)
