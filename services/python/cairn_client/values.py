"""Python's values and the API's: metadata, enums, times, names."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Any, Mapping, Optional, Sequence, Union
from urllib.parse import quote

from cairn_client.v1 import documents_pb2

# One value of a document's metadata.
Value = Union[bool, int, float, str, Sequence[str]]
Metadata = Mapping[str, Value]


def write_value(value: Any, out: documents_pb2.MetadataValue) -> None:
    """TypeError or ValueError for what metadata cannot hold."""
    if isinstance(value, bool):  # Before int, which it is as well.
        out.bool_value = value
    elif isinstance(value, int):
        out.int_value = value  # ValueError beyond 64 bits.
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"metadata cannot hold {value}")
        out.double_value = value
    elif isinstance(value, str):
        out.string_value = value
    elif isinstance(value, (list, tuple, set, frozenset)):
        if not all(isinstance(v, str) for v in value):
            raise TypeError("lists in metadata hold strings only")
        out.string_list.SetInParent()
        out.string_list.values.extend(value)
    else:
        raise TypeError(f"metadata cannot hold a {type(value).__name__}")


def write_metadata(metadata: Optional[Metadata], out: Any) -> None:
    """Into a map<string, MetadataValue>."""
    for name, value in (metadata or {}).items():
        if not isinstance(name, str):
            raise TypeError("names of metadata are strings")
        try:
            write_value(value, out[name])
        except (TypeError, ValueError) as error:
            raise type(error)(f"metadata[{name!r}]: {error}") from None


def read_metadata(message: Any) -> dict[str, Value]:
    out: dict[str, Value] = {}
    for name, value in message.items():
        kind = value.WhichOneof("kind")
        if kind == "string_list":
            out[name] = list(value.string_list.values)
        elif kind is not None:
            out[name] = getattr(value, kind)
    return out


def enum_value(enum: Any, prefix: str, name: Optional[str]) -> Any:
    """The number of "hybrid" in an enum with SEARCH_MODE_HYBRID; None: 0, the server's default."""
    if name is None:
        return 0
    known = [v[len(prefix) :].lower() for v in enum.keys() if not v.endswith("_UNSPECIFIED")]
    if name not in known:
        raise ValueError(f"{name!r} is none of {', '.join(known)}")
    return enum.Value(prefix + name.upper())


def enum_name(enum: Any, prefix: str, value: int) -> str:
    """Its inverse; "" for 0 and for what a newer server has."""
    if value == 0 or value not in enum.values():
        return ""
    return enum.Name(value)[len(prefix) :].lower()


def read_time(message: Any, field: str) -> Optional[datetime]:
    """A google.protobuf.Timestamp in UTC, None where it is not set."""
    if not message.HasField(field):
        return None
    return getattr(message, field).ToDatetime(tzinfo=timezone.utc)


def collection_name(collection_id: str) -> str:
    if not collection_id or "/" in collection_id:
        raise ValueError(f"{collection_id!r} is no collection's id")
    return "collections/" + collection_id


def document_name(collection_id: str, document_id: str) -> str:
    """With the document's id percent-encoded: all but the unreserved characters of RFC 3986."""
    return f"{collection_name(collection_id)}/documents/{quote(document_id, safe='')}"
