"""Features of varying length and shape, padded into batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcore.data import checks
from dlcore.data.ragged import Ragged, padded, ragged
from dlcore.data.splits import Splits
from dlcore.data.stream import Stream
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick


def boxes(*counts: int) -> list[np.ndarray]:
    return [
        np.arange(4 * n, dtype=np.float32).reshape(n, 4) + 100 * i for i, n in enumerate(counts)
    ]


def source(**options: Any) -> Ragged:
    contents = {"label": np.array([7, 8, 9]), "boxes": boxes(2, 0, 3)}
    return ragged("set", "1", "train", contents, {"boxes": 3}, **options)


def test_lists_are_padded_with_lengths_and_masks() -> None:
    batch = source().gather(np.array([2, 1, 0, 2]))
    np.testing.assert_array_equal(batch["label"], [9, 8, 7, 9])
    np.testing.assert_array_equal(batch["boxes_length"], [3, 0, 2, 3])
    np.testing.assert_array_equal(batch["boxes_mask"], [[1, 1, 1], [0, 0, 0], [1, 1, 0], [1, 1, 1]])
    expected = np.zeros((4, 3, 4), np.float32)
    expected[0] = expected[3] = boxes(2, 0, 3)[2]
    expected[2, :2] = boxes(2)[0]
    np.testing.assert_array_equal(batch["boxes"], expected)
    assert {name: str(x.dtype) for name, x in batch.items()} == {
        "label": "int64",
        "boxes": "float32",
        "boxes_length": "int32",
        "boxes_mask": "float32",
    }


@given(st.lists(st.integers(0, 6), min_size=1, max_size=8), st.integers(1, 6), st.data())
def test_a_gather_is_the_padding_of_each_example(counts: list[int], limit: int, data: Any) -> None:
    lists = [np.arange(n) + 10 * i for i, n in enumerate(counts)]
    made = ragged("set", "1", "train", {"x": lists}, {"x": limit}, "truncate")
    index = np.array(data.draw(st.lists(st.integers(0, len(counts) - 1), min_size=1, max_size=5)))
    values, sizes = padded([lists[i] for i in index], (limit,))
    batch = made.gather(index)
    np.testing.assert_array_equal(batch["x"], values)
    np.testing.assert_array_equal(batch["x_length"], sizes[:, 0])
    np.testing.assert_array_equal(batch["x_mask"], np.arange(limit) < sizes)
    for i in index:
        np.testing.assert_array_equal(made.example("x", int(i)), lists[i])


def test_images_of_any_size_are_padded_on_two_axes() -> None:
    images = [np.full((h, w, 3), i + 1, np.uint8) for i, (h, w) in enumerate([(2, 4), (3, 1)])]
    made = ragged("set", "1", "train", {"image": images}, {"image": (3, 5)})
    batch = made.gather(np.array([1, 0]))
    assert batch["image"].shape == (2, 3, 5, 3)
    np.testing.assert_array_equal(batch["image_size"], [[3, 1], [2, 4]])
    expected = np.zeros((2, 3, 5), np.float32)
    expected[0, :3, :1] = expected[1, :2, :4] = 1
    np.testing.assert_array_equal(batch["image_mask"], expected)
    np.testing.assert_array_equal(batch["image"][..., 0], expected * [[[2]], [[1]]])


def test_what_is_longer_than_the_limit_is_refused_or_truncated() -> None:
    contents = {"boxes": boxes(2, 5, 3)}
    with pytest.raises(UsageError, match="example 1 of set/train has the size 5, above"):
        ragged("set", "1", "train", contents, {"boxes": 2})
    with pytest.raises(UsageError, match="as 2 of 3 examples are: raise the limit to 5"):
        ragged("set", "1", "train", contents, {"boxes": 2})
    batch = ragged("set", "1", "train", contents, {"boxes": 2}, "truncate").gather(np.arange(3))
    np.testing.assert_array_equal(batch["boxes"], [each[:2] for each in contents["boxes"]])
    np.testing.assert_array_equal(batch["boxes_mask"], 1)


def test_contents_limits_and_truncation_are_in_the_fingerprint() -> None:
    lists = {"x": [np.arange(2), np.arange(1)]}
    made = [
        ragged("set", "1", "train", lists, {"x": 2}),
        ragged("set", "1", "train", lists, {"x": 3}),
        ragged("set", "1", "train", lists, {"x": 2}, "truncate"),
        ragged("set", "1", "train", {"x": [np.arange(1), np.arange(2)]}, {"x": 2}),
        ragged("set", "1", "train", {"x": [np.arange(2), np.arange(1) + 5]}, {"x": 2}),
    ]
    assert len({each.info.fingerprint for each in made}) == 5


def test_what_does_not_fit_together_is_refused() -> None:
    def refused(contents: dict[str, Any], limits: dict[str, Any], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            ragged("set", "1", "train", contents, limits)

    refused({"x": [np.arange(2)]}, {"y": 2}, "set has no feature 'y': it has x")
    refused({"x": [np.arange(2)]}, {"x": 0}, "the limit of 'x' is 0")
    refused({"x": [np.arange(2)], "y": np.arange(3)}, {"x": 2}, "one number of examples")
    mixed = [np.zeros((2, 4)), np.zeros((2, 3))]
    refused(
        {"x": mixed}, {"x": 2}, r"example 0 is float64 \(2, 4\), and example 1 float64 \(2, 3\)"
    )


def test_streams_transforms_and_checks_take_them() -> None:
    batch = Stream(source(), 3, 0, np.arange(3)).at(0)
    assert batch["boxes"].shape == (3, 3, 4)
    total = {"area": lambda batch: (batch["boxes"].sum(-1) * batch["boxes_mask"]).sum(-1)}
    found = Splits(source()).map(total)
    assert found.facts.fields["boxes_mask"] == {"shape": [3], "dtype": "float32"}
    np.testing.assert_array_equal(
        found.train.gather(np.arange(3))["area"], [each.sum() for each in boxes(2, 0, 3)]
    )
    late = [np.zeros(2, np.float32)] * 99 + [np.array([0, np.nan], np.float32)]
    with pytest.raises(UsageError, match="'x' of example 99 is nan"):
        checks.check_numbers({"train": ragged("set", "1", "train", {"x": late}, {"x": 2})})
    tokens = ragged("set", "1", "train", {"x": [np.arange(3)] * 99 + [np.arange(5)]}, {"x": 5})
    with pytest.raises(UsageError, match="'x' of example 99 is 4, and the loss uses"):
        checks.check_indices({"train": tokens}, {"x": checks.Indices(4)})
