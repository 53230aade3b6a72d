"""Packed documents: every pair of a token and its successor once, nothing across a boundary, and
few empty places.
"""

from __future__ import annotations

import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcore.data.packing import pack


def numbered(*lengths: int) -> list[np.ndarray]:
    """Documents whose tokens say which they are: 1000 d + place."""
    return [np.arange(n, dtype=np.int32) + 1000 * (d + 1) for d, n in enumerate(lengths)]


def test_a_worked_example() -> None:
    rows = pack(numbered(4, 3, 6), 5)
    np.testing.assert_array_equal(
        rows["tokens"], [[3000, 3001, 3002, 3003, 3004], [1000, 1001, 1002, 2000, 2001]]
    )
    np.testing.assert_array_equal(
        rows["targets"], [[3001, 3002, 3003, 3004, 3005], [1001, 1002, 1003, 2001, 2002]]
    )
    np.testing.assert_array_equal(rows["segment"], [[1, 1, 1, 1, 1], [1, 1, 1, 2, 2]])
    np.testing.assert_array_equal(rows["position"], [[0, 1, 2, 3, 4], [0, 1, 2, 0, 1]])
    np.testing.assert_array_equal(rows["weight"], np.ones((2, 5)))
    assert {name: array.dtype.name for name, array in rows.items()} == {
        **dict.fromkeys(("tokens", "targets", "segment", "position"), "int32"),
        "weight": "float32",
    }


def test_what_has_no_two_tokens_is_left_out_or_refused() -> None:
    rows = pack(numbered(1, 0, 2, 1), 5)
    np.testing.assert_array_equal(rows["tokens"], [[3000, 0, 0, 0, 0]])
    np.testing.assert_array_equal(rows["segment"], [[1, 0, 0, 0, 0]])
    with pytest.raises(ValueError, match="no document has two tokens"):
        pack(numbered(1, 0, 1), 5)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.integers(1, 12))
def test_each_token_but_the_first_of_its_document_is_a_target_once(
    lengths: list[int], length: int
) -> None:
    documents = numbered(*lengths)
    if max(lengths) < 2:
        with pytest.raises(ValueError, match="no document has two tokens"):
            pack(documents, length)
        return
    rows = pack(documents, length)
    inside = rows["weight"] > 0
    np.testing.assert_array_equal(rows["targets"][inside], rows["tokens"][inside] + 1)
    expected = collections.Counter(t for document in documents for t in document[1:].tolist())
    assert collections.Counter(rows["targets"][inside].tolist()) == expected
    np.testing.assert_array_equal(inside, rows["segment"] > 0)
    assert (rows["targets"][~inside] == 0).all()
    for tokens, segment, position in zip(
        rows["tokens"], rows["segment"], rows["position"], strict=True
    ):
        for number in range(1, segment.max() + 1):
            own = segment == number
            np.testing.assert_array_equal(position[own], np.arange(own.sum()))
            np.testing.assert_array_equal(np.diff(tokens[own]), 1)  # one document, in its order
        # side by side, padding last
        assert (np.diff(np.where(segment > 0, segment, 99)) >= 0).all()


@given(st.lists(st.integers(2, 21), min_size=1, max_size=60))
def test_no_two_rows_could_have_been_one(lengths: list[int]) -> None:
    filled = np.sort(pack(numbered(*lengths), 20)["weight"].sum(1))
    assert len(filled) < 2 or filled[0] + filled[1] > 20


def test_a_stride_begins_segments_more_often() -> None:
    rows = pack(numbered(10), 4, stride=2)
    starts = np.sort(rows["tokens"][(rows["position"] == 0) & (rows["weight"] > 0)])
    np.testing.assert_array_equal(starts, [1000, 1002, 1004, 1006, 1008])
    for stride in (-1, 5):
        with pytest.raises(ValueError, match="leave tokens out"):
            pack(numbered(10), 4, stride)


def test_the_same_documents_give_the_same_rows() -> None:
    one, other = (
        pack(numbered(*np.random.default_rng(0).integers(2, 50, 40).tolist()), 16) for _ in range(2)
    )
    assert all((one[name] == other[name]).all() for name in one)
