import pytest
from cairn_client import Span, text_of_span

TEXT = "aé€😀z"  # 1, 2, 3, 4 and 1 bytes.


@pytest.mark.parametrize("begin, end, expected", [
    (0, 0, ""), (0, 1, "a"), (1, 3, "é"), (3, 6, "€"), (6, 10, "😀"), (0, 11, TEXT), (11, 11, "")])
def test_span_of_bytes_is_text(begin, end, expected):
    assert text_of_span(TEXT, Span(begin, end)) == expected


@pytest.mark.parametrize("span", [(-1, 1), (2, 1), (0, 12), (0, 2), (2, 3), (7, 10)])
def test_span_beyond_the_text_or_within_a_character_is_an_error(span):
    with pytest.raises(ValueError):
        text_of_span(TEXT, span)
