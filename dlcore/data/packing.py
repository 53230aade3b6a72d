"""Documents of any length in rows of one length: several in a row, none of which sees another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def pack(documents: Sequence[np.ndarray], length: int, stride: int = 0) -> dict[str, np.ndarray]:
    """Rows that hold the documents [tokens] from end to end: arrays [rows, length].

    tokens, targets    each token of a document but its last, and the one that follows it: no target
                       lies beyond a document's end
    segment, position  whose a token is (1, 2, ... from the left; 0: padding), and its place there,
                       for attention and positions
    weight             1, and 0 on padding

    A document of more than `length` + 1 tokens is cut into stretches that begin `stride` tokens
    apart (0: `length`, so that each token but the first is a target once) and count as documents.
    Longest first, each goes where the least room remains (Johnson 1973): full rows first. Raises
    ValueError where no document has two tokens, and for a stride that leaves tokens out.
    """
    stride = stride or length
    if not 0 < stride <= length:
        raise ValueError(
            f"stretches of {length} tokens that begin {stride} apart leave tokens out, or have none"
        )
    segments = [
        document[start : start + length + 1]
        for document in documents
        for start in range(0, max(len(document) - 1, 0), stride)
    ]
    if not segments:
        raise ValueError("no document has two tokens: there is nothing to predict")
    rows = _fit([len(segment_tokens) - 1 for segment_tokens in segments], length)
    found = {
        name: np.zeros((len(rows), length), np.int32)
        for name in ("tokens", "targets", "segment", "position")
    }
    for i, row in enumerate(rows):
        at = 0
        for segment, number in enumerate(row, start=1):
            segment_tokens = segments[number]
            here = slice(at, at + len(segment_tokens) - 1)
            found["tokens"][i, here], found["targets"][i, here] = (
                segment_tokens[:-1],
                segment_tokens[1:],
            )
            found["segment"][i, here], found["position"][i, here] = (
                segment,
                np.arange(len(segment_tokens) - 1),
            )
            at = here.stop
    return {**found, "weight": (found["segment"] > 0).astype(np.float32)}


def _fit(sizes: Sequence[int], room: int) -> list[list[int]]:
    """Which sizes share a row: best fit, largest first, equals in their order."""
    rows: list[list[int]] = []
    left: list[list[int]] = [[] for _ in range(room + 1)]  # the rows that have so much room left
    for number in sorted(range(len(sizes)), key=lambda n: -sizes[n]):
        size = sizes[number]
        space = next((space for space in range(size, room) if left[space]), room)
        if space == room:
            rows.append([])
            row = len(rows) - 1
        else:
            row = left[space].pop(0)
        rows[row].append(number)
        left[space - size].append(row)
    return rows
