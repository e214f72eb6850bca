"""How calls are made: the token, the time they have, and when they are repeated."""

from __future__ import annotations

import ipaddress
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator, Optional, Union

import grpc

from cairn_client.errors import CairnError, ResourceExhaustedError, UnavailableError, error_from_rpc

_FIRST_DELAY = 0.1  # Seconds
_LONGEST_DELAY = 5.0


class Secret:
    """A token that shows itself nowhere but in the metadata of calls."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        # gRPC puts metadata that it refuses into its errors.
        if not value or not all("!" <= c <= "~" for c in value):
            raise ValueError("a token consists of visible ASCII characters")
        self._value = value

    def header(self) -> tuple[str, str]:
        return ("authorization", "Bearer " + self._value)

    def __repr__(self) -> str:
        return "<token>"

    def __reduce__(self) -> Any:
        raise TypeError("tokens are not to be stored")


def read_secret(token: Optional[str], token_file: Union[str, Path, None]) -> Optional[Secret]:
    """The token given, or the first line of the file, which nobody else may be able to read."""
    if token is not None and token_file is not None:
        raise ValueError("give token or token_file, not both")
    if token_file is not None:
        with open(token_file, encoding="ascii", errors="replace") as file:
            # Windows has no such bits.
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
                raise ValueError(f"{token_file} is open to others than its owner: chmod 600 it")
            token = file.readline(8192).strip()
    return None if token is None else Secret(token)


def is_local(address: str) -> bool:
    """Whether calls to the address stay on this machine."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = address.rsplit(":", 1)[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass
class Retries:
    """When a call is repeated: `attempts` in all, the first included."""

    attempts: int = 5
    sleep: Callable[[float], None] = time.sleep

    def delay(self, error: CairnError, attempt: int) -> Optional[float]:
        """Seconds to wait before the next attempt, or None where there is to be none."""
        if attempt >= self.attempts:
            return None
        backoff = min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)
        if isinstance(error, UnavailableError):
            return max(backoff, error.retry_after or 0.0)
        # Without a time, waiting does not help: the message is too large, for example.
        if isinstance(error, ResourceExhaustedError) and error.retry_after is not None:
            return error.retry_after + backoff
        return None


class Caller:
    """Makes calls on one channel. Thread-safe."""

    def __init__(
        self,
        channel: grpc.Channel,
        secret: Optional[Secret],
        timeout: Optional[float],
        retries: Retries,
    ) -> None:
        self.channel = channel
        self._secret = secret
        self._timeout = timeout
        self._retries = retries

    @property
    def metadata(self) -> list[tuple[str, str]]:
        return [] if self._secret is None else [self._secret.header()]

    def timeout(self, timeout: Optional[float]) -> Optional[float]:
        return self._timeout if timeout is None else timeout

    def unary(
        self, method: Any, request: Any, *, timeout: Optional[float] = None, retry: bool = True
    ) -> Any:
        """Calls it, and again where that is promising, all within the timeout. `retry` only for
        what may happen twice: reading, and what carries a request id."""

        def call(remaining: Optional[float]) -> Any:
            return method(request, timeout=remaining, metadata=self.metadata)

        return self._repeat(call, self.timeout(timeout), retry)

    def stream(
        self, method: Any, request: Any, *, timeout: Optional[float] = None
    ) -> Iterator[Any]:
        """The messages that answer one request; repeated only before the first one came."""

        def begin(remaining: Optional[float]) -> Any:
            responses = method(request, timeout=remaining, metadata=self.metadata)
            return responses, next(responses, None)

        responses, message = self._repeat(begin, self.timeout(timeout), True)
        try:
            while message is not None:
                yield message
                message = next(responses, None)
        except grpc.RpcError as error:
            raise error_from_rpc(error) from None
        finally:
            responses.cancel()

    def _repeat(
        self, call: Callable[[Optional[float]], Any], timeout: Optional[float], retry: bool
    ) -> Any:
        end = None if timeout is None else time.monotonic() + timeout
        attempt = 0
        while True:
            attempt += 1
            remaining = None if end is None else max(0.0, end - time.monotonic())
            try:
                return call(remaining)
            except grpc.RpcError as rpc_error:
                error = error_from_rpc(rpc_error)
            delay = self._retries.delay(error, attempt) if retry else None
            if delay is None or (end is not None and time.monotonic() + delay >= end):
                raise error
            self._retries.sleep(delay)
