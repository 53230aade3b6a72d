"""The checksum of a state: any flipped bit and any swapped words change it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcore.runs.checksum import checksum

WORDS = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20)
summed = jax.jit(checksum)


def padded(words: list[int]) -> np.ndarray:
    """At one length, so that one compiled checksum serves all."""
    return np.array(words + [0] * (20 - len(words)), np.uint32)


@given(WORDS, st.integers(0, 19), st.integers(0, 31))
def test_the_checksum_notices_any_flipped_bit(words: list[int], place: int, bit: int) -> None:
    before = padded(words)
    after = before.copy()
    after[place] ^= np.uint32(1 << bit)
    # the first sum alone, always
    assert (np.asarray(summed(before)) != np.asarray(summed(after)))[0, 0]


@given(WORDS, st.integers(0, 19), st.integers(0, 19), st.sampled_from([0, 2**31, 2**30, 1]))
def test_the_checksum_notices_swapped_words(words: list[int], i: int, j: int, apart: int) -> None:
    before = padded(words)
    if apart:  # words that differ in one high bit: x and -x
        before[i] = before[j] ^ np.uint32(apart)
    after = before.copy()
    after[[i, j]] = after[[j, i]]
    equal = bool((np.asarray(summed(before)) == np.asarray(summed(after))).all())
    assert equal == bool((before == after).all())


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bool", "int8", "bfloat16", "float16", "int32", "float32"])
def test_the_checksum_sees_every_type_and_leaf(dtype: str) -> None:
    x = jnp.zeros((3, 5), dtype)
    one = np.asarray(checksum({"a": x, "b": x}))
    assert one.shape == (2, 2)
    assert one.dtype == np.uint32
    for i in range(15):
        other = np.asarray(
            checksum({"a": x, "b": x.reshape(-1).at[i].set(jnp.ones((), dtype)).reshape(3, 5)})
        )
        np.testing.assert_array_equal(other[0], one[0])
        assert (other[1] != one[1]).all()
