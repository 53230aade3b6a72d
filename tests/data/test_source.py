"""What every source promises: examples by number, and a fingerprint that changes with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dlcore.data.source import arrays, fingerprint, windows

DTYPES = st.sampled_from(["u1", "<i4", "<i8", "<f4"])
CONTENTS = hnp.arrays(DTYPES, hnp.array_shapes(max_dims=3, max_side=5), elements=st.integers(0, 99))


@given(CONTENTS, st.data())
def test_fingerprint_changes_with_any_byte(array: np.ndarray, data: st.DataObject) -> None:
    changed = array.copy()
    raw = changed.reshape(-1).view(np.uint8)
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    assert fingerprint({"a": changed}) != fingerprint({"a": array})


@given(CONTENTS)
def test_fingerprint_changes_with_dtype_shape_and_name(array: np.ndarray) -> None:
    one = fingerprint({"a": array})
    assert fingerprint({"a": array.copy()}) == one
    assert fingerprint({"a": array.reshape(1, *array.shape)}) != one
    assert fingerprint({"a": array.view(f"V{array.itemsize}")}) != one
    assert fingerprint({"b": array}) != one
    assert fingerprint({"a": array, "b": array}) != one


def test_fingerprint_sees_neither_order_nor_memory_layout() -> None:
    a, b = np.arange(12).reshape(3, 4), np.ones(3)
    assert fingerprint({"a": a, "b": b}) == fingerprint({"b": b, "a": np.asfortranarray(a)})


def test_arrays_gather_and_tell_what_they_are() -> None:
    source = arrays(
        "set", "1.0.0", "train", {"x": np.arange(10.0), "y": np.arange(20).reshape(10, 2)}
    )
    batch = source.gather(np.array([7, 0, 7]))
    np.testing.assert_array_equal(batch["x"], [7, 0, 7])
    np.testing.assert_array_equal(batch["y"], [[14, 15], [0, 1], [14, 15]])
    assert (len(source), source.info.name, source.info.version, source.info.split) == (
        10,
        "set",
        "1.0.0",
        "train",
    )
    assert source.info.fingerprint == fingerprint(source.arrays)


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"arrays of one length and has .*'x': 3.*'y': 4"):
        arrays("set", "1", "train", {"x": np.zeros(3), "y": np.zeros(4)})


@settings(deadline=None)
@given(st.integers(2, 200), st.integers(1, 50))
def test_with_stride_length_every_token_is_a_target_once(size: int, length: int) -> None:
    length = min(length, size - 1)
    text = np.arange(size) + 1000
    batch = (source := windows("set", "1", "test", text, length, length)).gather(
        np.arange(len(source))
    )
    counted = batch["targets"][batch["weight"] == 1]
    np.testing.assert_array_equal(np.sort(counted), text[1:])
    assert batch["weight"].sum() == size - 1
    assert len(source) == -(-(size - 1) // length)  # no window of padding alone
    # each begins where the one before ends
    np.testing.assert_array_equal(batch["tokens"][:, 0], text[:-1:length])
    assert not batch["targets"][batch["weight"] == 0].any()
    np.testing.assert_array_equal(batch["tokens"][batch["weight"] == 1], counted - 1)


@given(st.integers(2, 100), st.integers(1, 30))
def test_with_stride_one_every_position_starts_a_window(size: int, length: int) -> None:
    length = min(length, size - 1)
    text = np.arange(size)
    source = windows("set", "1", "train", text, length, 1)
    assert len(source) == size - length
    batch = source.gather(np.arange(len(source), dtype=np.int32))
    for start in range(len(source)):
        np.testing.assert_array_equal(batch["tokens"][start], text[start : start + length])
        np.testing.assert_array_equal(batch["targets"][start], text[start + 1 : start + length + 1])
    assert batch["weight"].all()
    assert {array.dtype for array in batch.values()} == {np.dtype(np.int32), np.dtype(np.float32)}


def test_a_worked_example_of_windows_that_follow_each_other() -> None:
    for size, last_targets, last_weight in (
        (7, [4, 5, 6], [1, 1, 1]),
        (8, [7, 0, 0], [1, 0, 0]),
        (6, [4, 5, 0], [1, 1, 0]),
    ):
        source = windows("set", "1", "test", np.arange(size), 3, 3)
        batch = source.gather(np.array([0, len(source) - 1]))
        np.testing.assert_array_equal(batch["tokens"][0], [0, 1, 2])
        np.testing.assert_array_equal(batch["targets"], [[1, 2, 3], last_targets])
        np.testing.assert_array_equal(batch["weight"], [[1, 1, 1], last_weight])
        assert (
            len(source)
            == len(source.gather(np.arange(len(source)))["tokens"])
            == {6: 2, 7: 2, 8: 3}[size]
        )
    assert source.info.name == "set"
    assert (source.info.version, source.info.split, source.info.examples) == ("1", "test", 2)
    assert source.info.fingerprint == fingerprint({"text": np.arange(6)})


def test_a_text_too_short_for_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="set/train has 4 tokens: too few for a window of 4"):
        windows("set", "1", "train", np.arange(4), 4, 1)
