"""Byte ranges in documents."""

from __future__ import annotations

from typing import NamedTuple


class Span(NamedTuple):
    """Half-open range of bytes, of UTF-8, in a document's text."""

    begin: int
    end: int


def text_of_span(text: str, span: tuple[int, int]) -> str:
    """What a span of bytes covers of a document's text (StoredDocument.text).

    Python counts characters, spans count bytes: text[begin:end] would be wrong from the first
    character on that is not ASCII. ValueError for a span that is not within the text, or cuts a
    character.
    """
    begin, end = span
    data = text.encode("utf-8")
    if not 0 <= begin <= end <= len(data):
        raise ValueError(f"span [{begin}, {end}) is not within the text's {len(data)} bytes")
    try:
        return data[begin:end].decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"span [{begin}, {end}) cuts a character") from None
