"""Tags of spans: IOB1, BIO (IOB2), IOBES and BILOU."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

OUTSIDE = "O"
PREFIXES = "BIESLU"


class Span(NamedTuple):
    """A typed range of positions.

    Attributes:
        start, end: first position, and the one after the last.
        type: of the span.
    """

    start: int
    end: int
    type: str


def split_tag(tag: str) -> tuple[str, str]:
    """Splits "B-PER" into ("B", "PER"); a tag outside spans is ("O", "").

    Raises:
        ValueError: a tag that is neither "O" nor one of the prefixes B, I, E, S, L, U with a type.
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, dash, kind = tag.partition("-")
    if not dash or not kind or len(prefix) != 1 or prefix not in PREFIXES:
        raise ValueError(f"{tag!r} is neither O nor a tag such as B-PER or I-PER")
    return prefix, kind


def spans_of(tags: Sequence[str]) -> list[Span]:
    """Reads the spans of a sequence of tags, in order, as `conlleval` and seqeval do by default.

    B, S and U begin a span; so does any tag with a type after O, after another type, or after E, L,
    S or U. It thus reads IOB1 (B only between two adjacent spans of one type), IOB2 or BIO (B at
    every first position), IOBES and BILOU.

    Raises:
        ValueError: a malformed tag.
    """
    found: list[Span] = []
    start, open_type, closed = 0, "", False
    for position, tag in enumerate([*tags, OUTSIDE]):
        prefix, kind = split_tag(tag)
        begins = prefix in "BSU" or kind != open_type or closed
        if open_type and begins:
            found.append(Span(start, position, open_type))
        if begins:
            start, open_type = position, kind
        closed = prefix in "ESLU"
    return found


def bio(spans: Iterable[Span], length: int) -> list[str]:
    """Writes spans as BIO (IOB2) tags.

    Args:
        spans: without overlaps, in any order.
        length: number of positions.

    Raises:
        ValueError: spans that overlap, are empty or leave the sequence.
    """
    tags = [OUTSIDE] * length
    for span in spans:
        inside = tags[span.start : span.end]
        if not 0 <= span.start < span.end <= length or any(tag != OUTSIDE for tag in inside):
            raise ValueError(f"{span} is empty, overlaps another or leaves {length} positions")
        rest = [f"I-{span.type}"] * (span.end - span.start - 1)
        tags[span.start : span.end] = [f"B-{span.type}", *rest]
    return tags


def to_bio(tags: Sequence[str]) -> list[str]:
    """Converts tags of any scheme that `spans_of` reads to BIO (IOB2).

    Raises:
        ValueError: a malformed tag.
    """
    return bio(spans_of(tags), len(tags))
