"""Streams in both directions."""

from __future__ import annotations

from typing import Any, Iterable, Iterator, Optional

import grpc

from cairn_client.calls import Caller
from cairn_client.errors import error_from_rpc


def exchange(
    caller: Caller, method: Any, requests: Iterable[Any], timeout: Optional[float]
) -> Iterator[Any]:
    """Responses as they come, while requests go out as the server takes them, from another thread:
    one that does not take them stops the reading of `requests`.

    Where `requests` raises, the stream ends there; what was sent before is answered, and then its
    exception is raised here. Whoever gives up iterating cancels the call.
    """
    failure: list[Exception] = []

    def guarded() -> Iterator[Any]:
        try:
            yield from requests
        except Exception as error:  # gRPC would log it and forget it.
            failure.append(error)

    call = method(guarded(), timeout=timeout, metadata=caller.metadata)
    try:
        yield from call
    except grpc.RpcError as error:
        if not failure:
            raise error_from_rpc(error) from None
    finally:
        call.cancel()
    if failure:
        raise failure[0]
