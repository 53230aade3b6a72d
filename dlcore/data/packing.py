"""Packs documents of any length into rows of one length, with segments that attention separates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Integer, Shaped


def pack(
    documents: Sequence[Integer[np.ndarray, " _"]], length: int, stride: int = 0
) -> dict[str, Shaped[np.ndarray, "rows length"]]:
    """Packs documents into rows of `length` tokens.

    A segment starts at every `stride`-th token of a document, and has at most `length` + 1 tokens;
    a document of at most `stride` + 1 tokens is one segment. The longest segments are packed first,
    each into the row with the least space that fits (best fit decreasing, Johnson 1973); so rows
    that one segment of `length` + 1 tokens fills come first.

    Args:
        documents: tokens, int [n] each; those of fewer than two tokens are left out.
        length: tokens of a row.
        stride: distance in tokens of the starts of a document's segments, at most `length`; 0:
            `length`, so that every token but the first is a target exactly once. With a smaller
            one tokens are targets repeatedly, also in documents that would fit into one segment.

    Returns:
        Arrays [rows, length]: `tokens` and `targets` int32, each token of a segment but its last,
        and the token that follows it; `segment` int32, the number of the segment in its row from 1,
        0 at padding, by which attention separates segments; `position` int32, the position in the
        segment from 0; `weight` float32, 1, and 0 at padding.

    Raises:
        ValueError: no document has two tokens, or `stride` is negative or above `length`.
    """
    stride = stride or length
    if not 0 < stride <= length:
        raise ValueError(
            f"segments of {length} tokens that start {stride} apart leave tokens out, or are empty"
        )
    segments = [
        document[first : first + length + 1]
        for document in documents
        for first in range(0, max(len(document) - 1, 0), stride)
    ]
    if not segments:
        raise ValueError("no document has two tokens: there is nothing to predict")
    rows = _fit([len(segment_tokens) - 1 for segment_tokens in segments], length)
    packed = {
        name: np.zeros((len(rows), length), np.int32)
        for name in ("tokens", "targets", "segment", "position")
    }
    for i, row in enumerate(rows):
        start = 0
        for segment, number in enumerate(row, start=1):
            segment_tokens = segments[number]
            columns = slice(start, start + len(segment_tokens) - 1)
            packed["tokens"][i, columns], packed["targets"][i, columns] = (
                segment_tokens[:-1],
                segment_tokens[1:],
            )
            packed["segment"][i, columns], packed["position"][i, columns] = (
                segment,
                np.arange(len(segment_tokens) - 1),
            )
            start = columns.stop
    return {**packed, "weight": (packed["segment"] > 0).astype(np.float32)}


def _fit(sizes: Sequence[int], capacity: int) -> list[list[int]]:
    """The segments of each row, by index: best fit, largest first, equal sizes in their order."""
    rows: list[list[int]] = []
    with_space: list[list[int]] = [
        [] for _ in range(capacity + 1)
    ]  # the rows that have so much room left
    for number in sorted(range(len(sizes)), key=lambda n: -sizes[n]):
        size = sizes[number]
        space = next((space for space in range(size, capacity) if with_space[space]), capacity)
        if space == capacity:
            rows.append([])
            row = len(rows) - 1
        else:
            row = with_space[space].pop(0)
        rows[row].append(number)
        with_space[space - size].append(row)
    return rows
