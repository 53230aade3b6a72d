"""Images as sequences: which pixel is read when."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data.sets.images import as_sequence, permutation

IMAGE = jnp.arange(784.0).reshape(1, 28, 28, 1)


@pytest.mark.slow
def test_views_read_every_pixel_once_in_the_order_of_reading() -> None:
    np.testing.assert_array_equal(as_sequence(IMAGE, "rows")[0, 2], np.arange(56, 84))
    np.testing.assert_array_equal(as_sequence(IMAGE, "pixels")[0, :, 0], np.arange(784))
    patches = as_sequence(IMAGE, "patches")[0]
    np.testing.assert_array_equal(patches[0], [0, 1, 28, 29])
    np.testing.assert_array_equal(patches[15], [58, 59, 86, 87])  # the second of the second row
    assert len(np.unique(patches)) == 784


@pytest.mark.slow
def test_a_permutation_moves_steps_and_changes_nothing_in_them() -> None:
    order = permutation("patches")
    assert sorted(order.tolist()) == list(range(196))
    assert (order != np.arange(196)).sum() > 180
    np.testing.assert_array_equal(permutation("patches"), order)
    # cards are of this one
    assert permutation("pixels")[:8].tolist() == [319, 576, 323, 107, 355, 716, 197, 20]
    plain, moved = as_sequence(IMAGE, "patches")[0], as_sequence(IMAGE, "patches", order)[0]
    np.testing.assert_array_equal(moved[3], plain[order[3]])
